"""The scheduler: binds pods to nodes, or says why it cannot."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.claims import claim_trouble
from airflow_spark_k8s.local.conditions import find_condition, is_deleting, pod_condition, with_condition
from airflow_spark_k8s.local.disruption import disrupt
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import is_terminal, key_of, timestamp
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.placement import Placement
from airflow_spark_k8s.local.recorder import EventRecorder
from airflow_spark_k8s.local.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from airflow_spark_k8s.local.scheduling import (
    NodeLoad,
    explain,
    explain_claims,
    is_hopeless,
    obstacles,
    scheduling_key,
)
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import TimerHandle, Timers

NAME = "default-scheduler"
RETRY_SECONDS = 1.0
"""How long changes are collected before misfits are tried again. Source: podInitialBackoffSeconds."""


class Scheduler:
    """
    Binds pods by priority, then age, to the node that scores best.

    A pod of higher priority that fits nowhere displaces pods of lower priority.

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._timers = timers
        self._events = EventRecorder(store, timers, store.now, NAME, series=True)
        self._loads: dict[str, NodeLoad] = {}
        self._placement = Placement(store, self._loads)
        self._bound: dict[str, tuple[str, Manifest]] = {}  # uid → node and the pod as it was counted
        self._waiting: dict[Key, None] = {}
        self._unfit: dict[Key, None] = {}
        self._waits_for_company = False  # a pod that fits nowhere wants to be where others are
        self._pass: TimerHandle | None = None
        self._retry: TimerHandle | None = None
        store.subscribe(self._on_event)

    # what happened

    def _on_event(self, event: Event) -> None:
        if event.resource is NODES:
            self._on_node(event)
        elif event.resource is PODS:
            self._on_pod(event)
        elif event.resource is PERSISTENT_VOLUME_CLAIMS:
            self._try_again()

    def _on_node(self, event: Event) -> None:
        name = event.object["metadata"]["name"]
        if event.type == "DELETED":
            self._loads.pop(name, None)
            return
        load = self._loads.get(name)
        if load is None:
            load = self._loads[name] = NodeLoad(event.object)
            for bound_to, pod in self._bound.values():
                if bound_to == name:
                    load.add(pod)
        changed = event.previous is None or _offer(event.previous) != _offer(event.object)
        load.node = event.object
        if changed:
            self._try_again()

    def _on_pod(self, event: Event) -> None:
        pod, key = event.object, key_of(event.object)
        gone = event.type == "DELETED" or is_terminal(pod)
        if pod["spec"].get("nodeName"):
            self._waiting.pop(key, None)
            self._unfit.pop(key, None)
            self._count(pod, gone)
        elif gone or is_deleting(pod):
            self._waiting.pop(key, None)
            self._unfit.pop(key, None)
        elif event.type == "ADDED" and pod["spec"].get("schedulerName", NAME) == NAME:
            self._waiting[key] = None
            self._soon()

    def _count(self, pod: Manifest, gone: bool) -> None:
        uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
        known = self._bound.get(uid)
        if gone and known is not None:
            del self._bound[uid]
            if node in self._loads:
                self._loads[node].add(known[1], -1)
            self._placement.remove(pod)
            self._try_again()
        elif not gone and known is None:
            self._placement.add(node, pod)
            if self._waits_for_company:
                self._try_again()
            self._bound[uid] = (node, pod)
            if node in self._loads:
                self._loads[node].add(pod)

    def _soon(self) -> None:
        if self._pass is None:
            self._pass = self._timers.call_later(0.0, self._schedule_waiting)

    def _try_again(self) -> None:
        if self._unfit and self._retry is None:
            self._retry = self._timers.call_later(RETRY_SECONDS, self._requeue_unfit)

    def _requeue_unfit(self) -> None:
        self._retry = None
        self._waiting.update(self._unfit)
        self._unfit.clear()
        self._waits_for_company = False
        self._soon()

    # placing pods

    def _schedule_waiting(self) -> None:
        self._pass = None
        waiting = [pod for key in self._waiting if (pod := self._store.peek(PODS, *key)) is not None]
        self._waiting.clear()
        misfits: dict[str, str] = {}
        for pod in sorted(waiting, key=lambda each: -int(each["spec"].get("priority") or 0)):
            shape = scheduling_key(pod)
            # Within one pass nothing is freed: what did not fit does not fit later, either.
            message = misfits.get(shape) or self._schedule(pod, shape, misfits)
            if message is None:
                continue
            self._unfit[key_of(pod)] = None
            self._waits_for_company |= "podAffinity" in (pod["spec"].get("affinity") or {})
            self._complain(pod, message)

    def _schedule(self, pod: Manifest, shape: str, misfits: dict[str, str]) -> str | None:
        """Bind the pod; None if that worked, else why not, also in `misfits` if it is true of the shape."""
        trouble = claim_trouble(self._store, pod)
        if trouble is not None:
            return explain_claims(trouble, len(self._loads))
        reasons = {name: obstacles(pod, load) for name, load in self._loads.items()}
        crowded = [name for name, why in reasons.items() if why]
        reasons |= self._placement.obstacles(pod, [name for name, why in reasons.items() if not why])
        fitting = [name for name, why in reasons.items() if not why]
        if fitting:
            self._bind(pod, self._placement.best(pod, fitting))
            return None
        message = self._explain(pod, list(reasons.values()), crowded)
        if len(crowded) == len(reasons):
            misfits[shape] = message
        return message

    def _explain(self, pod: Manifest, reasons: list[tuple[str, ...]], crowded: list[str]) -> str:
        """Why the pod fits nowhere; makes room on one of the crowded nodes if it may."""
        if self._preempt(pod, crowded):
            return explain(reasons, 0)
        return explain(reasons, sum(is_hopeless(pod, load) for load in self._loads.values()))

    def _bind(self, pod: Manifest, node: str) -> None:
        now = timestamp(self._store.now())

        def change(stored: Manifest) -> None:
            stored["spec"]["nodeName"] = node
            status = stored.setdefault("status", {})
            status.pop("nominatedNodeName", None)
            condition = pod_condition("PodScheduled", True, now)
            status["conditions"] = with_condition(status.get("conditions"), condition)

        self._store.edit(PODS, *key_of(pod), change, subresource="binding")
        namespace, name = key_of(pod)
        # The store tells of the binding later if this runs inside one of its callbacks: count at once.
        self._count({**pod, "spec": {**pod["spec"], "nodeName": node}}, False)
        message = f"Successfully assigned {namespace}/{name} to {node}"
        self._events.normal(pod, "Scheduled", message, action="Binding")

    def _complain(self, pod: Manifest, message: str) -> None:
        known = find_condition(pod, "PodScheduled")
        if known is not None and known.get("message") == message:
            return
        now = timestamp(self._store.now())

        def change(stored: Manifest) -> None:
            status = stored.setdefault("status", {})
            condition = pod_condition(
                "PodScheduled",
                False,
                now,
                reason="Unschedulable",
                message=message,
                generation=stored["metadata"].get("generation"),
            )
            status["conditions"] = with_condition(status.get("conditions"), condition)

        try:
            self._store.edit(PODS, *key_of(pod), change, subresource="status")
        except ApiError as error:
            if error.code != 404:
                raise
            return
        self._events.warning(pod, "FailedScheduling", message, action="Scheduling")

    # making room

    def _preempt(self, pod: Manifest, crowded: list[str]) -> bool:
        """Whether pods of lower priority are being displaced for this one, on a node that lacks room."""
        if pod["spec"].get("preemptionPolicy") == "Never":
            return False
        nominated = pod.get("status", {}).get("nominatedNodeName")
        if nominated and any(is_deleting(each) for each in self._store.pods_on(nominated)):
            return True
        candidates = {name: self._victims(pod, self._loads[name]) for name in crowded}
        usable = {name: victims for name, victims in candidates.items() if victims}
        if not usable:
            return False
        node = min(usable, key=lambda name: (len(usable[name]), name))
        self._nominate(pod, node)
        for victim in usable[node]:
            why = f"{NAME}: preempting to accommodate a higher priority pod"
            disrupt(self._store, victim, ("PreemptionByScheduler", why))
            message = f"Preempted by pod {pod['metadata']['uid']} on node {node}"
            self._events.normal(victim, "Preempted", message, action="Preempting")
        return True

    def _victims(self, pod: Manifest, load: NodeLoad) -> list[Manifest]:
        """The pods to displace on one node, lowest priority first; empty if that would not help."""
        priority = int(pod["spec"].get("priority") or 0)
        lower = [p for p in load.pods.values() if int(p["spec"].get("priority") or 0) < priority]
        lower.sort(key=lambda each: int(each["spec"].get("priority") or 0))
        chosen: list[Manifest] = []
        for victim in lower:
            chosen.append(victim)
            if not obstacles(pod, load, ignored=chosen):
                return chosen
        return []

    def _nominate(self, pod: Manifest, node: str) -> None:
        def change(stored: Manifest) -> None:
            stored.setdefault("status", {})["nominatedNodeName"] = node

        self._store.edit(PODS, *key_of(pod), change, subresource="status")


def _offer(node: Manifest) -> tuple[object, ...]:
    return (
        node["spec"],
        node["metadata"].get("labels"),
        node.get("status", {}).get("allocatable"),
    )
