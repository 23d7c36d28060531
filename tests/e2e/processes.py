"""What the end-to-end tests need to look at a cluster and at a running Airflow."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from airflow_spark_k8s.core.labels import ANNOTATION_DAG_ID, ANNOTATION_RUN_ID
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.airflow import LocalAirflow
from airflow_spark_k8s.local.pytest_plugin import DEFAULT_IMAGE, SparkCluster

T = TypeVar("T")

KINDS = {
    "jobs": "/apis/batch/v1/namespaces/{namespace}/jobs",
    "pods": "/api/v1/namespaces/{namespace}/pods",
    "configmaps": "/api/v1/namespaces/{namespace}/configmaps",
    "secrets": "/api/v1/namespaces/{namespace}/secrets",
}


PATIENCE_SECONDS = 600.0
"""For all that may include pulling an image on a real cluster."""

SMALL = {
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.executor.request.cores": "100m",
}
"""Properties with which the applications of the tests fit on a node of two cores, all at once."""


def objects_of(cluster: SparkCluster, dag_id: str, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Objects of every application of a DAG run, by kind, kinds without any left out."""

    async def ask() -> dict[str, list[dict[str, Any]]]:
        settings = ClusterSettings(
            kube_config_path=str(cluster.kubeconfig_path), cluster_context=cluster.context
        )
        found = {}
        async with await ApiServer.open(settings) as server:
            for kind, path in KINDS.items():
                answer = await server.request("GET", path.format(namespace=cluster.namespace))
                found[kind] = [item for item in answer["items"] if is_of(item, dag_id, run_id)]
        return {kind: items for kind, items in found.items() if items}

    return asyncio.run(ask())


def is_of(item: dict[str, Any], dag_id: str, run_id: str) -> bool:
    # A real cluster still holds what earlier sessions left to their retention.
    annotations = item["metadata"].get("annotations") or {}
    return (annotations.get(ANNOTATION_DAG_ID), annotations.get(ANNOTATION_RUN_ID)) == (dag_id, run_id)


def copy_dags(source: Path, target: Path, cluster: SparkCluster) -> None:
    """The DAG files of `source`, their image replaced by the cluster's."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    for file in target.glob("*.py"):
        file.write_text(
            file.read_text().replace(f'image="{DEFAULT_IMAGE}"', f'image="{cluster.spark_image}"')
        )


def wait_until(look: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first truthy thing that `look` returns."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def finished(airflow: LocalAirflow, dag_id: str, run_id: str, *, seconds: float = PATIENCE_SECONDS) -> str:
    """Final state of a DAG run."""

    def look() -> str | None:
        state = airflow.run_state(dag_id, run_id)
        return state if state in ("success", "failed") else None

    return wait_until(look, seconds=seconds, what=f"end of {dag_id}")


def log_of(airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str = "count") -> list[str]:
    return [line.text for line in airflow.task_log(dag_id, run_id, task_id)]
