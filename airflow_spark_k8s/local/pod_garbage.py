"""Removing pods that no kubelet will ever confirm: their node is gone, or they never had one."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import is_deleting
from airflow_spark_k8s.local.disruption import NODE_GONE, mark_disrupted
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import is_terminal, key_of
from airflow_spark_k8s.local.resources import NODES, PODS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue

QUARANTINE_SECONDS = 40.0
"""How long a node must be gone before its pods are given up. Source: podgc controller, quarantineTime."""


class PodGarbageCollector:
    """
    Marks the pods of nodes that no longer exist as Failed by a disruption, then deletes them by force.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._queue: WorkQueue[str] = WorkQueue(timers, self._collect)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is NODES and event.type == "DELETED":
            self._queue.add(event.object["metadata"]["name"], QUARANTINE_SECONDS)
        elif event.resource is PODS and event.type == "ADDED":
            node = event.object["spec"].get("nodeName")
            if node and self._store.peek(NODES, None, node) is None:
                self._queue.add(node, QUARANTINE_SECONDS)

    def _collect(self, node: str) -> None:
        if self._store.peek(NODES, None, node) is not None:
            return
        for pod in self._store.pods_on(node):
            self._give_up(pod)

    def _give_up(self, pod: Manifest) -> None:
        try:
            if not is_terminal(pod):
                mark_disrupted(self._store, pod, NODE_GONE, phase="Failed")
            uid = pod["metadata"]["uid"]
            if not is_deleting(pod) or pod["metadata"].get("deletionGracePeriodSeconds"):
                self._store.delete(PODS, *key_of(pod), grace_seconds=0, uid=uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
