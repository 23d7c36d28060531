"""What a DELETE makes of an object: gone at once, or marked and waiting for a kubelet or for finalizers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import copy_manifest, is_terminal, parse_timestamp, timestamp
from airflow_spark_k8s.local.resources import NAMESPACES, PODS, Resource

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How an object is to be deleted."""

    grace_seconds: int | None = None  # None: what the object itself says
    propagation: str | None = None  # Background, Foreground, Orphan; None: the kind's default
    uid: str | None = None  # precondition; None: any
    resource_version: str | None = None  # precondition; None: any


def mark(resource: Resource, old: Manifest, options: DeleteOptions, now: datetime) -> Manifest:
    """
    The object as the deletion leaves it: a changed copy of `old`.

    It is to be removed at once if `is_done` says so; it is to be left alone if it equals `old`.

    Source: rest.BeforeDelete and registry.Store.Delete of k8s.io/apiserver, podStrategy.CheckGracefulDelete.
    """
    _check_preconditions(resource, old, options)
    new = copy_manifest(old)
    metadata = new["metadata"]
    _set_finalizers(metadata, _finalizers(resource, metadata.get("finalizers") or [], options))
    grace = _grace_seconds(resource, old, options)
    if "deletionTimestamp" in metadata:
        _shorten(metadata, grace)
        return new
    metadata["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation"):
        metadata["generation"] += 1
    if resource is NAMESPACES:
        metadata.pop("deletionGracePeriodSeconds")
        new["status"] = {**new.get("status", {}), "phase": "Terminating"}
    return new


def is_done(resource: Resource, obj: Manifest) -> bool:
    """Whether nothing keeps a marked object any longer."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if resource is NAMESPACES and obj.get("spec", {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _check_preconditions(resource: Resource, old: Manifest, options: DeleteOptions) -> None:
    metadata = old["metadata"]
    name = metadata["name"]
    if options.uid is not None and options.uid != metadata["uid"]:
        raise uid_conflict(resource, name, options.uid, metadata["uid"])
    if options.resource_version is not None and options.resource_version != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({metadata['resourceVersion']}). The object might have been modified"
        )
        raise _kind_conflict(resource, name, why)


def uid_conflict(resource: Resource, name: str, asked: str, recorded: str) -> ApiError:
    """409: the object of that name is another one than the caller means."""
    why = (
        f"the UID in the precondition ({asked}) does not match the UID in record ({recorded}). "
        "The object might have been deleted and then recreated"
    )
    return _kind_conflict(resource, name, why)


def _kind_conflict(resource: Resource, name: str, why: str) -> ApiError:
    # Preconditions of a deletion are reported with the kind where other conflicts name the resource.
    subject = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    message = f'Operation cannot be fulfilled on {subject} "{name}": {why}'
    group = {"group": resource.group} if resource.group else {}
    return ApiError(409, "Conflict", message, {"name": name, **group, "kind": resource.kind})


def _grace_seconds(resource: Resource, obj: Manifest, options: DeleteOptions) -> int:
    if resource is not PODS:
        return 0
    spec = obj.get("spec", {})
    if not spec.get("nodeName") or is_terminal(obj):
        return 0  # no kubelet would ever confirm
    if options.grace_seconds is None:
        return int(spec.get("terminationGracePeriodSeconds", 30))
    return options.grace_seconds if options.grace_seconds >= 0 else 1


def _shorten(metadata: Manifest, grace: int) -> None:
    before = metadata.get("deletionGracePeriodSeconds") or 0
    if grace >= before:
        return
    deadline = parse_timestamp(metadata["deletionTimestamp"]) - timedelta(seconds=before - grace)
    metadata["deletionTimestamp"] = timestamp(deadline)
    metadata["deletionGracePeriodSeconds"] = grace


def _finalizers(resource: Resource, present: list[str], options: DeleteOptions) -> list[str]:
    kept = [each for each in present if each not in (ORPHAN, FOREGROUND)]
    if options.propagation is None:
        if kept != present:
            return present
        wanted = "Orphan" if resource.orphans_by_default else "Background"
    else:
        wanted = options.propagation
    added = {"Orphan": [ORPHAN], "Foreground": [FOREGROUND]}.get(wanted, [])
    return kept + added


def _set_finalizers(metadata: Manifest, finalizers: list[str]) -> None:
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
