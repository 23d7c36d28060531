"""Conditions of pods, jobs and nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_spark_k8s.core.spec import Manifest


def find_condition(obj: Manifest, condition_type: str) -> Manifest | None:
    """The condition of that type in an object's status; None if it has none."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == condition_type:
            return dict(condition)
    return None


def is_true(obj: Manifest, condition_type: str) -> bool:
    """Whether the object has the condition with status True."""
    condition = find_condition(obj, condition_type)
    return condition is not None and condition["status"] == "True"


def with_condition(conditions: Iterable[Manifest] | None, new: Manifest) -> list[Manifest]:
    """
    The conditions with `new` in the place of the one of its type, or at the end.

    An unchanged status keeps its `lastTransitionTime`.
    """
    result = list(conditions or ())
    for index, old in enumerate(result):
        if old["type"] != new["type"]:
            continue
        if old["status"] == new["status"] and "lastTransitionTime" in old:
            new = {**new, "lastTransitionTime": old["lastTransitionTime"]}
        result[index] = new
        return result
    return [*result, new]


def pod_condition(
    condition_type: str,
    status: bool | str,
    now: str,
    *,
    reason: str = "",
    message: str = "",
    generation: int | None = None,
) -> Manifest:
    """A pod condition, its fields in the API server's order; `generation` None: no observedGeneration."""
    text = status if isinstance(status, str) else str(status)
    condition: Manifest = {"type": condition_type}
    if generation is not None:
        condition["observedGeneration"] = generation
    condition |= {"status": text, "lastProbeTime": None, "lastTransitionTime": now}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def is_ready(pod: Manifest) -> bool:
    """Whether the pod's Ready condition is True."""
    return is_true(pod, "Ready")


def is_deleting(obj: Manifest) -> bool:
    """Whether the object is marked for deletion."""
    return "deletionTimestamp" in obj["metadata"]


def without_finalizer(metadata: Manifest, finalizer: str) -> None:
    """Take one finalizer out of the metadata in place, and the field if it was the last."""
    left: Sequence[str] = [each for each in metadata.get("finalizers") or () if each != finalizer]
    if left:
        metadata["finalizers"] = list(left)
    else:
        metadata.pop("finalizers", None)
