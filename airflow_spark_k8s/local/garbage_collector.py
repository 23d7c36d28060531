"""Deletion of what belonged to an object that is gone: owner references."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import is_deleting, without_finalizer
from airflow_spark_k8s.local.deletion import FOREGROUND, ORPHAN
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import key_of
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.resources import EVENTS, Resource, by_kind
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue

ABSENT_OWNER_SECONDS = 1.0
"""How long an owner may be unknown before its dependent is collected."""

_Item = tuple[Resource, Key, str]


class GarbageCollector:
    """
    Deletes dependents whose owners are gone, and finishes Foreground and Orphan deletions.

    Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._dependents: WorkQueue[_Item] = WorkQueue(timers, self._check_dependent)
        self._owners: WorkQueue[_Item] = WorkQueue(timers, self._check_owner)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is EVENTS:
            return
        obj = event.object
        if event.type == "DELETED":
            self._on_deleted(event.resource, obj)
            return
        if {FOREGROUND, ORPHAN} & set(obj["metadata"].get("finalizers") or ()):
            self._owners.add(_item(event.resource, obj))
        elif obj["metadata"].get("ownerReferences") and event.type == "ADDED":
            self._dependents.add(_item(event.resource, obj), ABSENT_OWNER_SECONDS)

    def _on_deleted(self, resource: Resource, obj: Manifest) -> None:
        for dependent_resource, dependent in self._store.owned_by(obj["metadata"]["uid"]):
            self._dependents.add(_item(dependent_resource, dependent))
        for reference in obj["metadata"].get("ownerReferences") or ():
            owner = self._owner(obj, reference)
            if owner is not None and is_deleting(owner[1]):
                self._owners.add(_item(*owner))

    def _owner(self, obj: Manifest, reference: Manifest) -> tuple[Resource, Manifest] | None:
        resource = _kind_of(reference)
        if resource is None:
            return None
        owner = self._store.peek(resource, obj["metadata"].get("namespace"), reference["name"])
        if owner is None or owner["metadata"]["uid"] != reference["uid"]:
            return None
        return resource, owner

    def _check_dependent(self, item: _Item) -> None:
        resource, key, uid = item
        obj = self._store.find(resource, *key)
        if obj is None or obj["metadata"]["uid"] != uid or is_deleting(obj):
            return
        references = obj["metadata"].get("ownerReferences") or []
        # An owner of a kind that is not known here cannot be looked up: it counts as alive.
        alive = [r for r in references if _kind_of(r) is None or self._owner(obj, r) is not None]
        if not references or len(alive) == len(references):
            return
        if alive:
            obj["metadata"]["ownerReferences"] = alive
            self._store.update(resource, obj)
            return
        self._delete(resource, obj, self._own_propagation(obj))

    def _own_propagation(self, obj: Manifest) -> str:
        finalizers = obj["metadata"].get("finalizers") or ()
        if ORPHAN in finalizers:
            return "Orphan"
        return "Foreground" if FOREGROUND in finalizers else "Background"

    def _check_owner(self, item: _Item) -> None:
        resource, key, uid = item
        owner = self._store.find(resource, *key)
        if owner is None or owner["metadata"]["uid"] != uid or not is_deleting(owner):
            return
        finalizers = owner["metadata"].get("finalizers") or ()
        if ORPHAN in finalizers:
            self._orphan_dependents(uid)
            self._release(resource, owner, ORPHAN)
        elif FOREGROUND in finalizers and not self._blocked(uid):
            self._release(resource, owner, FOREGROUND)

    def _orphan_dependents(self, uid: str) -> None:
        for resource, dependent in self._store.owned_by(uid):

            def forget_owner(obj: Manifest) -> None:
                left = [each for each in obj["metadata"]["ownerReferences"] if each["uid"] != uid]
                if left:
                    obj["metadata"]["ownerReferences"] = left
                else:
                    del obj["metadata"]["ownerReferences"]

            self._store.edit(resource, *key_of(dependent), forget_owner)

    def _blocked(self, uid: str) -> bool:
        """Whether a dependent still keeps a Foreground deletion waiting; starts the dependents' deletion."""
        for resource, dependent in self._store.owned_by(uid):
            if not is_deleting(dependent):
                has_own = bool(self._store.owned_by(dependent["metadata"]["uid"]))
                self._delete(resource, dependent, "Foreground" if has_own else "Background")
        return any(
            reference["uid"] == uid and reference.get("blockOwnerDeletion")
            for _, dependent in self._store.owned_by(uid)
            for reference in dependent["metadata"]["ownerReferences"]
        )

    def _release(self, resource: Resource, owner: Manifest, finalizer: str) -> None:
        without_finalizer(owner["metadata"], finalizer)
        self._store.update(resource, owner)

    def _delete(self, resource: Resource, obj: Manifest, propagation: str) -> None:
        try:
            self._store.delete(resource, *key_of(obj), propagation=propagation, uid=obj["metadata"]["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _kind_of(reference: Manifest) -> Resource | None:
    return by_kind(reference["apiVersion"], reference["kind"])


def _item(resource: Resource, obj: Manifest) -> _Item:
    return resource, key_of(obj), obj["metadata"]["uid"]
