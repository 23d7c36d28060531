"""What the end-to-end tests need to look at a cluster and at a running Airflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from airflow_spark_k8s.core.labels import ANNOTATION_DAG_ID
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.airflow import LocalAirflow
from airflow_spark_k8s.local.pytest_plugin import SparkCluster

T = TypeVar("T")

KINDS = {
    "jobs": "/apis/batch/v1/namespaces/{namespace}/jobs",
    "pods": "/api/v1/namespaces/{namespace}/pods",
    "configmaps": "/api/v1/namespaces/{namespace}/configmaps",
    "secrets": "/api/v1/namespaces/{namespace}/secrets",
}


def objects_of(cluster: SparkCluster, dag_id: str) -> dict[str, list[dict[str, Any]]]:
    """Objects of every application of a DAG, by kind, kinds without any left out."""

    async def ask() -> dict[str, list[dict[str, Any]]]:
        settings = ClusterSettings(
            kube_config_path=str(cluster.kubeconfig_path), cluster_context=cluster.context
        )
        found = {}
        async with await ApiServer.open(settings) as server:
            for kind, path in KINDS.items():
                answer = await server.request("GET", path.format(namespace=cluster.namespace))
                found[kind] = [item for item in answer["items"] if is_of(item, dag_id)]
        return {kind: items for kind, items in found.items() if items}

    return asyncio.run(ask())


def is_of(item: dict[str, Any], dag_id: str) -> bool:
    return (item["metadata"].get("annotations") or {}).get(ANNOTATION_DAG_ID) == dag_id


def wait_until(look: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first truthy thing that `look` returns."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def finished(airflow: LocalAirflow, dag_id: str, run_id: str, *, seconds: float = 240.0) -> str:
    """Final state of a DAG run."""

    def look() -> str | None:
        state = airflow.run_state(dag_id, run_id)
        return state if state in ("success", "failed") else None

    return wait_until(look, seconds=seconds, what=f"end of {dag_id}")


def log_of(airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str = "count") -> list[str]:
    return [line.text for line in airflow.task_log(dag_id, run_id, task_id)]
