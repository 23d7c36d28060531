"""A service account with the rights of a Spark driver, for tests on a real cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_spark_k8s.exceptions import AlreadyExists, ClusterError, NotFound
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings

log = logging.getLogger(__name__)

NAME = "airflow-spark-k8s-test-driver"
DRIVER_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]}]
"""What a driver of this package asks of the API server, and nothing else."""

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


async def _make(settings: ClusterSettings, namespace: str, made: list[str]) -> None:
    async with await ApiServer.open(settings) as server:
        for path, body in _objects(namespace):
            try:
                await server.request("POST", path, body=body)
            except AlreadyExists:
                continue
            made.append(f"{path}/{body['metadata']['name']}")


async def _remove(settings: ClusterSettings, made: list[str]) -> None:
    if not made:
        return
    async with await ApiServer.open(settings) as server:
        for path in reversed(made):
            try:
                await server.request("DELETE", path)
            except NotFound:
                continue


def _objects(namespace: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    metadata = {"name": NAME, "namespace": namespace}
    yield (
        f"/api/v1/namespaces/{namespace}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
    )
    rbac = f"/apis/{_RBAC}/v1/namespaces/{namespace}"
    yield (
        f"{rbac}/roles",
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": DRIVER_RULES},
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
