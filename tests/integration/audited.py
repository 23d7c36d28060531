"""A cluster that enforces roles and keeps who asked for what."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from airflow_spark_k8s.exceptions import AlreadyExists
from airflow_spark_k8s.kube.access import Right
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.addresses import PodAddresses
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authentication import Tokens
from airflow_spark_k8s.local.authorization import Action, RoleAuthorizer
from airflow_spark_k8s.local.certificates import make_certificates
from airflow_spark_k8s.local.cluster import MARKER, end_marked_processes
from airflow_spark_k8s.local.container_layout import Machine
from airflow_spark_k8s.local.control_plane import ControlPlane
from airflow_spark_k8s.local.exchange import User
from airflow_spark_k8s.local.kubelet import Kubelet
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.process_runtime import ProcessRuntime, RuntimeSettings
from airflow_spark_k8s.local.requirements_check import check_java, check_pyspark
from airflow_spark_k8s.local.resources import NAMESPACES
from airflow_spark_k8s.local.serve import kubeconfig, wall_clock
from airflow_spark_k8s.local.server import HttpsServer
from airflow_spark_k8s.local.spark_images import images_of
from airflow_spark_k8s.local.store import Store

AIRFLOW, DRIVER = "system:serviceaccount:airflow:airflow", "system:serviceaccount:spark:spark-driver"

Asked = tuple[str, str, str, str]  # verb, API group, resource, subresource

_REVIEWS = "selfsubjectaccessreviews"
_PLACES = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


def asked(right: Right) -> Asked:
    return (right.verb, right.group, right.resource, right.subresource)


@dataclass
class Audit:
    """An authorizer that keeps what it decided, by user; what a review only asks about is not done."""

    roles: RoleAuthorizer
    allowed: dict[str, set[Asked]] = field(default_factory=dict)
    denied: list[tuple[str, Action]] = field(default_factory=list)
    _reviews: bool = False  # the next question is the one of a review

    def allows(self, user: User, action: Action) -> bool:
        yes = self.roles.allows(user, action)
        of_review, self._reviews = self._reviews, action.resource == _REVIEWS
        if action.resource and not (of_review or self._reviews):
            what = (action.verb, action.group, action.resource, action.subresource)
            if yes:
                self.allowed.setdefault(user.name, set()).add(what)
            else:
                self.denied.append((user.name, action))
        return yes


async def apply(cluster: Cluster, text: str) -> None:
    """Create what `kubectl apply -f -` would."""
    for manifest in yaml.safe_load_all(text):
        path = _PLACES[manifest["kind"]].format(namespace=manifest["metadata"].get("namespace"))
        try:
            await cluster.request("POST", path, body=manifest)
        except AlreadyExists:
            raise AssertionError(
                f"{manifest['kind']} {manifest['metadata']['name']} is there twice"
            ) from None


@dataclass
class AuditedCluster:
    """The local cluster's parts, put together in this process around an `Audit`."""

    audit: Audit
    store: Store
    config: dict[str, Any]  # of the administrator
    tokens: Tokens

    def settings(self, token: str | None = None) -> ClusterSettings:
        """How the administrator, or the holder of `token`, reaches it."""
        config = yaml.safe_load(yaml.safe_dump(self.config))
        if token is not None:
            config["users"][0]["user"] = {"token": token}
        return ClusterSettings(kube_config=config)

    async def as_admin(self) -> ApiServer:
        """A client that may do everything."""
        return await ApiServer.open(self.settings())

    async def as_account(self, namespace: str, name: str) -> ApiServer:
        """A client with the token of a service account."""
        return await ApiServer.open(self.settings(self.tokens.for_service_account(namespace, name)))


@asynccontextmanager
async def audited_cluster(folder: Path, namespace: str) -> AsyncIterator[AuditedCluster]:
    """A cluster with one node on which Spark runs."""
    loop, chance = asyncio.get_running_loop(), random.SystemRandom()
    certificates, tokens = make_certificates(wall_clock()), Tokens(chance)
    store = Store(wall_clock=wall_clock, chance=chance, root_ca=certificates.authority)
    store.create(NAMESPACES, {"metadata": {"name": namespace}})
    kubelets: dict[str, Any] = {}
    audit = Audit(RoleAuthorizer(store))
    server = HttpsServer(Api(store, authorizer=audit, nodes=kubelets, tokens=tokens), certificates)
    where = urlsplit(await server.start())
    machine = Machine(check_java(), ("-XX:TieredStopAtLevel=1",), folder / "claims", {MARKER: str(folder)})
    images = images_of({}, check_pyspark(), version("pyspark"))
    runtime = ProcessRuntime(
        loop,
        RuntimeSettings(folder=folder / "pods", images=images, machine=machine),
        addresses=PodAddresses(chance),
        wall_clock=wall_clock,
    )
    ControlPlane(store, loop)
    kubelet = Kubelet(
        store,
        loop,
        NodeOffer(name="node-1", cpu="16", memory="32Gi"),
        runtime,
        wall_clock,
        chance,
        api_host=where.hostname or "",
        api_port=where.port or 0,
        token=tokens.for_service_account,
    )
    kubelets[kubelet.name] = kubelet
    kubelet.start()
    authority = base64.b64encode(certificates.authority.encode()).decode()
    config = yaml.safe_load(kubeconfig("audited", where.geturl(), authority, tokens.admin, namespace))
    try:
        yield AuditedCluster(audit, store, config, tokens)
    finally:
        kubelet.stop()
        await runtime.close()
        await server.stop()
        end_marked_processes(str(folder))
