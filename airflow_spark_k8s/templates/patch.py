"""
Laying a patch over a manifest, with the meaning of Kubernetes' strategic merge patch.

- Mappings are merged key by key; null removes a key.
- The lists of objects in `MERGE_KEYS` are merged item by item: items with the same key are the same item, new
  ones go to the end; an item with `$patch: delete` is removed.
- Variables, volumes and mounts are replaced whole, as each may have only one source.
- Any other list, and any other value, replaces what was there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_spark_k8s.exceptions import InvalidTemplate

MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "ephemeralContainers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""Lists that are merged, and the key that tells their items apart."""

_REPLACED = frozenset({"env", "volumes", "volumeMounts"})
_DIRECTIVE = "$patch"


def overlay(base: Mapping[str, Any], patch: Mapping[str, Any], *, path: str = "") -> dict[str, Any]:
    """
    A new manifest: `base` with `patch` laid over it.

    :param path: where in the manifest both are, for errors.
    :raises InvalidTemplate: if an item of a merged list lacks its key.

    Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
    """
    result = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(key, result.get(key), value, path=f"{path}.{key}" if path else str(key))
    return result


def without_nulls(value: Any) -> Any:
    """A copy of `value` in which no mapping has a null: Kubernetes takes both for absent."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def _merged(key: str, old: Any, new: Any, *, path: str) -> Any:
    if isinstance(new, Mapping):
        return overlay(old if isinstance(old, Mapping) else {}, new, path=path)
    if isinstance(new, list | tuple) and key in MERGE_KEYS:
        return _merged_list(key, old if isinstance(old, list) else [], new, path=path)
    return without_nulls(new)


def _merged_list(key: str, old: list[Any], new: list[Any] | tuple[Any, ...], *, path: str) -> list[Any]:
    merge_key = MERGE_KEYS[key]
    items = {item[merge_key]: item for item in old}
    for index, item in enumerate(new):
        place = f"{path}[{index}]"
        if not isinstance(item, Mapping) or not isinstance(item.get(merge_key), str | int):
            raise InvalidTemplate(place, type(item).__name__, f"must be a mapping with {merge_key!r}")
        name = item[merge_key]
        if item.get(_DIRECTIVE) == "delete":
            items.pop(name, None)
            continue
        under = {} if key in _REPLACED else items.get(name, {})
        items[name] = overlay(under, item, path=place)
    return list(items.values())
