"""The kubelet of one node: takes on the pods bound to it and answers for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import is_deleting, with_condition
from airflow_spark_k8s.local.kubelet_context import KubeletContext, KubeletTiming
from airflow_spark_k8s.local.kubelet_node import NodeOffer, node_manifest, node_status
from airflow_spark_k8s.local.kubelet_pod import PodWorker
from airflow_spark_k8s.local.kubelet_runtime import ContainerRuntime, LogOptions, ProxyAnswer, ProxyRequest
from airflow_spark_k8s.local.manifests import is_terminal, key_of
from airflow_spark_k8s.local.node_lifecycle import LEASE_NAMESPACE
from airflow_spark_k8s.local.recorder import EventRecorder
from airflow_spark_k8s.local.resources import LEASES, NAMESPACES, NODES, PODS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import TimerHandle, Timers
from airflow_spark_k8s.local.volumes import TokenIssuer

LEASE_SECONDS = 40


def _no_token(namespace: str, account: str) -> str:
    return f"token-of-{account}-in-{namespace}"


class Kubelet:
    """
    Runs the pods of one node with a container runtime, and keeps the node's heartbeat.

    `api_host` and `api_port` are what containers find as KUBERNETES_SERVICE_HOST and _PORT; `token` gives the
    service account tokens that they find in their files. `chance` spreads heartbeats of several nodes.
    """

    def __init__(
        self,
        store: Store,
        timers: Timers,
        node: NodeOffer,
        runtime: ContainerRuntime,
        wall_clock: Callable[[], datetime],
        chance: random.Random,
        *,
        api_host: str = "10.96.0.1",
        api_port: int = 443,
        token: TokenIssuer = _no_token,
        timing: KubeletTiming | None = None,
    ) -> None:
        self._context = KubeletContext(
            store=store,
            timers=timers,
            offer=node,
            runtime=runtime,
            wall_clock=wall_clock,
            token=token,
            api_host=api_host,
            api_port=api_port,
            timing=timing or KubeletTiming(),
            events=EventRecorder(store, timers, wall_clock, "kubelet", host=node.name),
        )
        self._chance = chance
        self._workers: dict[str, PodWorker] = {}  # by uid
        self._by_name: dict[tuple[str | None, str], PodWorker] = {}
        self._heartbeat: TimerHandle | None = None
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        """Name of the node."""
        return self._context.offer.name

    @property
    def silent(self) -> bool:
        """Whether the node has lost its network."""
        return self._context.silent

    # the node

    def start(self) -> None:
        """Register the node and begin to work."""
        store = self._context.store
        if store.peek(NAMESPACES, None, LEASE_NAMESPACE) is None:
            store.create(NAMESPACES, {"metadata": {"name": LEASE_NAMESPACE}})
        if store.peek(NODES, None, self.name) is None:
            store.create(NODES, node_manifest(self._context.offer, self._context.now()))
        self._unsubscribe = store.subscribe(self._on_event)
        self._beat()
        self._catch_up()

    def stop(self) -> None:
        """Work no more; containers are ended by force. The node object stays."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        for worker in self._workers.values():
            worker.abandon()
            self._context.runtime.discard(worker.pod)
        self._context.silent = True
        self._workers.clear()
        self._by_name.clear()

    def silence(self) -> None:
        """Cut the node off: containers go on, but nothing is heard or told."""
        self._context.silent = True

    def revive(self) -> None:
        """End of `silence`: tell what happened, catch up with what was missed."""
        if not self._context.silent:
            return
        self._context.silent = False
        if self._context.store.peek(NODES, None, self.name) is None:
            self._context.store.create(NODES, node_manifest(self._context.offer, self._context.now()))
        self._report_well()
        self._renew_lease()
        self._catch_up()

    def _beat(self) -> None:
        if not self._context.silent:
            self._renew_lease()
        # A little spread, as between real nodes.
        delay = self._context.timing.heartbeat_seconds * (1 + 0.04 * self._chance.random())
        self._heartbeat = self._context.timers.call_later(delay, self._beat)

    def _renew_lease(self) -> None:
        store = self._context.store
        now = self._context.wall_clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
        lease = store.find(LEASES, LEASE_NAMESPACE, self.name)
        if lease is None:
            metadata = {"name": self.name, "namespace": LEASE_NAMESPACE}
            store.create(LEASES, {"metadata": metadata, "spec": spec})
        else:
            store.update(LEASES, {**lease, "spec": spec})

    def _report_well(self) -> None:
        fresh = node_status(self._context.offer, self._context.now())

        def change(node: Manifest) -> None:
            status = node.setdefault("status", {})
            conditions = status.get("conditions") or []
            for each in fresh["conditions"]:
                conditions = with_condition(conditions, each)
            node["status"] = {**status, **fresh, "conditions": conditions}

        self._context.store.edit(NODES, None, self.name, change, subresource="status")

    # its pods

    def _on_event(self, event: Event) -> None:
        if event.resource is not PODS or event.object["spec"].get("nodeName") != self.name:
            return
        if not self._context.silent:
            self._on_pod(event.object, removed=event.type == "DELETED")

    def _on_pod(self, pod: Manifest, *, removed: bool) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if removed:
            if worker is not None:
                del self._workers[uid]
                if self._by_name.get(key_of(pod)) is worker:
                    del self._by_name[key_of(pod)]
                worker.on_removed(pod)
            return
        if worker is not None and is_deleting(pod):
            # Others that react to the deletion at once are heard first, as on a real node.
            self._context.timers.call_later(self._context.timing.sync_seconds, worker.on_update, pod)
        elif worker is not None:
            worker.on_update(pod)
        elif not is_terminal(pod):
            worker = PodWorker(self._context, pod)
            self._workers[uid] = self._by_name[key_of(pod)] = worker
            self._context.timers.call_later(0.0, self._take_on, worker)

    def _take_on(self, worker: PodWorker) -> None:
        if self._workers.get(worker.pod["metadata"]["uid"]) is worker:
            worker.start()

    def _catch_up(self) -> None:
        present = {pod["metadata"]["uid"]: pod for pod in self._context.store.pods_on(self.name)}
        for uid, worker in list(self._workers.items()):
            if uid not in present:
                self._on_pod(worker.pod, removed=True)
        for uid, pod in present.items():
            worker_or_none = self._workers.get(uid)
            self._on_pod(pod, removed=False)
            if worker_or_none is not None:
                worker_or_none.resume()

    def evict(
        self, namespace: str, name: str, message: str = "The node was low on resource: memory. "
    ) -> None:
        """End a pod as under node pressure (Failed, Evicted); raises `LookupError` if it is not here."""
        self._worker(namespace, name).evict(message)

    def exceed(self, namespace: str, name: str, message: str) -> None:
        """End a pod for more scratch space than it may take (Failed, Evicted); `LookupError` as above."""
        self._worker(namespace, name).exceed(message)

    # answers for the API server

    def logs(self, namespace: str, pod: str, container: str, options: LogOptions) -> bytes:
        """Log of a container so far; raises `LookupError` if it never started or has no previous instance."""
        uid = self._worker(namespace, pod).pod["metadata"]["uid"]
        return self._context.runtime.logs(uid, container, options)

    def follow(
        self,
        namespace: str,
        pod: str,
        container: str,
        options: LogOptions,
        write: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> Callable[[], None]:
        """A function that ends following; see `ContainerRuntime.follow`."""
        uid = self._worker(namespace, pod).pod["metadata"]["uid"]
        return self._context.runtime.follow(uid, container, options, write, ended)

    def address(self, namespace: str, pod: str) -> str | None:
        """IP address of a pod for the proxy; None if it has none (yet)."""
        try:
            return self._worker(namespace, pod).view.pod_address
        except LookupError:
            return None

    def answer(self, namespace: str, pod: str, request: ProxyRequest) -> ProxyAnswer | None:
        """Answer of a server that lives inside the runtime; None: connect to the pod's address instead."""
        uid = self._worker(namespace, pod).pod["metadata"]["uid"]
        return self._context.runtime.answer(uid, request)

    def _worker(self, namespace: str, name: str) -> PodWorker:
        if self._context.silent:
            raise LookupError(f"node {self.name} does not answer")
        worker = self._by_name.get((namespace, name))
        if worker is None:
            raise LookupError(f"pod {namespace}/{name} is not on node {self.name}")
        return worker
