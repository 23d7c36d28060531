"""The public fixture on a cluster that `--kube-context` names; here a local one plays the real one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.cluster import LocalCluster

TEST = """
import asyncio

from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings


async def account_names(cluster):
    path = f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts"
    settings = ClusterSettings(kube_config_path=str(cluster.kubeconfig_path), cluster_context=cluster.context)
    async with await ApiServer.open(settings) as server:
        return [item["metadata"]["name"] for item in (await server.request("GET", path))["items"]]


def test_cluster(spark_cluster):
    extra = spark_cluster.connection_extra()
    assert extra["namespace"] == "team"
    assert extra["image"] == "reg/spark:nightly"
    assert extra["spark_version"] == "4.1.0"
    assert extra["driver_service_account"] in asyncio.run(account_names(spark_cluster))
"""


async def namespaces(cluster: LocalCluster) -> set[str]:
    settings = ClusterSettings(kube_config_path=str(cluster.kubeconfig_path))
    async with await ApiServer.open(settings) as server:
        answer = await server.request("GET", "/api/v1/namespaces")
    return {item["metadata"]["name"] for item in answer["items"] if item["status"]["phase"] == "Active"}


def test_the_fixture_makes_what_drivers_need_and_removes_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    with LocalCluster() as cluster:
        other = tmp_path / "other"
        other.write_text('{"clusters": [], "contexts": [{"name": "other"}]}')
        options = [
            "--kube-context",
            cluster.context,
            "--kube-namespace",
            "team",
            "--spark-image",
            "reg/spark:nightly",
            "--spark-version",
            "4.1.0",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"],
            cwd=tmp_path,
            env={**os.environ, "KUBECONFIG": f"{other}{os.pathsep}{cluster.kubeconfig_path}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "team" not in asyncio.run(namespaces(cluster))
