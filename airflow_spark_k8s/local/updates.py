"""What a write makes of a stored object: what is kept, what may change, when the generation goes up."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local import defaults
from airflow_spark_k8s.local.errors import Cause
from airflow_spark_k8s.local.manifests import copy_manifest
from airflow_spark_k8s.local.priority_classes import changed_causes
from airflow_spark_k8s.local.resources import (
    CONFIG_MAPS,
    JOBS,
    NAMESPACES,
    PODS,
    PRIORITY_CLASSES,
    SECRETS,
    Resource,
)
from airflow_spark_k8s.local.validation import content_causes, metadata_causes, raise_if_any
from airflow_spark_k8s.local.validation_names import forbidden_change, invalid_value

_KEPT_METADATA = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
)
_POD_RULE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_JOB_IMMUTABLE = (
    "completions",
    "selector",
    "completionMode",
    "podFailurePolicy",
    "backoffLimitPerIndex",
    "managedBy",
)
# What Kueue and others may set before a suspended Job starts.
_SUSPENDED_MAY_CHANGE = ("nodeSelector", "affinity", "tolerations", "schedulingGates")


def prepare_update(resource: Resource, old: Manifest, obj: Manifest, subresource: str | None) -> Manifest:
    """
    The object to store: a changed copy of `obj`, equal to `old` if the write changes nothing.

    `subresource` None: the status stays; "status": the spec stays; else all is replaced. Raises ApiError 422.
    """
    kept = _kept_part(resource, subresource)
    # Most writes are of a pod's status: the long part that stays as it was need not be copied.
    new = copy_manifest({key: None if key == kept else part for key, part in obj.items()})
    new["apiVersion"], new["kind"] = resource.api_version, resource.kind
    _keep_metadata(old["metadata"], new.setdefault("metadata", {}))
    if kept is not None:
        _keep(old, new, kept)
    if subresource is not None:
        return new
    _complete(resource, old, new)
    if new == old:
        return new
    changes = [*_finalizer_causes(old, new), *_immutable_causes(resource, old, new)]
    raise_if_any(
        resource, new, [*metadata_causes(resource, new), *changes, *_content_causes(resource, old, new)]
    )
    if resource.has_generation and new.get("spec") != old.get("spec"):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    return new


def _kept_part(resource: Resource, subresource: str | None) -> str | None:
    """The part of the stored object that the write does not touch; None: it may touch all."""
    if subresource == "status":
        return "spec"
    return "status" if subresource is None and resource.has_status else None


def _keep_metadata(old: Manifest, new: Manifest) -> None:
    new.pop("managedFields", None)
    for key in _KEPT_METADATA:
        if key in old:
            new[key] = old[key]
        else:
            new.pop(key, None)
    for key in ("labels", "annotations", "finalizers", "ownerReferences"):
        if key in new and not new[key]:
            del new[key]


def _keep(old: Manifest, new: Manifest, key: str) -> None:
    if key in old:
        new[key] = old[key]
    else:
        new.pop(key, None)


def _complete(resource: Resource, old: Manifest, new: Manifest) -> None:
    if resource is PODS:
        new.setdefault("spec", {})
        if new["spec"] != old["spec"]:
            defaults.default_pod_spec(new["spec"])
    elif resource is JOBS:
        if new.setdefault("spec", {}) != old["spec"]:
            new["spec"] = {
                **{key: old["spec"][key] for key in _DEFAULTED_JOB if key in old["spec"]},
                **new["spec"],
            }
            defaults.default_pod_spec(new["spec"].setdefault("template", {}).setdefault("spec", {}))
    elif resource is SECRETS:
        defaults.default_secret(new)
    elif resource is NAMESPACES:
        _keep(old, new, "spec")


_DEFAULTED_JOB = (
    "parallelism",
    "completionMode",
    "suspend",
    "podReplacementPolicy",
    "backoffLimit",
    "manualSelector",
    "selector",
)


def _content_causes(resource: Resource, old: Manifest, new: Manifest) -> Iterator[Cause]:
    # A Job's template cannot have changed here; re-checking thousands of pods' specs would only cost time.
    if resource is PODS or new.get("spec") == old.get("spec") is not None:
        return iter(())
    return content_causes(resource, new)


def _finalizer_causes(old: Manifest, new: Manifest) -> Iterator[Cause]:
    if "deletionTimestamp" not in old["metadata"]:
        return
    before = set(old["metadata"].get("finalizers") or [])
    added = [each for each in new["metadata"].get("finalizers") or [] if each not in before]
    if added:
        listed = ", ".join(f'"{each}"' for each in added)
        yield forbidden_change(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{listed}}}",
        )


def _immutable_causes(resource: Resource, old: Manifest, new: Manifest) -> Iterator[Cause]:
    if resource is PODS:
        return _pod_causes(old["spec"], new["spec"])
    if resource is JOBS:
        return _job_causes(old, new)
    if resource is CONFIG_MAPS or resource is SECRETS:
        return _data_causes(resource, old, new)
    if resource is PRIORITY_CLASSES:
        return changed_causes(old, new)
    return iter(())


def _pod_causes(old: Manifest, new: Manifest) -> Iterator[Cause]:
    if old == new:
        return
    allowed = copy_manifest(new)
    if "activeDeadlineSeconds" in old:
        allowed["activeDeadlineSeconds"] = old["activeDeadlineSeconds"]
    else:
        allowed.pop("activeDeadlineSeconds", None)
    tolerations = old.get("tolerations") or []
    if all(each in (new.get("tolerations") or []) for each in tolerations):
        allowed["tolerations"] = tolerations
    for kind in ("containers", "initContainers"):
        for before, after in zip(old.get(kind) or [], allowed.get(kind) or [], strict=False):
            after["image"] = before["image"]
    if allowed != old:
        yield forbidden_change("spec", f"{_POD_RULE}\n{_difference(old, allowed)}")


def _difference(old: Manifest, new: Manifest) -> str:
    before, after = (json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (old, new))
    lines = list(difflib.unified_diff(before, after, n=3, lineterm=""))[2:]
    return "\n".join(lines) + "\n"


def _job_causes(old: Manifest, new: Manifest) -> Iterator[Cause]:
    before, after = old["spec"], new["spec"]
    if before == after:
        return
    for name in _JOB_IMMUTABLE:
        if before.get(name) != after.get(name):
            yield invalid_value(f"spec.{name}", json.dumps(after.get(name)), "field is immutable")
    was, wanted = before["template"], after["template"]
    if before.get("suspend") and not (old.get("status") or {}).get("startTime"):
        wanted = _as_suspended_allows(was, wanted)
    if was != wanted:
        why = f"Invalid value: {json.dumps(after['template'], separators=(',', ':'))}: field is immutable"
        yield Cause("FieldValueInvalid", why, "spec.template")


def _as_suspended_allows(was: Manifest, wanted: Manifest) -> Manifest:
    allowed = copy_manifest(wanted)
    allowed["metadata"] = was.get("metadata")
    for name in _SUSPENDED_MAY_CHANGE:
        _keep(was["spec"], allowed["spec"], name)
    return allowed


def _data_causes(resource: Resource, old: Manifest, new: Manifest) -> Iterator[Cause]:
    if resource is SECRETS and old.get("type") != new.get("type"):
        yield invalid_value("type", new.get("type"), "field is immutable")
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden_change("immutable", "field is immutable when `immutable` is set")
    for field in ("data", "binaryData"):
        if (old.get(field) or {}) != (new.get(field) or {}):
            yield forbidden_change(field, "field is immutable when `immutable` is set")
