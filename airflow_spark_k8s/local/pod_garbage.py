"""Removing pods whose end no kubelet will ever confirm: their node is gone or off, or they never had one."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import is_deleting, is_true
from airflow_spark_k8s.local.disruption import NODE_GONE, mark_failed
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import is_terminal, key_of
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.resources import NODES, PODS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue

QUARANTINE_SECONDS = 40.0
"""How long a node must be gone before its pods are given up. Source: podgc controller, quarantineTime."""


PERIOD_SECONDS = 20.0
"""Pods that are being deleted are looked at this often. Source: podgc controller, gcCheckPeriod."""

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
"""Taint by which an administrator says that a node which does not answer is off."""


class PodGarbageCollector:
    """
    Marks pods as Failed that will never end otherwise, then deletes them by force.

    Pods of nodes that no longer exist are marked as disrupted, too. Those that are being deleted, and whose
    node is out of service or not known yet, are not: whoever deletes a pod says so, or it is no disruption.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection and
    k8s.io/kubernetes/pkg/controller/podgc (gcOrphaned, gcTerminating, gcUnscheduledTerminating)
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._timers = timers
        self._queue: WorkQueue[str] = WorkQueue(timers, self._collect)
        self._leaving: WorkQueue[Key] = WorkQueue(timers, self._collect_leaving)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is NODES:
            self._on_node(event)
        elif event.resource is PODS and event.type != "DELETED":
            self._on_pod(event)

    def _on_node(self, event: Event) -> None:
        name = event.object["metadata"]["name"]
        if event.type == "DELETED":
            self._queue.add(name, QUARANTINE_SECONDS)
        elif _is_out_of_service(event.object):
            for pod in self._store.pods_on(name):
                self._consider(pod)

    def _on_pod(self, event: Event) -> None:
        node = event.object["spec"].get("nodeName")
        if event.type == "ADDED" and node and self._store.peek(NODES, None, node) is None:
            self._queue.add(node, QUARANTINE_SECONDS)
        self._consider(event.object)

    def _consider(self, pod: Manifest) -> None:
        if self._is_stuck(pod):
            self._leaving.add(key_of(pod), PERIOD_SECONDS - self._timers.time() % PERIOD_SECONDS)

    def _is_stuck(self, pod: Manifest) -> bool:
        """Whether the pod is being deleted and nobody is there who could end it."""
        if not is_deleting(pod):
            return False
        name = pod["spec"].get("nodeName")
        node = self._store.peek(NODES, None, name) if name else None
        return not name or (node is not None and _is_out_of_service(node))

    def _collect(self, node: str) -> None:
        if self._store.peek(NODES, None, node) is not None:
            return
        for pod in self._store.pods_on(node):
            self._give_up(pod, NODE_GONE)

    def _collect_leaving(self, key: Key) -> None:
        pod = self._store.peek(PODS, *key)
        if pod is not None and self._is_stuck(pod):
            self._give_up(pod, None)

    def _give_up(self, pod: Manifest, why: tuple[str, str] | None) -> None:
        try:
            if not is_terminal(pod):
                mark_failed(self._store, pod, why)
            uid = pod["metadata"]["uid"]
            if not is_deleting(pod) or pod["metadata"].get("deletionGracePeriodSeconds"):
                self._store.delete(PODS, *key_of(pod), grace_seconds=0, uid=uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _is_out_of_service(node: Manifest) -> bool:
    tainted = any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints") or ())
    return tainted and not is_true(node, "Ready")
