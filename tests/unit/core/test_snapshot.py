from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.pod_state import EndKind, Failed, Running, Succeeded
from airflow_spark_k8s.core.snapshot import (
    NOTHING_ASKED,
    Observed,
    departed_driver,
    driver_pod,
    executor_pod_of,
    is_driver,
)
from tests.fakes.objects import DRIVER, DRIVER_LABELS, EXECUTOR, RUNNING, pod, status, terminated
from tests.fakes.scenes import GONE_HOME, driver, executor, observed, spark

EXECUTOR_LABELS = {"spark-role": "executor", "spark-exec-id": "7"}


def test_a_driver_pod_as_it_is_shown() -> None:
    remembered = History({1: EndedExecutor(1, "failed", "x", 1.0)})
    manifest = pod(
        "d",
        owner="job",
        labels=DRIVER_LABELS,
        annotations={**IdMarks(3, 2, "me").annotation(), **remembered.annotation()},
        status=status("Running", DRIVER, RUNNING, conditions={"Ready": ""}, podIP="10.0.0.9"),
        node="n",
        version=5,
    )
    seen = driver_pod(manifest)
    assert (seen.name, seen.uid, seen.resource_version, seen.ip, seen.node) == (
        "d",
        "uid-of-d",
        "5",
        "10.0.0.9",
        "n",
    )
    assert seen.marks == IdMarks(3, 2, "me")
    assert seen.history == remembered
    assert seen.ready
    assert not seen.ended
    assert is_driver(manifest)
    assert seen.job_uid == "job"


def test_a_driver_pod_that_was_just_created() -> None:
    seen = driver_pod({"metadata": {"name": "d", "uid": "u", "resourceVersion": "1"}})
    assert (seen.ip, seen.node, seen.created, seen.deleting, seen.ready) == ("", None, "", False, False)


def test_an_executor_pod_as_it_is_shown() -> None:
    manifest = pod(
        "e", owner="d", labels=EXECUTOR_LABELS, status=status("Failed", EXECUTOR, terminated(52)), node="n"
    )
    seen = executor_pod_of(manifest)
    assert seen is not None
    assert (seen.executor_id, seen.driver_uid, seen.node, seen.leaving_seconds) == (7, "d", "n", None)
    assert seen.ended
    assert not is_driver(manifest)


@pytest.mark.parametrize(
    ("owner", "labels"),
    [
        ("d", {"spark-role": "driver"}),
        ("d", {"spark-role": "executor"}),
        ("d", {"spark-role": "executor", "spark-exec-id": "EXECID"}),
        (None, EXECUTOR_LABELS),
    ],
    ids=["another role", "no id", "an id that is no number", "no owner"],
)
def test_other_pods_are_no_executors(owner: str | None, labels: dict[str, str]) -> None:
    assert executor_pod_of(pod("e", owner=owner, labels=labels)) is None


def test_an_owner_that_does_not_control_does_not_count() -> None:
    manifest = pod("e", owner="d", labels=EXECUTOR_LABELS)
    manifest["metadata"]["ownerReferences"][0]["controller"] = False
    assert executor_pod_of(manifest) is None


def test_a_pod_that_leaves_keeps_its_grace() -> None:
    seen = executor_pod_of(pod("e", owner="d", labels=EXECUTOR_LABELS, deleting=30))
    assert seen is not None
    assert seen.leaving_seconds == 30


LOW_ON_MEMORY = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51Mi. "
    "Container spark-kubernetes-executor was using 2Gi, request is 1Gi, has larger consumption of memory. "
)
DISRUPTIONS: dict[str, tuple[dict[str, Any], str | None]] = {
    "it runs": (status("Running", EXECUTOR, RUNNING), None),
    "it failed by itself": (status("Failed", EXECUTOR, terminated(1)), None),
    "its node ran low on memory": (
        status(
            "Failed",
            EXECUTOR,
            terminated(137),
            conditions={"DisruptionTarget": "TerminationByKubelet"},
            reason="Evicted",
            message=LOW_ON_MEMORY,
        ),
        "MemoryPressure",
    ),
    "its node ran low on memory, on a cluster without that condition": (
        {"phase": "Failed", "reason": "Evicted", "message": LOW_ON_MEMORY},
        "MemoryPressure",
    ),
    "its node ran low on disk space": (
        status(
            "Failed",
            EXECUTOR,
            terminated(137),
            conditions={"DisruptionTarget": "TerminationByKubelet"},
            reason="Evicted",
            message="The node was low on resource: ephemeral-storage. ",
        ),
        "TerminationByKubelet",
    ),
    "it filled its own scratch volume": (
        {"phase": "Failed", "reason": "Evicted", "message": 'Usage of EmptyDir volume "x" exceeds the limit'},
        None,
    ),
    "it was evicted and nobody says why": ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
    "its own message speaks of memory": (
        {"phase": "Failed", "reason": "Error", "message": LOW_ON_MEMORY},
        None,
    ),
    "somebody evicted it": (
        status("Running", EXECUTOR, RUNNING, conditions={"DisruptionTarget": "EvictionByEvictionAPI"}),
        "EvictionByEvictionAPI",
    ),
    "another pod was more important": (
        status("Failed", EXECUTOR, terminated(143), conditions={"DisruptionTarget": "PreemptionByScheduler"}),
        "PreemptionByScheduler",
    ),
    "its node does not answer": (
        status("Running", EXECUTOR, RUNNING, conditions={"DisruptionTarget": "DeletionByTaintManager"}),
        "DeletionByTaintManager",
    ),
}


@pytest.mark.parametrize(("shown", "cause"), DISRUPTIONS.values(), ids=DISRUPTIONS.keys())
def test_why_the_cluster_takes_an_executor_away(shown: dict[str, Any], cause: str | None) -> None:
    seen = executor_pod_of(pod("e", owner="d", labels=EXECUTOR_LABELS, status=shown))
    assert seen is not None
    assert seen.disruption == cause


def test_the_peak_of_an_executor_is_known_if_the_driver_told_it() -> None:
    view = spark(1, 2, peaks={1: 700})
    assert [view.peak_memory_mib(number) for number in (1, 2, 3)] == [700, None, None]


DEPARTURES: dict[str, tuple[Any, type, EndKind]] = {
    "it had succeeded": (driver(GONE_HOME), Succeeded, EndKind.COMPLETED),
    "it ran": (driver(), Failed, EndKind.DELETED),
    "it was being evicted": (driver(disruption="EvictionByEvictionAPI"), Failed, EndKind.DISRUPTED),
}


@pytest.mark.parametrize(("before", "kind", "end"), DEPARTURES.values(), ids=DEPARTURES.keys())
def test_a_driver_pod_that_is_gone_has_ended(before: Any, kind: type, end: EndKind) -> None:
    gone = departed_driver(before)
    assert gone.ended
    assert gone.gone
    assert isinstance(gone.state, kind)
    assert gone.state.ending.kind is end


def test_the_newest_driver_counts() -> None:
    view = observed(
        executor(1), executor(2, of="d-2"), drivers=(driver(), driver(name="d-2")), spark=spark(of="d-1")
    )
    assert view.driver is not None
    assert view.driver.name == "d-2"
    assert list(view.executors_of(view.driver)) == [2]
    assert view.spark_of(view.driver) == NOTHING_ASKED
    assert view.spark_of(view.drivers[0]) == view.spark
    assert Observed().driver is None
    assert isinstance(driver(Running()).state, Running)
