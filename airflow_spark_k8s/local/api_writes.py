"""POST, PUT, PATCH and DELETE of objects and collections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.api_reads import as_list, select, selected
from airflow_spark_k8s.local.decoding import check_fields, decode, parse_body, parse_json
from airflow_spark_k8s.local.errors import ApiError, bad_request, invalid, not_found
from airflow_spark_k8s.local.exchange import Request, Response
from airflow_spark_k8s.local.patch import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_MERGE_PATCH,
    apply_patch,
)
from airflow_spark_k8s.local.resources import NAMESPACES, Resource
from airflow_spark_k8s.local.routing import Target
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.validation_names import required, unsupported

_PATCHES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH)
_PATCH_OPTIONS = Resource("meta.k8s.io", "v1", "patchoptions", "patchoptions", "PatchOptions")
_PROPAGATION = ("Foreground", "Background", "Orphan")
_ORPHAN_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove "
    "them or set propagationPolicy=Orphan to suppress this warning"
)


def create_object(store: Store, target: Target, request: Request) -> Response:
    """201 with the new object; raises ApiError."""
    resource = target.resource
    decoded = decode(resource, parse_body(request.body, _content_type(request), resource.kind))
    warnings = check_fields(resource, decoded, request.parameter("fieldValidation"))
    _set_namespace(resource, target, decoded.object["metadata"])
    created = store.create(resource, decoded.object, dry_run=is_dry_run(request))
    return Response(201, created, warnings=warnings)


def replace_object(store: Store, target: Target, request: Request) -> Response:
    """200 with the object after replacing it; raises ApiError."""
    resource = target.resource
    decoded = decode(resource, parse_body(request.body, _content_type(request), resource.kind))
    warnings = check_fields(resource, decoded, request.parameter("fieldValidation"))
    metadata = decoded.object["metadata"]
    if metadata.get("name") and metadata["name"] != target.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        )
    metadata["name"] = target.name
    _set_namespace(resource, target, metadata)
    stored = store.update(
        resource, decoded.object, subresource=target.subresource or None, dry_run=is_dry_run(request)
    )
    return Response(body=stored, warnings=warnings)


def patch_object(store: Store, target: Target, request: Request) -> Response:
    """200 with the object after changing a part of it; raises ApiError."""
    resource, name = target.resource, target.name or ""
    content_type = _content_type(request)
    if content_type.partition(";")[0].strip() == APPLY_PATCH:
        return _apply_object(store, target, request)
    if content_type.partition(";")[0].strip() not in _PATCHES:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    stored = store.peek(resource, target.namespace, name)
    if stored is None:
        raise not_found(resource, name)
    patched = apply_patch(content_type, stored, parse_json(request.body))
    if patched.get("metadata", {}).get("name") != name:
        raise bad_request("the name of the object cannot be changed by a patch")
    decoded = decode(resource, patched)
    warnings = check_fields(resource, decoded, request.parameter("fieldValidation"))
    stored = store.update(
        resource, decoded.object, subresource=target.subresource or None, dry_run=is_dry_run(request)
    )
    return Response(body=stored, warnings=warnings)


def _apply_object(store: Store, target: Target, request: Request) -> Response:
    """
    201 with a new object, 200 with one that the given fields were laid over; raises ApiError.

    Nobody owns fields here: there are no conflicts, and what an applier no longer names stays.
    """
    resource, name = target.resource, target.name or ""
    if request.parameter("fieldManager") is None:
        raise invalid(_PATCH_OPTIONS, "", [required("fieldManager", "is required for apply patch")])
    applied = parse_body(request.body, "application/yaml", resource.kind)
    decoded = decode(resource, applied)
    warnings = check_fields(resource, decoded, request.parameter("fieldValidation") or "Strict")
    metadata = decoded.object["metadata"]
    if metadata.setdefault("name", name) != name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )
    _set_namespace(resource, target, metadata)
    stored = store.peek(resource, target.namespace, name)
    if stored is None:
        created = store.create(resource, decoded.object, dry_run=is_dry_run(request))
        return Response(201, created, warnings=warnings)
    merged = apply_patch(STRATEGIC_MERGE_PATCH, stored, decoded.object)
    changed = store.update(
        resource, merged, subresource=target.subresource or None, dry_run=is_dry_run(request)
    )
    return Response(body=changed, warnings=warnings)


def delete_object(store: Store, target: Target, request: Request) -> Response:
    """200 with the object if it waits for something, else (for most kinds) a Status; raises ApiError."""
    resource = target.resource
    options = _delete_options(resource, target, request)
    deleted = store.delete(resource, target.namespace, target.name or "", **options)
    gone = not options["dry_run"] and not store.is_stored(resource, deleted)
    warns = resource.orphans_by_default and options["propagation"] is None
    warnings = (_ORPHAN_WARNING,) if warns else ()
    if not gone or resource.returns_deleted:
        return Response(body=deleted, warnings=warnings)
    metadata = deleted["metadata"]
    group = {"group": resource.group} if resource.group else {}
    details = {"name": metadata["name"], **group, "kind": resource.plural, "uid": metadata["uid"]}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return Response(body=status, warnings=warnings)


def delete_collection(store: Store, target: Target, request: Request) -> Response:
    """200 with the list of what was deleted; raises ApiError."""
    resource = target.resource
    options = _delete_options(resource, target, request) | {"uid": None, "resource_version": None}
    found = selected(store, select(target, request), request)
    for each in found:
        metadata = each["metadata"]
        try:
            store.delete(resource, metadata.get("namespace"), metadata["name"], **options)
        except ApiError as error:
            if error.code != 404:  # what a subscriber took away meanwhile is gone, as wished
                raise
    return Response(body=as_list(target, {"resourceVersion": str(store.version)}, found))


def is_dry_run(request: Request) -> bool:
    """Whether nothing is to be stored."""
    return request.parameter("dryRun") == "All"


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "")


def _set_namespace(resource: Resource, target: Target, metadata: Manifest) -> None:
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    given = metadata.get("namespace")
    if given and target.namespace and given != target.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = target.namespace or given


def _delete_options(resource: Resource, target: Target, request: Request) -> dict[str, Any]:
    body: Mapping[str, Any] = {}
    if request.body.strip():
        parsed = parse_body(request.body, _content_type(request), "DeleteOptions")
        body = parsed if isinstance(parsed, dict) else {}
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", _number(request.parameter("gracePeriodSeconds")))
    propagation = body.get("propagationPolicy") or request.parameter("propagationPolicy")
    if propagation is not None and propagation not in _PROPAGATION:
        cause = unsupported("propagationPolicy", propagation, (*_PROPAGATION, "nil"))
        raise invalid(resource, target.name or "", [cause])
    if body.get("orphanDependents") is not None or request.parameter("orphanDependents"):
        orphan = body.get("orphanDependents", request.flag("orphanDependents"))
        propagation = "Orphan" if orphan else "Background"
    return {
        "grace_seconds": grace,
        "propagation": propagation,
        "uid": preconditions.get("uid"),
        "resource_version": preconditions.get("resourceVersion"),
        "dry_run": is_dry_run(request) or "All" in (body.get("dryRun") or ()),
    }


def _number(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None


def finalize_namespace(store: Store, target: Target, request: Request) -> Response:
    """200 with the namespace after its `spec.finalizers` were replaced; raises ApiError."""
    decoded = decode(NAMESPACES, parse_body(request.body, _content_type(request), "Namespace"))
    stored = store.get(NAMESPACES, None, target.name or "")
    stored["spec"] = {"finalizers": (decoded.object.get("spec") or {}).get("finalizers") or []}
    return Response(body=store.update(NAMESPACES, stored, subresource="finalize"))
