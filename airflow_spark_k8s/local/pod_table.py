"""
The row that `kubectl get pods` prints.

Source: printPod of k8s.io/kubernetes/pkg/printers/internalversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_spark_k8s.core.spec import Manifest

POD_COLUMNS = (
    ("Name", "string", 0),
    ("Ready", "string", 0),
    ("Status", "string", 0),
    ("Restarts", "string", 0),
    ("Age", "string", 0),
    ("IP", "string", 1),
    ("Node", "string", 1),
    ("Nominated Node", "string", 1),
    ("Readiness Gates", "string", 1),
)


def pod_cells(pod: Manifest, age: str) -> Sequence[Any]:
    """The cells of `POD_COLUMNS`."""
    status, spec = pod.get("status") or {}, pod["spec"]
    states = status.get("containerStatuses") or []
    ready = sum(1 for each in states if each.get("ready"))
    restarts = sum(each.get("restartCount", 0) for each in states)
    return (
        pod["metadata"]["name"],
        f"{ready}/{len(spec.get('containers') or [])}",
        pod_state(pod),
        str(restarts),
        age,
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        "<none>",
    )


def pod_state(pod: Manifest) -> str:
    """One word (or two) for the pod's state: its phase, or the reason why it is not what it should be."""
    status = pod.get("status") or {}
    state = status.get("reason") or status.get("phase") or "Unknown"
    initializing = _initializing(pod)
    if initializing:
        state = initializing
    else:
        for each in reversed(status.get("containerStatuses") or []):
            state = _why(each.get("state") or {}) or state
        if state == "Completed" and any(each.get("ready") for each in status.get("containerStatuses") or []):
            state = "Running"
    if "deletionTimestamp" not in pod["metadata"]:
        return str(state)
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return "Terminating" if status.get("phase") not in ("Succeeded", "Failed") else str(state)


def _initializing(pod: Manifest) -> str | None:
    total = len(pod["spec"].get("initContainers") or [])
    for index, each in enumerate((pod.get("status") or {}).get("initContainerStatuses") or []):
        state = each.get("state") or {}
        terminated = state.get("terminated")
        if terminated is not None and terminated.get("exitCode") == 0:
            continue
        reason = _why(state)
        if reason and reason != "PodInitializing":
            return f"Init:{reason}"
        return f"Init:{index}/{total}"
    return None


def _why(state: Manifest) -> str | None:
    waiting, terminated = state.get("waiting"), state.get("terminated")
    if waiting is not None and waiting.get("reason"):
        return str(waiting["reason"])
    if terminated is None:
        return None
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode')}"
