"""The three ways to change a part of an object: JSON merge patch, JSON patch, strategic merge patch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError, bad_request
from airflow_spark_k8s.local.manifests import copy_manifest

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

# Lists whose elements are told apart by a field; every other list is replaced as a whole.
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "addresses": ("type",),
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "hostIPs": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "ports": ("containerPort", "port"),
    "secrets": ("name",),
    "taints": ("key",),
    "topologySpreadConstraints": ("topologyKey",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
_MERGED_SETS = {"finalizers"}
_DELETE_ITEMS = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_RETAIN = "$retainKeys"


def apply_patch(content_type: str, obj: Manifest, patch: Any) -> Manifest:
    """
    The patched copy of `obj`; `patch` is decoded JSON.

    Raises ApiError: 415 (content type), 400 (malformed), 422 (a JSON patch that does not apply).
    """
    kind = content_type.partition(";")[0].strip()
    if kind not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH):
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    if kind == JSON_PATCH:
        return json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("the patch is no JSON object")
    merged = merge_patch(obj, patch) if kind == MERGE_PATCH else strategic_merge_patch(obj, patch)
    return copy_manifest(merged)


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` with `patch` merged in; null deletes a field. Source: RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(obj: Manifest, operations: Any) -> Manifest:
    """`obj` after the operations, applied in order. Source: RFC 6902."""
    if not isinstance(operations, list) or not all(isinstance(each, dict) for each in operations):
        raise bad_request("the patch is no list of JSON patch operations")
    patched: Any = copy_manifest(obj)
    for operation in operations:
        try:
            patched = _operate(patched, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", message, {}) from error
    if not isinstance(patched, dict):
        raise bad_request("the patched object is no JSON object")
    return patched


def _operate(document: Any, operation: Manifest) -> Any:
    name, path = operation["op"], _pointer(operation["path"])
    if name == "test":
        if _value_at(document, path) != operation.get("value"):
            raise ValueError("test failed")
        return document
    if name == "remove":
        return _remove(document, path)
    if name == "replace":
        _value_at(document, path)
        return _set(document, path, operation["value"], insert=False)
    if name == "add":
        return _set(document, path, operation["value"], insert=True)
    if name == "copy":
        return _set(document, path, _value_at(document, _pointer(operation["from"])), insert=True)
    if name == "move":
        value = _value_at(document, _pointer(operation["from"]))
        return _set(_remove(document, _pointer(operation["from"])), path, value, insert=True)
    raise ValueError(f"unknown operation {name}")


def _pointer(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise ValueError(f"{path} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


def _value_at(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_position(document, part)] if isinstance(document, list) else document[part]
    return document


def _position(items: list[Any], part: str, *, insert: bool = False) -> int:
    if part == "-" and insert:
        return len(items)
    position = int(part)
    if not 0 <= position <= len(items) - (not insert):
        raise IndexError(part)
    return position


def _remove(document: Any, path: list[str]) -> Any:
    parent = _value_at(document, path[:-1])
    if isinstance(parent, list):
        del parent[_position(parent, path[-1])]
    else:
        del parent[path[-1]]
    return document


def _set(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent = _value_at(document, path[:-1])
    if isinstance(parent, list):
        position = _position(parent, path[-1], insert=insert)
        parent[position : position + (not insert)] = [value]
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise TypeError(path[-1])
    return document


def strategic_merge_patch(target: Manifest, patch: Manifest) -> Manifest:
    """
    `target` with `patch` merged in, lists of named things by their names.

    Source: https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
    """
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    content = {key: value for key, value in patch.items() if not key.startswith("$")}
    if directive == "replace":
        return content
    retained = patch.get(_RETAIN)
    merged = {key: value for key, value in target.items() if retained is None or key in retained}
    for key, value in content.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(key, merged.get(key), value)
    for key, value in patch.items():
        if key.startswith(_DELETE_ITEMS):
            name = key.removeprefix(_DELETE_ITEMS)
            merged[name] = [each for each in merged.get(name) or [] if each not in value]
        elif key.startswith(_ORDER):
            _order(merged, key.removeprefix(_ORDER), value)
    return merged


def _merge_value(key: str, present: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return strategic_merge_patch(present if isinstance(present, dict) else {}, value)
    if not isinstance(value, list):
        return value
    if key in _MERGED_SETS:
        return [*(present or []), *(each for each in value if each not in (present or []))]
    name = _merge_key(key, [*(present or []), *value])
    return value if name is None else _merge_items(name, present or [], value)


def _merge_key(key: str, items: list[Any]) -> str | None:
    for name in _MERGE_KEYS.get(key, ()):
        if any(isinstance(each, dict) and name in each for each in items):
            return name
    return None


def _merge_items(name: str, present: list[Manifest], patches: list[Manifest]) -> list[Manifest]:
    if any(each.get("$patch") == "replace" and name not in each for each in patches):
        return [each for each in patches if "$patch" not in each]
    merged = {each.get(name): each for each in present}
    added: list[Any] = []
    for each in patches:
        identity = each.get(name)
        if each.get("$patch") == "delete":
            merged.pop(identity, None)
            continue
        if identity not in merged:
            added.append(identity)
        merged[identity] = strategic_merge_patch(merged.get(identity, {}), each)
    # Elements that the patch adds come first, as the API server puts them.
    order = [*added, *(each for each in merged if each not in added)]
    return [merged[identity] for identity in order]


def _order(merged: Manifest, name: str, wanted: list[Any]) -> None:
    items = merged.get(name)
    if not isinstance(items, list):
        return
    key = _merge_key(name, wanted)
    identify: Callable[[Any], Any] = (lambda each: each) if key is None else (lambda each: each.get(key))
    places = {str(identify(each)): index for index, each in enumerate(wanted)}
    merged[name] = sorted(items, key=lambda each: places.get(str(identify(each)), len(places)))
