"""The driver's properties."""

from __future__ import annotations

import pytest

from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve


def properties(conf: dict[str, str], image: str = "apache/spark:4.3.0") -> dict[str, str]:
    return dict(resolve(ApplicationRequest(application="local:///app.py", image=image, conf=conf)).properties)


def test_the_driver_leaves_executors_to_others() -> None:
    found = properties({})
    assert (
        found.items()
        >= {
            "spark.dynamicAllocation.enabled": "false",
            "spark.dynamicAllocation.executorIdleTimeout": "2147483647s",
            "spark.executor.maxNumFailures": "1000000",
            "spark.kubernetes.executor.deleteOnTermination": "false",
            "spark.kubernetes.executor.disableConfigMap": "true",
            "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
            "spark.kubernetes.driver.service.deleteOnTermination": "false",
            "spark.driver.port": "7078",
            "spark.driver.blockManager.port": "7079",
            "spark.ui.port": "4040",
        }.items()
    )


@pytest.mark.parametrize(
    "name",
    [
        "spark.executor.instances",
        "spark.app.id",
        "spark.driver.host",
        "spark.driver.bindAddress",
        "spark.kubernetes.driver.pod.name",
        "spark.master",
    ],
)
def test_what_the_command_line_says_is_not_in_the_file(name: str) -> None:
    assert name not in properties({"spark.executor.instances": "3"})


@pytest.mark.parametrize(
    ("image", "fence"), [("spark:4.0.5", None), ("spark:4.1.0", "1"), ("spark:4.3.0", "1")]
)
def test_where_spark_has_it_a_second_fence_keeps_the_driver_from_making_executors(
    image: str, fence: str | None
) -> None:
    assert properties({}, image).get("spark.kubernetes.allocation.maximum") == fence


def test_sizes_are_explicit_and_have_units() -> None:
    found = properties(
        {"spark.executor.memory": "2048", "spark.executor.cores": "2", "spark.driver.memory": "1g"}
    )
    assert (
        found.items()
        >= {
            "spark.driver.cores": "1",
            "spark.driver.memory": "1024m",
            "spark.driver.memoryOverhead": "409m",
            "spark.executor.cores": "2",
            "spark.executor.memory": "2048m",
            "spark.executor.memoryOverhead": "819m",
        }.items()
    )


def test_the_users_own_budget_of_failures_is_kept() -> None:
    assert properties({"spark.executor.maxNumFailures": "9"})["spark.executor.maxNumFailures"] == "9"


def test_what_shapes_pods_only_is_not_given_to_the_driver() -> None:
    found = properties(
        {
            "spark.kubernetes.executor.label.team": "data",
            "spark.kubernetes.driver.request.cores": "500m",
            "spark.kubernetes.container.image.pullPolicy": "Never",
        }
    )
    assert not any(
        name.startswith(("spark.kubernetes.executor.label", "spark.kubernetes.driver.request"))
        for name in found
    )
    assert "spark.kubernetes.container.image.pullPolicy" not in found
