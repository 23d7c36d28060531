"""A service account with the rights of a Spark driver, for tests on a real cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_spark_k8s.exceptions import AlreadyExists, ClusterError, Conflict, Forbidden, NotFound
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.kube.roles import DRIVER_RIGHTS, rules

log = logging.getLogger(__name__)

NAME = "airflow-spark-k8s-test-driver"
NAMESPACE_SECONDS = 60.0
"""For a namespace of the same name to go, and for a new one to get its default service account."""

_LOOK_AGAIN_SECONDS = 0.5
_NAMESPACES = "/api/v1/namespaces"
_RBAC = "rbac.authorization.k8s.io"


@contextmanager
def driver_service_account(kubeconfig: Path, context: str, namespace: str) -> Iterator[str | None]:
    """
    Name of a service account with a driver's rights in the namespace, made for as long as the block runs.

    A missing namespace is made, too. None if the user of the kubeconfig may not do that: drivers then
    run under the namespace's default account.
    """
    settings = ClusterSettings(kube_config_path=str(kubeconfig), cluster_context=context)
    made: list[str] = []
    try:
        try:
            asyncio.run(_make(settings, namespace, made))
        except ClusterError as error:
            log.warning("no service account for drivers: %s", error)
            yield None
        else:
            yield NAME
    finally:
        asyncio.run(_remove(settings, made))


async def make_rights(cluster: Cluster, namespace: str, made: list[str]) -> None:
    """
    Make the namespace and the service account, and add the path of all that was made to `made`.

    :raises ClusterError: the user may not, or the server does not answer.
    """
    await _make_namespace(cluster, namespace, made)
    for path, body in _objects(namespace):
        try:
            await cluster.request("POST", path, body=body)
        except AlreadyExists:
            continue
        made.append(f"{path}/{body['metadata']['name']}")


async def _make(settings: ClusterSettings, namespace: str, made: list[str]) -> None:
    async with await ApiServer.open(settings) as server:
        await make_rights(server, namespace, made)


async def _remove(settings: ClusterSettings, made: list[str]) -> None:
    if not made:
        return
    async with await ApiServer.open(settings) as server:
        for path in reversed(made):
            try:
                await server.request("DELETE", path)
            except NotFound:
                continue


async def _make_namespace(cluster: Cluster, namespace: str, made: list[str]) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    left_seconds = NAMESPACE_SECONDS
    while True:
        try:
            await cluster.request("POST", _NAMESPACES, body=body)
            break
        except Forbidden:
            return  # users of one namespace may not: it is there, or the next call says that it is not
        except AlreadyExists:
            if not await _is_terminating(cluster, namespace):
                return
        left_seconds = await _waited(left_seconds, f"namespace {namespace} is being deleted, and stays")
    made.append(f"{_NAMESPACES}/{namespace}")
    # Without it no pod is admitted; a controller makes it some moments after the namespace.
    while not await _exists(cluster, f"{_NAMESPACES}/{namespace}/serviceaccounts/default"):
        left_seconds = await _waited(left_seconds, f"namespace {namespace} has no default service account")


async def _waited(left_seconds: float, trouble: str) -> float:
    if left_seconds <= 0:
        raise Conflict(trouble)
    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return left_seconds - _LOOK_AGAIN_SECONDS


async def _is_terminating(cluster: Cluster, namespace: str) -> bool:
    try:
        found = await cluster.request("GET", f"{_NAMESPACES}/{namespace}")
    except NotFound:
        return True  # gone since
    except Forbidden:
        return False
    return found["metadata"].get("deletionTimestamp") is not None


async def _exists(cluster: Cluster, path: str) -> bool:
    try:
        await cluster.request("GET", path)
    except NotFound:
        return False
    return True


def _objects(namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    metadata = {"name": NAME, "namespace": namespace}
    yield (
        f"{_NAMESPACES}/{namespace}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
    )
    rbac = f"/apis/{_RBAC}/v1/namespaces/{namespace}"
    yield (
        f"{rbac}/roles",
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": rules(DRIVER_RIGHTS)},
    )
    yield (
        f"{rbac}/rolebindings",
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        },
    )
