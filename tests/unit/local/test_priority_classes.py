from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.resources import PODS, PRIORITY_CLASSES


@pytest.fixture
def cluster() -> PaperCluster:
    return PaperCluster()


def priority_class(cluster: PaperCluster, name: str, value: int | None, **fields: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name}, "value": value, **fields}
    return cluster.store.create(PRIORITY_CLASSES, body)


def pod(cluster: PaperCluster, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "i"}
    body = {
        "metadata": {"generateName": "p-", "namespace": "default"},
        "spec": {"containers": [container], **spec},
    }
    return dict(cluster.store.create(PODS, body)["spec"])


def test_every_cluster_has_the_system_classes(cluster: PaperCluster) -> None:
    found = {each["metadata"]["name"]: each["value"] for each in cluster.store.list(PRIORITY_CLASSES)}
    assert found == {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
    assert pod(cluster, priorityClassName="system-cluster-critical")["priority"] == 2_000_000_000


REFUSED = {
    "no value": (
        ("c", None, {}),
        'PriorityClass.scheduling.k8s.io "c" is invalid: value: Required value',
    ),
    "more than users may": (
        ("c", 1_000_000_001, {}),
        'PriorityClass.scheduling.k8s.io "c" is invalid: value: Forbidden: maximum allowed value of a user '
        "defined priority is 1000000000",
    ),
    "a name of the system's": (
        ("system-mine", 5, {}),
        'PriorityClass.scheduling.k8s.io "system-mine" is invalid: metadata.name: Forbidden: priority class '
        "names with 'system-' prefix are reserved for system use only. error: system-mine is not a known "
        "system priority class",
    ),
    "a second default": (
        ("c", 5, {"globalDefault": True}),
        'priorityclasses.scheduling.k8s.io "c" is forbidden: PriorityClass usual is already marked as '
        "default. Only one default can exist",
    ),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_classes_that_are_refused(
    cluster: PaperCluster, given: tuple[str, int | None, dict[str, Any]], message: str
) -> None:
    priority_class(cluster, "usual", 1, globalDefault=True)
    name, value, fields = given
    with pytest.raises(ApiError) as refused:
        priority_class(cluster, name, value, **fields)
    assert refused.value.message == message


def test_a_class_keeps_its_value(cluster: PaperCluster) -> None:
    stored = dict(priority_class(cluster, "c", 5))
    with pytest.raises(ApiError, match=r"value: Forbidden: may not be changed in an update\."):
        cluster.store.update(PRIORITY_CLASSES, {**stored, "value": 6})
    with pytest.raises(ApiError, match=r"preemptionPolicy: Invalid value.*field is immutable"):
        cluster.store.update(PRIORITY_CLASSES, {**stored, "preemptionPolicy": "Never"})


def test_a_pod_gets_the_priority_of_its_class(cluster: PaperCluster) -> None:
    priority_class(cluster, "batch", 7, preemptionPolicy="Never")
    spec = pod(cluster, priorityClassName="batch")
    assert (spec["priority"], spec["preemptionPolicy"]) == (7, "Never")
    assert "priorityClassName" not in pod(cluster)
    assert pod(cluster)["priority"] == 0


def test_a_pod_that_names_no_class_gets_the_default_one(cluster: PaperCluster) -> None:
    priority_class(cluster, "usual", 3, globalDefault=True)
    spec = pod(cluster)
    assert (spec["priorityClassName"], spec["priority"]) == ("usual", 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            {"priorityClassName": "nope"}, "no PriorityClass with name nope was found", id="unknown class"
        ),
        pytest.param(
            {"priority": 9},
            r"the integer value of priority \(9\) must not be provided in pod spec; priority admission "
            "controller computed 0 from the given PriorityClass name",
            id="a number of its own",
        ),
    ],
)
def test_pods_that_are_refused(cluster: PaperCluster, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        pod(cluster, **spec)
    assert refused.value.code == 403
