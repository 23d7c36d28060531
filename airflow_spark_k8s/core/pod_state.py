"""What a pod is doing and how it ended; the phase comes first, container statuses may be absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_spark_k8s.core.exit_codes import HEAP_EXHAUSTED, KILLED, TERMINATED, described
from airflow_spark_k8s.core.spec import Manifest

DRIVER_CONTAINER = "spark-kubernetes-driver"
"""Name of the driver pod's container that runs Spark."""

DISRUPTION_TARGET = "DisruptionTarget"

LOW_ON_MEMORY = "low on resource: memory"
"""By which a pod's message tells evictions for memory from others."""

_EXCESS = "Container {} was using ([^ ,]+), (?:request is|which exceeds its request of) ([^ ,]+?)[,.](?: |$)"

_NEVER_STARTED = frozenset({"StartError", "ContainerCannotRun", "CreateContainerError", "RunContainerError"})
_LOST_TRACK = frozenset({"ContainerStatusUnknown", "Unknown"})
"""Reasons of a container of which its node can only say that it is gone, as after a reboot."""

_OWN_LIMIT = re.compile(r"exceeds the (?:total )?limit|exceeded its local ephemeral storage limit")
"""By which a pod's message tells an eviction for its own scratch space from one for its node's."""

_POD_REASONS_OF_THE_CLUSTER = frozenset(
    {
        "Evicted",
        "NodeLost",
        "NodeShutdown",
        "NodeAffinity",
        "NodePorts",
        "Preempting",
        "Preempted",
        "Shutdown",
        "Terminated",
        "UnexpectedAdmissionError",
    }
)


class EndKind(StrEnum):
    """Why a pod ended."""

    COMPLETED = "completed"  # exit 0
    ERROR = "error"  # an exit code of its own
    OUT_OF_MEMORY = "out of memory"  # the kernel killed it or a child of it
    HEAP_EXHAUSTED = "out of heap"  # the JVM gave up
    MAYBE_OUT_OF_MEMORY = "maybe out of memory"  # killed, and nobody said why
    NEVER_STARTED = "never started"  # the container, or one before it, could not start
    DISRUPTED = "disrupted"  # the cluster took it away: eviction, preemption, node loss
    DELETED = "deleted"  # somebody deleted it
    DRAINED = "drained"  # retired by its controller, for another executor in its place


@dataclass(frozen=True, slots=True)
class Ending:
    """How a pod ended, as far as it is recorded."""

    kind: EndKind
    text: str  # one line for a log or table
    exit_code: int | None = None  # of the Spark container; None: not recorded
    ran_seconds: float | None = None  # by the node's clock; None: not recorded

    @property
    def trouble(self) -> str:
        """The text if there is anything out of the ordinary, else nothing."""
        return "" if self.kind is EndKind.COMPLETED else self.text


@dataclass(frozen=True, slots=True)
class Requested:
    """Asked for, not yet seen."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Not started; `reason` and `message` say what it waits for, None if that is not known."""

    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The Spark container runs, or is not reported otherwise."""

    ready: bool = False


@dataclass(frozen=True, slots=True)
class Succeeded:
    """Ended with exit code 0."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Failed:
    """Ended otherwise."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Deleted:
    """On its way out before it ran."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Unknown:
    """Its node does not answer."""


PodState = Requested | Pending | Running | Succeeded | Failed | Deleted | Unknown


def pod_state(pod: Manifest, container: str) -> PodState:
    """
    The state of `pod`, whose Spark container is named `container`.

    A pod whose Spark container has ended counts as ended, whatever its other containers do. A running pod
    that is being deleted counts as running until it ends, so that a graceful end is not cut short.

    Source: org.apache.spark.scheduler.cluster.k8s.ExecutorPodsSnapshot.toState
    """
    phase = _status(pod).get("phase", "Pending")
    terminated = _terminated(pod, container)
    if phase == "Succeeded" or (terminated is not None and terminated.get("exitCode") == 0):
        return Succeeded(_ending(pod, terminated, phase))
    if phase == "Failed" or terminated is not None:
        return Failed(_ending(pod, terminated, phase))
    if phase == "Running":
        return Running(ready=condition(pod, "Ready") is not None)
    if phase == "Unknown":
        return Unknown()
    if is_deleting(pod):
        return Deleted(Ending(EndKind.DELETED, _deleted_text(pod)))
    return _pending(pod)


def condition(pod: Manifest, kind: str) -> dict[str, Any] | None:
    """The pod's condition `kind` if it is true, else None."""
    for entry in _status(pod).get("conditions") or []:
        if entry.get("type") == kind and entry.get("status") == "True":
            return dict(entry)
    return None


def has_stopped(pod: Manifest, container: str) -> bool:
    """
    Whether the Spark container surely runs no more: its node has said so, or the pod never had one.

    A pod that its kubelet has refused ends without any container; one that was cleared away with its node
    goes on showing a container that runs.
    """
    if not (pod.get("spec") or {}).get("nodeName") and is_deleting(pod):
        return True
    states = dict(_states(pod, "containerStatuses"))
    refused = _status(pod).get("phase") == "Failed" and container not in states
    return refused or "terminated" in states.get(container, {})


def has_silent_node(pod: Manifest) -> bool:
    """
    Whether Kubernetes has marked the pod because its node does not answer.

    A kubelet changes both conditions together; the node controller changes only one.

    Source: k8s.io/kubernetes/pkg/controller/util/node (MarkPodsNotReady)
    """
    gates = (pod.get("spec") or {}).get("readinessGates")
    if _status(pod).get("phase") == "Unknown":
        return True
    return not gates and condition(pod, "ContainersReady") is not None and condition(pod, "Ready") is None


def memory_excess(pod: Manifest, container: str) -> str | None:
    """
    What a kubelet that has evicted the pod says of a container that used more memory than it requests.

    :returns: None if it says no such thing: the pod ended otherwise, or for others' memory.

    Source: k8s.io/kubernetes/pkg/kubelet/eviction (evictionMessage, containerMessageFmt)
    """
    status = _status(pod)
    message = str(status.get("message") or "")
    if status.get("reason") != "Evicted" or LOW_ON_MEMORY not in message:
        return None
    found = re.search(_EXCESS.format(re.escape(container)), message)
    return f"was using {found[1]}, requests {found[2]}" if found else None


def limit_exceeded(pod: Manifest) -> str | None:
    """
    Which limit of its own the pod has run into, in its kubelet's words; None: none.

    Other than an eviction for the sake of the node that is no disruption, to the pod's Job neither.

    Source: k8s.io/kubernetes/pkg/kubelet/eviction (localStorageEviction), …/kubelet/active_deadline.go
    """
    status = _status(pod)
    reason, message = status.get("reason"), " ".join(str(status.get("message") or "").split())
    evicted = reason == "Evicted" and condition(pod, DISRUPTION_TARGET) is None
    if reason == "DeadlineExceeded" or (evicted and _OWN_LIMIT.search(message)):
        return f"{reason}: {message}" if message else str(reason)
    return None


def is_deleting(pod: Manifest) -> bool:
    """Whether somebody has asked for the pod's deletion."""
    return pod["metadata"].get("deletionTimestamp") is not None


def disruption(pod: Manifest) -> str | None:
    """Why the cluster takes or took the pod away, in its own words; None if it did not."""
    target = condition(pod, DISRUPTION_TARGET)
    if target is not None:
        return str(target.get("reason") or DISRUPTION_TARGET)
    reason = None if limit_exceeded(pod) else _status(pod).get("reason")
    if reason in _POD_REASONS_OF_THE_CLUSTER or str(reason or "").startswith("OutOf"):
        return str(reason)
    return None


def _status(pod: Manifest) -> dict[str, Any]:
    status: dict[str, Any] = pod.get("status") or {}
    return status


def _states(pod: Manifest, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in _status(pod).get(field) or []:
        yield str(entry.get("name")), entry.get("state") or {}


def _terminated(pod: Manifest, container: str) -> dict[str, Any] | None:
    for name, state in _states(pod, "containerStatuses"):
        if name == container:
            terminated: dict[str, Any] | None = state.get("terminated")
            return terminated
    return None


def _pending(pod: Manifest) -> Pending:
    for entry in _status(pod).get("conditions") or []:
        if entry.get("type") == "PodScheduled" and entry.get("status") == "False":
            return Pending(entry.get("reason"), entry.get("message"))
    waits = [wait for wait in _waits(pod) if wait.reason not in (None, "PodInitializing")]
    # A container that is being made tells less than one beside it that cannot be.
    return min(waits, key=lambda wait: wait.reason == "ContainerCreating", default=Pending())


def _waits(pod: Manifest) -> Iterator[Pending]:
    for field in ("initContainerStatuses", "containerStatuses"):
        for _, state in _states(pod, field):
            waiting = state.get("waiting") or {}
            yield Pending(waiting.get("reason"), waiting.get("message"))


def _ending(pod: Manifest, terminated: dict[str, Any] | None, phase: str) -> Ending:
    if terminated is None:
        return _ending_without_status(pod, phase)
    code = int(terminated.get("exitCode", -1))
    kind = _kind(pod, code, terminated)
    return Ending(kind, _text(pod, kind, code, terminated), code, _ran_seconds(terminated))


def _kind(pod: Manifest, code: int, terminated: dict[str, Any]) -> EndKind:
    """
    What the exit code and the kubelet's reason say together.

    The kernel's kill is the kubelet's finding, and a JVM chooses its exit code itself: both hold whatever
    else happens to the pod. Anybody may send SIGKILL: who deletes a pod or takes it away does, and else it
    may have been the kernel, on the node's behalf, which the kubelet does not always notice.

    Source: k8s.io/kubernetes/pkg/kubelet/kuberuntime, org.apache.spark.util.SparkExitCode
    """
    reason = str(terminated.get("reason") or "")
    if reason == "OOMKilled":
        return EndKind.OUT_OF_MEMORY
    if code == 0:
        return EndKind.COMPLETED
    if code == HEAP_EXHAUSTED:
        return EndKind.HEAP_EXHAUSTED
    if limit_exceeded(pod) is not None:
        return EndKind.ERROR
    if reason in _LOST_TRACK or disruption(pod) is not None:
        return EndKind.DISRUPTED
    if is_deleting(pod) and not _had_ended(pod, code, terminated):
        return EndKind.DELETED
    if reason in _NEVER_STARTED:
        return EndKind.NEVER_STARTED
    return EndKind.MAYBE_OUT_OF_MEMORY if code == KILLED else EndKind.ERROR


def _had_ended(pod: Manifest, code: int, terminated: dict[str, Any]) -> bool:
    """
    Whether the container had ended by itself before anybody asked for the pod's deletion.

    The clocks of node and API server may differ: an exit code that a deletion leads to proves nothing.
    """
    metadata, finished = pod["metadata"], terminated.get("finishedAt")
    if code in (KILLED, TERMINATED) or not finished:
        return False
    try:
        leaves_at = datetime.fromisoformat(metadata["deletionTimestamp"])
        grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
        return datetime.fromisoformat(finished) < leaves_at - grace
    except (ValueError, TypeError):
        return False


def _text(pod: Manifest, kind: EndKind, code: int, terminated: dict[str, Any]) -> str:
    message, limit = str(terminated.get("message") or "").strip(), limit_exceeded(pod)
    if kind is EndKind.OUT_OF_MEMORY:
        return f"OOMKilled, exit code {code}"
    if kind is EndKind.DISRUPTED:
        lost = f"{terminated.get('reason')}: its node has lost track of it"
        return f"{disruption(pod) or lost}, {described(code)}"
    if kind is EndKind.ERROR and limit is not None:
        return f"{limit} (exit code {code})"
    if kind is EndKind.DELETED:
        return f"{_deleted_text(pod)}, {described(code)}"
    if kind is EndKind.NEVER_STARTED:
        return f"{terminated.get('reason')}: {message}" if message else str(terminated.get("reason"))
    last_line = message.rsplit("\n", 1)[-1]
    return f"{described(code)}: {last_line}" if last_line and code else described(code)


def _ending_without_status(pod: Manifest, phase: str) -> Ending:
    """A pod that the kubelet refused, or that was cleared away with its node."""
    if phase == "Succeeded":
        return Ending(EndKind.COMPLETED, "succeeded, exit code not recorded")
    cause = disruption(pod)
    if cause is not None:
        message = _status(pod).get("message")
        return Ending(EndKind.DISRUPTED, f"{cause}: {message}" if message else cause)
    limit = limit_exceeded(pod)
    if limit is not None:
        return Ending(EndKind.ERROR, limit)
    for name, state in _states(pod, "initContainerStatuses"):
        if name in _sidecars(pod):
            continue  # it is ended with the pod, and that makes its exit code
        ended = state.get("terminated") or {}
        if ended.get("exitCode", 0) != 0:
            return Ending(
                EndKind.NEVER_STARTED, f"init container {name}: {described(int(ended['exitCode']))}"
            )
    if is_deleting(pod):
        return Ending(EndKind.DELETED, _deleted_text(pod))
    words = [_status(pod).get("reason"), _status(pod).get("message")]
    return Ending(EndKind.DISRUPTED, ": ".join(map(str, filter(None, words))) or "failed, no reason recorded")


def _sidecars(pod: Manifest) -> set[str]:
    """Init containers that run beside the others."""
    containers = (pod.get("spec") or {}).get("initContainers") or []
    return {str(each.get("name")) for each in containers if each.get("restartPolicy") == "Always"}


def _deleted_text(pod: Manifest) -> str:
    cause = disruption(pod)
    return f"deleted ({cause})" if cause else "deleted"


def _ran_seconds(terminated: dict[str, Any]) -> float | None:
    started, finished = terminated.get("startedAt"), terminated.get("finishedAt")
    if not started or not finished:
        return None
    try:
        return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
    except ValueError:
        return None
