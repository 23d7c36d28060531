"""A whole cluster on paper: real controllers and kubelets, containers by script, time on demand."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.control_plane import ControlPlane
from airflow_spark_k8s.local.disruption import EVICTED, disrupt
from airflow_spark_k8s.local.exchange import ADMIN, User
from airflow_spark_k8s.local.kubelet import Kubelet
from airflow_spark_k8s.local.kubelet_context import KubeletTiming
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_runtime import PaperRuntime
from airflow_spark_k8s.local.pod_garbage import OUT_OF_SERVICE
from airflow_spark_k8s.local.resources import NODES, PODS
from airflow_spark_k8s.local.scheduling import UNSCHEDULABLE_TAINT
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import EPOCH, Timers, VirtualTimers


class PaperCluster:
    """
    A cluster in this process, without sockets, processes or waiting.

    The same `seed` gives the same names and uids. `timers` may be a `VirtualTimeLoop`, so that asyncio code
    runs on the cluster's time; None makes `VirtualTimers`, which the test moves by hand.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        nodes: Sequence[NodeOffer] = (NodeOffer(),),
        timers: Timers | None = None,
        history: int = 10_000,
        timing: KubeletTiming | None = None,
    ) -> None:
        self.virtual = VirtualTimers() if timers is None else None
        self.timers: Timers = self.virtual if self.virtual is not None else _given(timers)
        self.chance = random.Random(seed)  # noqa: S311 (names of test objects)
        self.store = Store(wall_clock=self.wall_clock, chance=self.chance, history=history)
        self.runtime = PaperRuntime(self.timers, self.wall_clock)
        self.control_plane = ControlPlane(self.store, self.timers)
        self.kubelets: dict[str, Kubelet] = {}
        self.api = Api(self.store, nodes=self.kubelets)
        self._timing = timing
        for offer in nodes:
            self.add_node(offer)

    def wall_clock(self) -> datetime:
        """The cluster's date and time."""
        return EPOCH + timedelta(seconds=self.timers.time())

    def add_node(self, offer: NodeOffer) -> Kubelet:
        """The kubelet of a new node."""
        kubelet = Kubelet(
            self.store,
            self.timers,
            offer,
            self.runtime,
            self.wall_clock,
            self.chance,
            token=self.api.tokens.for_service_account,
            timing=self._timing,
        )
        self.kubelets[offer.name] = kubelet
        kubelet.start()
        return kubelet

    def client(self, user: User = ADMIN) -> InProcessCluster:
        """The cluster as the rest of the package sees one; for asyncio code on a `VirtualTimeLoop`."""
        return InProcessCluster(self.api, user)

    # time

    def advance(self, seconds: float) -> None:
        """Move virtual time; only without `timers` of your own."""
        self._by_hand().advance(seconds)

    def run_until(self, predicate: Callable[[], bool], limit: float = 3600.0) -> None:
        """Move virtual time until `predicate()` holds; raises `TimeoutError` after `limit` seconds."""
        self._by_hand().run_until(predicate, limit)

    def _by_hand(self) -> VirtualTimers:
        if self.virtual is None:
            raise RuntimeError("the cluster follows the timers it was given: move those")
        return self.virtual

    # objects

    def pods(self, namespace: str | None = None, labels: str | None = None) -> list[Manifest]:
        """Pods by name, not to be changed."""
        return self.store.list(PODS, namespace, labels=labels)

    def pod(self, name: str, namespace: str = "default") -> Manifest:
        """One pod; raises ApiError 404."""
        return self.store.get(PODS, namespace, name)

    # mishaps

    def evict(self, pod: Manifest) -> None:
        """Evict a pod as the eviction API does: condition first, then a graceful deletion."""
        disrupt(self.store, pod, EVICTED)

    def press(self, pod: Manifest) -> None:
        """Evict a pod because its node is short of memory: it stays, as Failed."""
        metadata = pod["metadata"]
        self.kubelets[pod["spec"]["nodeName"]].evict(metadata["namespace"], metadata["name"])

    def drain(self, node: str) -> None:
        """Cordon a node and evict its pods."""

        def cordon(stored: Manifest) -> None:
            stored["spec"]["unschedulable"] = True
            taint = {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
            stored["spec"]["taints"] = [*(stored["spec"].get("taints") or ()), taint]

        self.store.edit(NODES, None, node, cordon)
        for pod in self.store.pods_on(node):
            self.evict(pod)

    def silence(self, node: str) -> None:
        """Cut a node off; its containers go on unseen."""
        self.kubelets[node].silence()

    def revive(self, node: str) -> None:
        """Connect a silent node again."""
        self.kubelets[node].revive()

    def put_out_of_service(self, node: str) -> None:
        """Turn a node's machine off and taint the node, as an administrator does once that is certain."""

        def taint(stored: Manifest) -> None:
            new = {"key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute"}
            stored["spec"]["taints"] = [*(stored["spec"].get("taints") or ()), new]

        self.kubelets.pop(node).stop()
        self.store.edit(NODES, None, node, taint)

    def delete_node(self, node: str) -> None:
        """Take a node away with everything on it, as a cloud does: machine first, then its object."""
        self.kubelets.pop(node).stop()
        self.store.delete(NODES, None, node)


def _given(timers: Timers | None) -> Timers:
    if timers is None:
        raise ValueError("timers: none given")
    return timers
