"""Lifecycles as the watch of a cluster shows them, reduced to what is compared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

Step = tuple[str, dict[str, Any]]
CONTRACT = Path(__file__).parent / "contract"


def recorded(file: str) -> dict[str, dict[str, Any]]:
    """Case → object to create and the events that followed, of one file of the contract."""
    lines = (CONTRACT / file).read_text().splitlines()
    return {case["case"]: case for case in map(json.loads, lines)}


def steps_of(changes: list[list[Any]]) -> list[Step]:
    """Full digests from the changes that a contract file keeps."""
    steps: list[Step] = []
    state: dict[str, Any] = {}
    for kind, change in changes:
        state = {key: value for key, value in {**state, **change}.items() if value is not None}
        steps.append((kind, state))
    return steps


def digest(obj: dict[str, Any]) -> dict[str, Any]:
    """What is compared of a pod or Job; no name, uid, time or address."""
    details = _pod(obj) if obj["kind"] == "Pod" else _job(obj)
    found = {**_metadata(obj["metadata"]), **details, "conditions": _conditions(obj)}
    anonymous = re.sub(r"golden/(\w+)-\w{5} ", r"golden/\1-xxxxx ", json.dumps(found))
    return {key: value for key, value in json.loads(anonymous).items() if value is not None}


def without_repeats(steps: list[Step]) -> list[Step]:
    """The steps without those that change nothing that is compared."""
    return [step for index, step in enumerate(steps) if index == 0 or steps[index - 1] != step]


def surplus(wanted: list[Step], found: list[Step]) -> int | None:
    """How many steps of `found` are not in `wanted`, the order being the same; None if one is missing."""
    position = 0
    for step in wanted:
        try:
            position = found.index(step, position) + 1
        except ValueError:
            return None
    return position - len(wanted)


def _metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    found = {"generation": metadata.get("generation"), "finalizers": metadata.get("finalizers")}
    if "deletionTimestamp" in metadata:
        found["deletion"] = metadata.get("deletionGracePeriodSeconds")
    return found


def _conditions(obj: dict[str, Any]) -> list[str]:
    parts = [
        (f"{c['type']}={c['status']}", c.get("reason"), c.get("message"))
        for c in obj.get("status", {}).get("conditions") or []
    ]
    return [":".join(part for part in each if part) for each in parts]


def _pod(pod: dict[str, Any]) -> dict[str, Any]:
    status = pod["status"]
    found: dict[str, Any] = {
        "phase": status["phase"],
        "bound": "nodeName" in pod["spec"],
        "ip": "podIP" in status,
        "observed": status.get("observedGeneration"),
    }
    for container in status.get("containerStatuses") or []:
        ((state, details),) = container["state"].items()
        found[container["name"]] = {
            "state": state,
            **{key: details[key] for key in ("reason", "message", "exitCode") if key in details},
            "ready": container["ready"],
            "started": container["started"],
            "id": bool(container.get("containerID")),
            "image": bool(container["imageID"]),
        }
    return found


def _job(job: dict[str, Any]) -> dict[str, Any]:
    status = job["status"]
    counters = ("active", "ready", "terminating", "failed", "succeeded")
    return {
        **{key: status[key] for key in counters if key in status},
        "startTime": "startTime" in status,
        "completionTime": "completionTime" in status,
        "uncounted": {key: len(uids) for key, uids in (status.get("uncountedTerminatedPods") or {}).items()},
    }
