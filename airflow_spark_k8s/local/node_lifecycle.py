"""Nodes that fall silent, and pods that must leave a tainted node."""

from __future__ import annotations

from collections.abc import Callable

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import is_deleting, is_true, with_condition
from airflow_spark_k8s.local.disruption import TAINTED, disrupt
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import is_terminal, key_of, parse_timestamp, timestamp
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.recorder import EventRecorder
from airflow_spark_k8s.local.resources import LEASES, NODES, PODS
from airflow_spark_k8s.local.scheduling import tolerated_seconds
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue

LEASE_NAMESPACE = "kube-node-lease"
UNREACHABLE = "node.kubernetes.io/unreachable"
GRACE_SECONDS = 50.0
"""How long a node may be silent. Source: --node-monitor-grace-period, 50 s since Kubernetes 1.32."""


class NodeLifecycle:
    """
    Taints nodes whose kubelet is silent, and evicts pods that do not tolerate a NoExecute taint.

    Source: https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller and
    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._timers = timers
        self._events = EventRecorder(store, timers, store.now, "node-controller")
        self._heartbeats: dict[str, float] = {}
        self._silence: WorkQueue[str] = WorkQueue(timers, self._check_silence)
        self._evictions: WorkQueue[Key] = WorkQueue(timers, self._check_eviction)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        obj = event.object
        if event.resource is LEASES and obj["metadata"]["namespace"] == LEASE_NAMESPACE:
            if event.type != "DELETED":
                self._on_heartbeat(obj["metadata"]["name"])
        elif event.resource is NODES:
            self._on_node(event)
        elif event.resource is PODS and event.type != "DELETED":
            was_bound = event.previous is not None and event.previous["spec"].get("nodeName")
            if obj["spec"].get("nodeName") and not was_bound:
                self._evictions.add(key_of(obj))

    def _on_node(self, event: Event) -> None:
        node = event.object
        name = node["metadata"]["name"]
        if event.type == "DELETED":
            self._heartbeats.pop(name, None)
            return
        if event.type == "ADDED":
            self._on_heartbeat(name)
        elif is_true(node, "Ready") and _unreachable(node) and self._silent_seconds(name) < GRACE_SECONDS:
            self._edit_node(name, _remove_taint)
        before = event.previous["spec"].get("taints") if event.previous is not None else None
        if node["spec"].get("taints") != before:
            for pod in self._store.pods_on(name):
                self._evictions.add(key_of(pod))

    def _on_heartbeat(self, name: str) -> None:
        self._heartbeats[name] = self._timers.time()
        self._silence.add(name, GRACE_SECONDS)
        node = self._store.peek(NODES, None, name)
        if node is not None and is_true(node, "Ready") and _unreachable(node):
            self._edit_node(name, _remove_taint)

    def _silent_seconds(self, name: str) -> float:
        return self._timers.time() - self._heartbeats.get(name, self._timers.time())

    def _check_silence(self, name: str) -> None:
        if name not in self._heartbeats or self._store.peek(NODES, None, name) is None:
            return
        silent = self._silent_seconds(name)
        if silent < GRACE_SECONDS:
            self._silence.add(name, GRACE_SECONDS - silent)
            return
        now = timestamp(self._store.now())
        self._edit_node(name, lambda node: _set_unknown(node, now), "status")
        self._edit_node(name, lambda node: _add_taint(node, now))
        for pod in self._store.pods_on(name):
            self._mark_not_ready(pod, now)

    def _mark_not_ready(self, pod: Manifest, now: str) -> None:
        if not is_true(pod, "Ready"):
            return

        def change(stored: Manifest) -> None:
            for condition in stored["status"]["conditions"]:
                if condition["type"] == "Ready":
                    condition |= {"status": "False", "lastTransitionTime": now}

        try:
            self._store.edit(PODS, *key_of(pod), change, subresource="status")
        except ApiError as error:
            if error.code != 404:
                raise
            return
        self._events.warning(pod, "NodeNotReady", "Node is not ready")

    def _check_eviction(self, key: Key) -> None:
        pod = self._store.peek(PODS, *key)
        if pod is None or is_deleting(pod) or is_terminal(pod):
            return
        node = self._store.peek(NODES, None, pod["spec"].get("nodeName") or "")
        if node is None:
            return
        left = self._seconds_left(pod, node)
        if left is None:
            return
        if left > 0:
            self._evictions.add(key, left)
            return
        namespace, name = key
        self._events.normal(pod, "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
        disrupt(self._store, pod, TAINTED)

    def _seconds_left(self, pod: Manifest, node: Manifest) -> float | None:
        """Seconds until the pod must leave; None if it may stay."""
        due: list[float] = []
        now = self._store.now().timestamp()
        for taint in node["spec"].get("taints") or ():
            if taint["effect"] != "NoExecute":
                continue
            tolerated = tolerated_seconds(pod, taint)
            if tolerated is not None:
                added = parse_timestamp(taint["timeAdded"]).timestamp() if "timeAdded" in taint else now
                due.append(added + tolerated - now)
        return min(due, default=None)

    def _edit_node(
        self, name: str, change: Callable[[Manifest], None], subresource: str | None = None
    ) -> None:
        self._store.edit(NODES, None, name, change, subresource=subresource)


def _unreachable(node: Manifest) -> bool:
    return any(taint["key"] == UNREACHABLE for taint in node["spec"].get("taints") or ())


def _set_unknown(node: Manifest, now: str) -> None:
    status = node.setdefault("status", {})
    for old in status.get("conditions") or ():
        new = {
            **old,
            "status": "Unknown",
            "lastTransitionTime": now,
            "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
        }
        status["conditions"] = with_condition(status["conditions"], new)


def _add_taint(node: Manifest, now: str) -> None:
    taints = [each for each in node["spec"].get("taints") or () if each["key"] != UNREACHABLE]
    new = [{"key": UNREACHABLE, "effect": effect, "timeAdded": now} for effect in ("NoSchedule", "NoExecute")]
    node["spec"]["taints"] = taints + new


def _remove_taint(node: Manifest) -> None:
    left = [each for each in node["spec"].get("taints") or () if each["key"] != UNREACHABLE]
    if left:
        node["spec"]["taints"] = left
    else:
        node["spec"].pop("taints", None)
