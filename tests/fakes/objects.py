"""Manifests as an API server would show them, as small as the code under test allows."""

from __future__ import annotations

from typing import Any

DRIVER = "spark-kubernetes-driver"
EXECUTOR = "spark-kubernetes-executor"
DRIVER_LABELS = {"spark-role": "driver"}


def terminated(
    exit_code: int, reason: str | None = None, *, message: str | None = None, seconds: int = 100
) -> dict[str, Any]:
    """State of a container that has ended after `seconds`."""
    minutes, rest = divmod(seconds, 60)
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": reason or ("Completed" if exit_code == 0 else "Error"),
            **({"message": message} if message else {}),
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": f"2026-01-01T00:{minutes:02d}:{rest:02d}Z",
        }
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """State of a container that waits."""
    return {"waiting": {"reason": reason, "message": message}}


RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def status(
    phase: str,
    container: str = EXECUTOR,
    state: dict[str, Any] | None = None,
    *,
    conditions: dict[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A pod's status; `conditions` are true ones with their reasons."""
    statuses = [{"name": container, "state": state}] if state is not None else []
    return {
        "phase": phase,
        "containerStatuses": statuses,
        "conditions": [
            {"type": kind, "status": "True", "reason": reason} for kind, reason in (conditions or {}).items()
        ],
        **fields,
    }


def pod(name: str, *, owner: str | None = None, **parts: Any) -> dict[str, Any]:
    """A pod; `parts` are labels, annotations, status, uid, version, deleting (grace in seconds) and node."""
    metadata: dict[str, Any] = {
        "name": name,
        "uid": parts.get("uid", f"uid-of-{name}"),
        "resourceVersion": str(parts.get("version", 1)),
        "creationTimestamp": parts.get("created", "2026-01-01T00:00:00Z"),
        "labels": parts.get("labels", {}),
        "annotations": parts.get("annotations", {}),
    }
    if owner is not None:
        metadata["ownerReferences"] = [{"kind": "Any", "name": "owner", "uid": owner, "controller": True}]
    if parts.get("deleting") is not None:
        metadata |= {
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": parts["deleting"],
        }
    spec = {"nodeName": parts["node"]} if parts.get("node") else {}
    return {"metadata": metadata, "spec": spec, "status": parts.get("status", {"phase": "Pending"})}


def job(*, conditions: dict[str, tuple[str, str]] | None = None, **parts: Any) -> dict[str, Any]:
    """A Job; `conditions` are true ones with reason and message."""
    metadata: dict[str, Any] = {
        "name": parts.get("name", "app-r0"),
        "labels": {"airflow-spark-k8s/application": "app"},
        "uid": parts.get("uid", "uid-of-job"),
        "resourceVersion": str(parts.get("version", 1)),
        "annotations": parts.get("annotations", {}),
    }
    if parts.get("deleting"):
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    entries = [
        {"type": kind, "status": "True", "reason": reason, "message": message}
        for kind, (reason, message) in (conditions or {}).items()
    ]
    return {"metadata": metadata, "spec": parts.get("spec", {}), "status": {"conditions": entries}}
