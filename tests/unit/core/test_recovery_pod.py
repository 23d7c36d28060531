from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.recovery_pod import recovery_pod
from airflow_spark_k8s.core.size import Size, size_of
from airflow_spark_k8s.core.snapshot import executor_pod_of
from airflow_spark_k8s.core.spec import RecoverySettings
from tests.fakes.objects import EXECUTOR, pod

SETTINGS = RecoverySettings(heap_mib=1024, overhead_mib=384, other_mib=512)
SINGLE, GROWN = Size(1, 1, 1024, 384), Size(3, 1, 1536, 576)
RENDERED: dict[str, Any] = {
    "metadata": {"labels": {"mine": "x"}, "annotations": {"mine": "y"}},
    "spec": {
        "priority": 7,
        "priorityClassName": "ordinary",
        "nodeSelector": {"disk": "ssd", "pool": "spot"},
        "tolerations": [{"key": "spot"}],
        "containers": [
            {"name": "sidecar", "resources": {"limits": {"memory": "1Gi"}}},
            {
                "name": EXECUTOR,
                "env": [
                    {"name": "SPARK_EXECUTOR_CORES", "value": "4"},
                    {"name": "MINE", "value": "$(SPARK_EXECUTOR_MEMORY)"},
                    {"name": "SPARK_EXECUTOR_MEMORY", "value": "1024m"},
                ],
                "resources": {
                    "requests": {"cpu": "4", "memory": "1700Mi"},
                    "limits": {"memory": "2Gi", "nvidia.com/gpu": "1"},
                },
            },
        ],
    },
}


def _container(manifest: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in manifest["spec"]["containers"] if one["name"] == EXECUTOR)  # type: ignore[no-any-return]


def test_an_executor_for_one_task_keeps_its_memory_and_its_template() -> None:
    before = copy.deepcopy(RENDERED)
    made = recovery_pod(RENDERED, SINGLE, SETTINGS)
    assert before == RENDERED
    assert _container(made)["resources"] == _container(RENDERED)["resources"]
    assert _container(made)["env"] == [
        {"name": "SPARK_EXECUTOR_CORES", "value": "1"},
        {"name": "SPARK_EXECUTOR_MEMORY", "value": "1024m"},
        {"name": "MINE", "value": "$(SPARK_EXECUTOR_MEMORY)"},
    ]
    assert made["metadata"]["labels"] == {"mine": "x", "airflow-spark-k8s/recovery": "1"}
    assert size_of(made["metadata"]["annotations"]) == SINGLE
    assert made["metadata"]["annotations"]["mine"] == "y"
    assert {key: value for key, value in made["spec"].items() if key != "containers"} == {
        key: value for key, value in RENDERED["spec"].items() if key != "containers"
    }


def test_what_it_grows_by_is_added_to_what_the_template_says() -> None:
    made = _container(recovery_pod(RENDERED, GROWN, SETTINGS))
    assert made["resources"] == {
        "requests": {"cpu": "4", "memory": "2404Mi"},
        "limits": {"memory": "2752Mi", "nvidia.com/gpu": "1"},
    }
    assert {"name": "SPARK_EXECUTOR_MEMORY", "value": "1536m"} in made["env"]


RESOURCES: dict[str, tuple[Any, Any]] = {
    "no resources": (None, {}),
    "no memory": ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1"}}),
    "no limit": (
        {"requests": {"memory": "1Gi"}, "limits": None}, {"requests": {"memory": "1728Mi"}, "limits": None}
    ),
    "bytes": ({"limits": {"memory": 1000}}, {"limits": {"memory": str(704 * 2**20 + 1000)}}),
}  # fmt: skip


@pytest.mark.parametrize(("given", "made"), RESOURCES.values(), ids=RESOURCES.keys())
def test_a_template_decides_which_resources_there_are(given: Any, made: Any) -> None:
    container = {"name": EXECUTOR} | ({} if given is None else {"resources": given})
    manifest = {"spec": {"containers": [container]}}
    assert _container(recovery_pod(manifest, GROWN, SETTINGS))["resources"] == made


def test_recovery_executors_may_run_elsewhere() -> None:
    settings = replace(
        SETTINGS,
        node_selector={"pool": "on-demand"},
        tolerations=({"key": "steady"},),
        priority_class="high",
    )
    spec = recovery_pod(RENDERED, SINGLE, settings)["spec"]
    assert spec["nodeSelector"] == {"disk": "ssd", "pool": "on-demand"}
    assert spec["tolerations"] == [{"key": "spot"}, {"key": "steady"}]
    assert spec["priorityClassName"] == "high"
    assert "priority" not in spec
    bare = recovery_pod({}, SINGLE, settings)["spec"]
    assert bare == {
        "nodeSelector": {"pool": "on-demand"},
        "tolerations": [{"key": "steady"}],
        "priorityClassName": "high",
        "containers": [],
    }


@pytest.mark.parametrize("size", [SINGLE, None], ids=["its own", "the ordinary one"])
def test_a_controller_that_comes_later_reads_the_size_from_the_pod(size: Size | None) -> None:
    labels = {"spark-role": "executor", "spark-exec-id": "4"}
    annotations = size.annotation() if size else {}
    seen = executor_pod_of(pod("e", owner="d", labels=labels, annotations=annotations))
    assert seen is not None
    assert seen.size == size
