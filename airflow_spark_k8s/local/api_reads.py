"""GET of objects and collections: lists in pages, tables, watches."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError, bad_request, expired, not_found, too_large_version
from airflow_spark_k8s.local.exchange import Request, Response
from airflow_spark_k8s.local.json_errors import describe
from airflow_spark_k8s.local.manifests import key_of
from airflow_spark_k8s.local.routing import Target
from airflow_spark_k8s.local.selectors import parse_fields, parse_labels
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.tables import partial_metadata, table
from airflow_spark_k8s.local.watching import ResourceWatch, Selection


def read_object(store: Store, target: Target, request: Request) -> Response:
    """One object, in the form the client accepts; raises ApiError 404."""
    name = target.name or ""
    found = store.peek(target.resource, target.namespace, name)
    if found is None:
        raise not_found(target.resource, name)
    form = _form(request)
    if form == "Table":
        metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
        include = request.parameter("includeObject") or "Metadata"
        return Response(body=table(target.resource, [found], metadata, store.now(), include=include))
    return Response(body=partial_metadata(found) if form == "PartialObjectMetadata" else found)


def read_collection(store: Store, target: Target, request: Request) -> Response:
    """The objects that the selectors leave, in pages of `limit`; raises ApiError 400, 410, 504."""
    _check_version(store, request)
    selection = select(target, request)
    found = selected(store, selection, request)
    metadata: Manifest = {"resourceVersion": str(store.version)}
    found = _page(store, request, found, metadata)
    resource = target.resource
    form = _form(request)
    if form == "Table":
        include = request.parameter("includeObject") or "Metadata"
        return Response(body=table(resource, found, metadata, store.now(), include=include))
    if form == "PartialObjectMetadataList":
        items = [partial_metadata(each) for each in found]
        body = {"kind": form, "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items}
        return Response(body=body)
    return Response(body=as_list(target, metadata, found))


def watch_collection(store: Store, target: Target, request: Request) -> ResourceWatch:
    """A watch of the objects that the selectors leave; raises ApiError 400."""
    asked = request.parameter("resourceVersion")
    since = None if asked in (None, "0") else _version(asked or "")
    initial = request.flag("sendInitialEvents")
    timeout = request.parameter("timeoutSeconds")
    return ResourceWatch(
        store,
        select(target, request),
        _shape(store, target, request),
        None if initial else since,
        bookmarks=request.flag("allowWatchBookmarks"),
        initial_events_end=initial and request.flag("allowWatchBookmarks"),
        timeout_seconds=float(timeout) if timeout and timeout.isdigit() else None,
    )


def select(target: Target, request: Request) -> Selection:
    """What path and selectors of the request mean; raises ApiError 400."""
    labels, fields = request.parameter("labelSelector"), request.parameter("fieldSelector")
    return Selection(
        target.resource,
        target.namespace,
        target.name,
        parse_labels(labels) if labels else (),
        parse_fields(target.resource, fields) if fields else (),
    )


def selected(store: Store, selection: Selection, request: Request) -> list[Manifest]:
    """The selected objects, by namespace and name."""
    fields = request.parameter("fieldSelector")
    candidates = store.list(selection.resource, selection.namespace, fields=fields)
    return [each for each in candidates if selection.contains(each)]


def as_list(target: Target, metadata: Manifest, found: Sequence[Manifest]) -> Manifest:
    """The list object; its items carry no kind, as typed lists do not."""
    resource = target.resource
    items = [
        {key: value for key, value in each.items() if key not in ("kind", "apiVersion")} for each in found
    ]
    kind = f"{resource.kind}List"
    return {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}


def _form(request: Request) -> str:
    for each in request.headers.get("accept", "").split(","):
        parameters = dict(part.strip().partition("=")[::2] for part in each.split(";")[1:])
        if parameters.get("g") == "meta.k8s.io" and "as" in parameters:
            return parameters["as"]
        if each.partition(";")[0].strip() in ("application/json", "*/*"):
            return ""
    return ""


def _shape(store: Store, target: Target, request: Request) -> Callable[[Manifest], Manifest]:
    form = _form(request)
    if form == "PartialObjectMetadata":
        return partial_metadata
    if form != "Table":
        return lambda obj: obj
    include = request.parameter("includeObject") or "Metadata"
    rows = 0

    def shape(obj: Manifest) -> Manifest:
        nonlocal rows
        rows += 1
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return table(target.resource, [obj], metadata, store.now(), include=include, headed=rows == 1)

    return shape


def _version(text: str) -> int:
    if not text.isdigit():
        raise bad_request(f"invalid resource version: {text!r}")
    return int(text)


def _check_version(store: Store, request: Request) -> None:
    asked = request.parameter("resourceVersion")
    if asked is None:
        return
    version = _version(asked)
    if version > store.version:
        raise too_large_version(version, store.version)
    if request.parameter("resourceVersionMatch") == "Exact" and version != store.version:
        # Only the present is kept; a client then lists anew, as after a compaction.
        raise expired(version, store.version)


def _page(store: Store, request: Request, found: list[Manifest], metadata: Manifest) -> list[Manifest]:
    token, limit = request.parameter("continue"), request.parameter("limit")
    if token:
        start = _start(token)
        found = [each for each in found if _place(each) > start]
    # Version 0 means "whatever is cached", and the cache answers in one piece.
    if not limit or not limit.isdigit() or limit == "0" or request.parameter("resourceVersion") == "0":
        return found
    page = found[: int(limit)]
    if len(page) < len(found):
        cursor = {"v": "meta.k8s.io/v1", "rv": store.version, "start": _place(page[-1])}
        encoded = base64.urlsafe_b64encode(json.dumps(cursor).encode())
        metadata["continue"] = encoded.decode().rstrip("=")
        if not request.parameter("labelSelector") and not request.parameter("fieldSelector"):
            metadata["remainingItemCount"] = len(found) - len(page)
    return page


def _place(obj: Manifest) -> str:
    namespace, name = key_of(obj)
    return f"{namespace}/{name}" if namespace else name


def _start(token: str) -> str:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise _bad_token("illegal base64 data") from error
    try:
        cursor = json.loads(raw.decode("latin-1"))
        return str(cursor["start"])
    except json.JSONDecodeError as error:
        raise _bad_token(describe(error)) from error
    except (KeyError, TypeError) as error:
        raise _bad_token("it has no start key") from error


def _bad_token(why: str) -> ApiError:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
