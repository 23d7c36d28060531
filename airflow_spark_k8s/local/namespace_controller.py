"""Emptying and removing namespaces that are being deleted."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import is_deleting
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import key_of
from airflow_spark_k8s.local.resources import EVENTS, NAMESPACES, STORED, Resource
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue

_LOOK_AGAIN_SECONDS = 0.5


class NamespaceController:
    """
    Deletes everything in a terminating namespace, then the namespace.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._queue: WorkQueue[str] = WorkQueue(timers, self._empty)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is NAMESPACES and event.type != "DELETED" and is_deleting(event.object):
            self._queue.add(event.object["metadata"]["name"])

    def _empty(self, name: str) -> None:
        namespace = self._store.peek(NAMESPACES, None, name)
        if namespace is None or not is_deleting(namespace):
            return
        if self._delete_content(name):
            self._queue.add(name, _LOOK_AGAIN_SECONDS)
            return
        self._store.remove(NAMESPACES, None, name)

    def _delete_content(self, name: str) -> bool:
        """Whether anything is left in the namespace."""
        resources = [each for each in STORED if each.namespaced and each is not EVENTS]
        for resource in resources:
            for obj in self._store.list(resource, name):
                if not is_deleting(obj):
                    self._delete(resource, obj)
        left = any(True for each in resources for _ in self._store.iterate(each, name))
        if not left:
            for event in self._store.list(EVENTS, name):
                self._store.remove(EVENTS, *key_of(event))
        return left

    def _delete(self, resource: Resource, obj: Manifest) -> None:
        try:
            self._store.delete(resource, *key_of(obj), propagation="Background", uid=obj["metadata"]["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise
