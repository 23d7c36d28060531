"""The stored objects, by name, namespace, owner and node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.manifests import key_of
from airflow_spark_k8s.local.resources import PODS, STORED, Resource

Key = tuple[str | None, str]  # namespace (None: the kind has none) and name

_NOTHING: Mapping[Key, Manifest] = {}


class ObjectIndex:
    """Objects that are found without looking at all of them; it neither copies nor changes them."""

    def __init__(self) -> None:
        self._all: dict[Resource, dict[Key, Manifest]] = {each: {} for each in STORED}
        self._in_namespace: dict[tuple[Resource, str], dict[Key, Manifest]] = {}
        self._owned: dict[str, dict[tuple[Resource, Key], Manifest]] = {}
        self._on_node: dict[str, dict[Key, Manifest]] = {}

    def peek(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """The object of that name; None if there is none."""
        return self._all[resource].get((namespace if resource.namespaced else None, name))

    def within(self, resource: Resource, namespace: str | None) -> Mapping[Key, Manifest]:
        """Objects of one namespace, or all if it is None."""
        if namespace is None or not resource.namespaced:
            return self._all[resource]
        return self._in_namespace.get((resource, namespace), _NOTHING)

    def owned_by(self, uid: str) -> Iterable[tuple[Resource, Manifest]]:
        """Objects that refer to the owner."""
        return [(resource, obj) for (resource, _), obj in self._owned.get(uid, {}).items()]

    def on_node(self, node: str) -> Mapping[Key, Manifest]:
        """Pods bound to the node, in the order they were bound."""
        return self._on_node.get(node, _NOTHING)

    def add(self, resource: Resource, new: Manifest, old: Manifest | None) -> None:
        """Put `new` in the place of `old`; None: it is a new object."""
        key = key_of(new)
        if old is not None:
            self._forget_owners(resource, old)
        self._all[resource][key] = new
        if key[0] is not None:
            self._in_namespace.setdefault((resource, key[0]), {})[key] = new
        for owner in _owners(new):
            self._owned.setdefault(owner, {})[resource, key] = new
        node = _node(resource, new)
        if node:
            self._on_node.setdefault(node, {})[key] = new

    def discard(self, resource: Resource, old: Manifest) -> None:
        """Take the object out."""
        key = key_of(old)
        del self._all[resource][key]
        if key[0] is not None:
            del self._in_namespace[resource, key[0]][key]
        self._forget_owners(resource, old)
        node = _node(resource, old)
        if node:
            self._on_node[node].pop(key, None)

    def _forget_owners(self, resource: Resource, old: Manifest) -> None:
        for owner in _owners(old):
            owned = self._owned.get(owner, {})
            owned.pop((resource, key_of(old)), None)
            if not owned:
                self._owned.pop(owner, None)


def _owners(obj: Manifest) -> list[str]:
    return [reference["uid"] for reference in obj["metadata"].get("ownerReferences") or []]


def _node(resource: Resource, obj: Manifest) -> str | None:
    return obj["spec"].get("nodeName") if resource is PODS else None
