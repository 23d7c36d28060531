from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.exit_codes import described, meaning
from airflow_spark_k8s.core.pod_state import (
    Deleted,
    EndKind,
    Failed,
    Pending,
    PodState,
    Running,
    Succeeded,
    Unknown,
    disruption,
    has_silent_node,
    has_stopped,
    pod_state,
)
from tests.fakes.objects import EXECUTOR, RUNNING, pod, status, terminated, waiting


def _state(pod_status: dict[str, Any] | None, **parts: Any) -> PodState:
    return pod_state(pod("p", status=pod_status or {}, **parts), EXECUTOR)


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    ],
}
WAITING_INIT = {
    "phase": "Pending",
    "initContainerStatuses": [{"name": "init", "state": waiting("ErrImagePull", "no such image")}],
    "containerStatuses": [{"name": EXECUTOR, "state": waiting("PodInitializing")}],
}

ALIVE: dict[str, tuple[dict[str, Any], PodState]] = {
    "a pod without any status is pending": ({}, Pending()),
    "a pod that was just created is pending": ({"phase": "Pending"}, Pending()),
    "a pod that fits nowhere says so": (UNSCHEDULABLE, Pending("Unschedulable", "0/1 nodes")),
    "a container that is being made says so": (
        status("Pending", state=waiting("ContainerCreating", "")),
        Pending("ContainerCreating", ""),
    ),
    "an image that cannot be pulled says so": (
        status("Pending", state=waiting("ImagePullBackOff", "Back-off")),
        Pending("ImagePullBackOff", "Back-off"),
    ),
    "an init container that waits goes before the others": (
        WAITING_INIT,
        Pending("ErrImagePull", "no such image"),
    ),
    "containers that wait for init containers say nothing": (
        status("Pending", state=waiting("PodInitializing")),
        Pending(),
    ),
    "a container that cannot be made goes before one that is being made": (
        {
            "phase": "Pending",
            "containerStatuses": [
                {"name": "proxy", "state": waiting("ContainerCreating")},
                {"name": EXECUTOR, "state": waiting("CreateContainerConfigError", 'secret "s" not found')},
            ],
        },
        Pending("CreateContainerConfigError", 'secret "s" not found'),
    ),
    "a running container runs": (status("Running", state=RUNNING), Running()),
    "a running pod may have no container statuses yet": ({"phase": "Running"}, Running()),
    "a pod with other conditions that is not ready": (
        status("Running", state=RUNNING, conditions={"ContainersReady": "", "Initialized": ""}),
        Running(),
    ),
    "a pending container that was scheduled": (
        {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
        },
        Pending(),
    ),
    "a container without any state": (
        {"phase": "Pending", "containerStatuses": [{"name": EXECUTOR}]},
        Pending(),
    ),
    "a ready pod is ready": (status("Running", state=RUNNING, conditions={"Ready": ""}), Running(ready=True)),
    "another container's end does not matter": (
        status("Running", "sidecar", terminated(1)),
        Running(),
    ),
    "a pod of a silent node is unknown": ({"phase": "Unknown"}, Unknown()),
}


@pytest.mark.parametrize(("pod_status", "state"), ALIVE.values(), ids=ALIVE.keys())
def test_a_pod_that_is_not_over(pod_status: dict[str, Any], state: PodState) -> None:
    assert _state(pod_status) == state


EVICTED = {"DisruptionTarget": "EvictionByEvictionAPI"}
FAILED_INIT = {
    "phase": "Failed",
    "initContainerStatuses": [
        {"name": "first", "state": terminated(0)},
        {"name": "second", "state": terminated(4)},
    ],
}

OUTGROWN = 'Usage of EmptyDir volume "spark-local-dir-1" exceeds the limit "1Gi". '

ENDED: dict[str, tuple[dict[str, Any], dict[str, Any], type, EndKind, int | None, str]] = {
    "exit code 0": (
        status("Succeeded", state=terminated(0)),
        {},
        Succeeded,
        EndKind.COMPLETED,
        0,
        "exit code 0",
    ),
    "exit code 0 though the pod still runs": (
        status("Running", state=terminated(0)),
        {},
        Succeeded,
        EndKind.COMPLETED,
        0,
        "exit code 0",
    ),
    "exit code 0 though a sidecar failed": (
        status("Failed", state=terminated(0)),
        {},
        Succeeded,
        EndKind.COMPLETED,
        0,
        "exit code 0",
    ),
    "succeeded, container statuses cleared away": (
        {"phase": "Succeeded"},
        {},
        Succeeded,
        EndKind.COMPLETED,
        None,
        "exit code not recorded",
    ),
    "an exit code of its own": (
        status("Failed", state=terminated(3)),
        {},
        Failed,
        EndKind.ERROR,
        3,
        "exit code 3",
    ),
    "an exit code before the phase follows": (
        status("Running", state=terminated(3)),
        {},
        Failed,
        EndKind.ERROR,
        3,
        "exit code 3",
    ),
    "the last line of a termination message": (
        status("Failed", state=terminated(3, message="one\ntwo")),
        {},
        Failed,
        EndKind.ERROR,
        3,
        "exit code 3: two",
    ),
    "killed for memory": (
        status("Failed", state=terminated(137, "OOMKilled")),
        {},
        Failed,
        EndKind.OUT_OF_MEMORY,
        137,
        "OOMKilled",
    ),
    "a child killed for memory, exit code 0": (
        status("Succeeded", state=terminated(0, "OOMKilled")),
        {},
        Succeeded,
        EndKind.OUT_OF_MEMORY,
        0,
        "OOMKilled",
    ),
    "a child killed for memory, exit code 1": (
        status("Failed", state=terminated(1, "OOMKilled")),
        {},
        Failed,
        EndKind.OUT_OF_MEMORY,
        1,
        "OOMKilled",
    ),
    "killed for memory while it was being evicted": (
        status("Failed", state=terminated(137, "OOMKilled"), conditions=EVICTED),
        {},
        Failed,
        EndKind.OUT_OF_MEMORY,
        137,
        "OOMKilled",
    ),
    "SIGKILL alone is no proof of memory": (
        status("Failed", state=terminated(137)),
        {},
        Failed,
        EndKind.MAYBE_OUT_OF_MEMORY,
        137,
        "possibly for memory",
    ),
    "out of heap": (
        status("Failed", state=terminated(52)),
        {},
        Failed,
        EndKind.HEAP_EXHAUSTED,
        52,
        "out of Java heap",
    ),
    "evicted": (
        status("Failed", state=terminated(143), conditions=EVICTED),
        {"deleting": 3},
        Failed,
        EndKind.DISRUPTED,
        143,
        "EvictionByEvictionAPI, exit code 143",
    ),
    "evicted by the kubelet, no container statuses": (
        {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
        {},
        Failed,
        EndKind.DISRUPTED,
        None,
        "Evicted: low on memory",
    ),
    "cleared away with its node": (
        status("Failed", state=None, conditions={"DisruptionTarget": "DeletionByPodGC"}),
        {},
        Failed,
        EndKind.DISRUPTED,
        None,
        "DeletionByPodGC",
    ),
    "the kubelet lost track of it": (
        status("Failed", state=terminated(137, "ContainerStatusUnknown")),
        {},
        Failed,
        EndKind.DISRUPTED,
        137,
        "ContainerStatusUnknown",
    ),
    "its node was started anew": (
        status("Failed", state=terminated(255, "Unknown")),
        {},
        Failed,
        EndKind.DISRUPTED,
        255,
        "Unknown: its node has lost track of it, exit code 255",
    ),
    "evicted for its own scratch volume": (
        status("Failed", state=terminated(137), reason="Evicted", message=OUTGROWN),
        {},
        Failed,
        EndKind.ERROR,
        137,
        'Evicted: Usage of EmptyDir volume "spark-local-dir-1" exceeds the limit "1Gi". (exit code 137)',
    ),
    "evicted for what all its containers wrote": (
        status(
            "Failed",
            reason="Evicted",
            message="Pod ephemeral local storage usage exceeds the total limit of containers 8Mi. ",
        ),
        {},
        Failed,
        EndKind.ERROR,
        None,
        "Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 8Mi.",
    ),
    "evicted for what one container wrote": (
        status(
            "Failed",
            state=terminated(143),
            reason="Evicted",
            message='Container c exceeded its local ephemeral storage limit "8Mi". ',
        ),
        {},
        Failed,
        EndKind.ERROR,
        143,
        "Evicted: Container c exceeded its local ephemeral storage limit",
    ),
    "evicted because its node was full, with more than it may": (
        status(
            "Failed",
            state=terminated(137),
            conditions={"DisruptionTarget": "TerminationByKubelet"},
            reason="Evicted",
            message="The node was low on resource: ephemeral-storage. " + OUTGROWN,
        ),
        {},
        Failed,
        EndKind.DISRUPTED,
        137,
        "TerminationByKubelet",
    ),
    "longer on its node than its own deadline": (
        status("Failed", state=terminated(143), reason="DeadlineExceeded", message="Pod was active too long"),
        {},
        Failed,
        EndKind.ERROR,
        143,
        "DeadlineExceeded: Pod was active too long (exit code 143)",
    ),
    "refused by the kubelet": (
        {"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough resource"},
        {},
        Failed,
        EndKind.DISRUPTED,
        None,
        "OutOfcpu",
    ),
    "failed for a reason of no known kind": (
        {"phase": "Failed", "reason": "Strange"},
        {},
        Failed,
        EndKind.DISRUPTED,
        None,
        "Strange",
    ),
    "failed without any word": (
        {"phase": "Failed"},
        {},
        Failed,
        EndKind.DISRUPTED,
        None,
        "no reason recorded",
    ),
    "deleted by somebody while it ran": (
        status("Failed", state=terminated(143)),
        {"deleting": 30},
        Failed,
        EndKind.DELETED,
        143,
        "deleted",
    ),
    "deleted, no container statuses": (
        {"phase": "Failed"},
        {"deleting": 0},
        Failed,
        EndKind.DELETED,
        None,
        "deleted",
    ),
    "deleted before it ran": (
        {"phase": "Pending"},
        {"deleting": 0},
        Deleted,
        EndKind.DELETED,
        None,
        "deleted",
    ),
    "preempted before it ran": (
        status("Pending", state=None, conditions={"DisruptionTarget": "PreemptionByScheduler"}),
        {"deleting": 0},
        Deleted,
        EndKind.DELETED,
        None,
        "deleted (PreemptionByScheduler)",
    ),
    "a command that is not there": (
        status("Failed", state=terminated(128, "StartError", message="no such file")),
        {},
        Failed,
        EndKind.NEVER_STARTED,
        128,
        "StartError: no such file",
    ),
    "a start error while the phase is still Pending": (
        status("Pending", state=terminated(128, "StartError")),
        {},
        Failed,
        EndKind.NEVER_STARTED,
        128,
        "StartError",
    ),
    "an init container that failed": (
        FAILED_INIT,
        {},
        Failed,
        EndKind.NEVER_STARTED,
        None,
        "init container second: exit code 4",
    ),
}


def test_a_sidecar_that_is_ended_with_its_pod_is_not_what_made_it_fail() -> None:
    states = [{"name": "proxy", "state": terminated(137)}, {"name": "init", "state": terminated(4)}]
    manifest = pod("p", status={"phase": "Failed", "initContainerStatuses": states})
    manifest["spec"]["initContainers"] = [{"name": "proxy", "restartPolicy": "Always"}, {"name": "init"}]
    state = pod_state(manifest, EXECUTOR)
    assert isinstance(state, Failed)
    assert state.ending.text == "init container init: exit code 4"


@pytest.mark.parametrize(
    ("pod_status", "parts", "kind", "end", "code", "text"), ENDED.values(), ids=ENDED.keys()
)
def test_a_pod_that_is_over(
    pod_status: dict[str, Any], parts: dict[str, Any], kind: type, end: EndKind, code: int | None, text: str
) -> None:
    state = _state(pod_status, **parts)
    assert isinstance(state, Succeeded | Failed | Deleted)
    assert type(state) is kind
    assert (state.ending.kind, state.ending.exit_code) == (end, code)
    assert text in state.ending.text


def test_a_running_pod_that_is_being_deleted_runs_until_it_ends() -> None:
    assert _state(status("Running", state=RUNNING), deleting=30) == Running()


@pytest.mark.parametrize(
    ("started", "finished", "seconds"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z", 90.0),
        (None, "2026-01-01T00:01:30Z", None),
        ("2026-01-01T00:00:00Z", None, None),
        ("yesterday", "today", None),
    ],
    ids=["both times", "no start", "no end", "no times at all"],
)
def test_how_long_a_container_ran(started: str | None, finished: str | None, seconds: float | None) -> None:
    state = terminated(1)
    state["terminated"] |= {"startedAt": started, "finishedAt": finished}
    ended = _state(status("Failed", state=state))
    assert isinstance(ended, Failed)
    assert ended.ending.ran_seconds == seconds


def test_only_what_is_out_of_the_ordinary_is_trouble() -> None:
    fine, child = _state(status("Succeeded", state=terminated(0))), terminated(0, "OOMKilled")
    assert isinstance(fine, Succeeded)
    assert fine.ending.trouble == ""
    troubled = _state(status("Succeeded", state=child))
    assert isinstance(troubled, Succeeded)
    assert troubled.ending.trouble == "OOMKilled, exit code 0"


@pytest.mark.parametrize(
    ("pod_status", "why"),
    [
        ({"phase": "Running"}, None),
        (
            status("Running", conditions={"DisruptionTarget": "DeletionByTaintManager"}),
            "DeletionByTaintManager",
        ),
        ({"phase": "Failed", "reason": "NodeShutdown"}, "NodeShutdown"),
        ({"phase": "Failed", "reason": "DeadlineExceeded"}, None),
    ],
    ids=["none", "a condition", "a reason of the pod", "a reason that is no disruption"],
)
def test_disruption(pod_status: dict[str, Any], why: str | None) -> None:
    assert disruption(pod("p", status=pod_status)) == why


def test_exit_codes_in_words() -> None:
    assert meaning(56) is not None
    assert meaning(3) is None
    assert described(3) == "exit code 3"
    assert described(143) == "exit code 143 (SIGTERM)"


# The pod's deletion was asked for at 00:01:00, and its container ended so many seconds after 00:00:00.
LATE_DELETIONS: dict[str, tuple[int, int, EndKind]] = {
    "it had failed before": (3, 50, EndKind.ERROR),
    "it failed while it was being deleted": (3, 61, EndKind.DELETED),
    "it failed in the same second": (3, 60, EndKind.DELETED),
    "it was ended by a signal, by whatever clock": (143, 50, EndKind.DELETED),
    "it was killed, by whatever clock": (137, 50, EndKind.DELETED),
}


@pytest.mark.parametrize(("code", "seconds", "kind"), LATE_DELETIONS.values(), ids=LATE_DELETIONS.keys())
def test_a_container_that_had_ended_before_its_pod_was_deleted(
    code: int, seconds: int, kind: EndKind
) -> None:
    manifest = pod("p", status=status("Failed", state=terminated(code, seconds=seconds)), deleting=30)
    manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:30Z"
    state = pod_state(manifest, EXECUTOR)
    assert isinstance(state, Failed)
    assert state.ending.kind is kind


@pytest.mark.parametrize("finished", [None, "no time"])
def test_an_end_without_a_time_is_the_deletions(finished: str | None) -> None:
    manifest = pod("p", status=status("Failed", state=terminated(3)), deleting=30)
    manifest["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] = finished
    state = pod_state(manifest, EXECUTOR)
    assert isinstance(state, Failed)
    assert state.ending.kind is EndKind.DELETED


STOPPED: dict[str, tuple[dict[str, Any], bool]] = {
    "its container runs": (pod("p", node="n", status=status("Running", state=RUNNING)), False),
    "its container has ended": (pod("p", node="n", status=status("Running", state=terminated(0))), True),
    "it went while it had no node": (pod("p", deleting=0), True),
    "it has no node yet": (pod("p"), False),
    "its kubelet has refused it": (
        pod("p", node="n", status={"phase": "Failed", "reason": "OutOfcpu"}),
        True,
    ),
    "it was cleared away with its node": (pod("p", node="n", status=status("Failed", state=RUNNING)), False),
    "it went from a node that said nothing": (pod("p", node="n", deleting=0), False),
}


@pytest.mark.parametrize(("manifest", "stopped"), STOPPED.values(), ids=STOPPED.keys())
def test_whether_a_container_surely_runs_no_more(manifest: dict[str, Any], stopped: bool) -> None:
    assert has_stopped(manifest, EXECUTOR) == stopped


def _conditions(**wanted: str) -> dict[str, Any]:
    entries = [{"type": kind, "status": value} for kind, value in wanted.items()]
    return {"phase": "Running", "conditions": entries}


SILENT: dict[str, tuple[dict[str, Any], bool]] = {
    "ready": (pod("p", status=_conditions(Ready="True", ContainersReady="True")), False),
    "not ready by its kubelet": (pod("p", status=_conditions(Ready="False", ContainersReady="False")), False),
    "not ready by the node controller": (
        pod("p", status=_conditions(Ready="False", ContainersReady="True")),
        True,
    ),
    "without a condition": (pod("p"), False),
    "a phase that nobody knows": (pod("p", status={"phase": "Unknown"}), True),
}


@pytest.mark.parametrize(("manifest", "silent"), SILENT.values(), ids=SILENT.keys())
def test_whether_kubernetes_takes_a_pods_node_for_silent(manifest: dict[str, Any], silent: bool) -> None:
    assert has_silent_node(manifest) == silent


def test_a_readiness_gate_of_its_own_is_no_silent_node() -> None:
    manifest = pod("p", status=_conditions(Ready="False", ContainersReady="True"))
    manifest["spec"]["readinessGates"] = [{"conditionType": "x"}]
    assert not has_silent_node(manifest)
