"""This package's pods beside those that real Spark makes of the same properties."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.cluster import MERGE_PATCH
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.cluster import LocalCluster
from tests.integration.spark_manifests import Difference, Found, compare, stale, unexplained
from tests.integration.spark_manifests_cluster import pods_of_ours, pods_of_spark
from tests.integration.spark_manifests_confs import (
    DISCOVERY_SCRIPT,
    JVM,
    NODE_DEVICES,
    NODE_LABELS,
    RICH,
    Case,
    objects,
)
from tests.integration.spark_manifests_table import COMMAND, DOCUMENT, TABLE, document_with, rendered

JOBS = Path(__file__).parent / "jobs"


@pytest.fixture(scope="module")
def discovery_script() -> Iterator[None]:
    DISCOVERY_SCRIPT.parent.mkdir()
    shutil.copy(JOBS / DISCOVERY_SCRIPT.name, DISCOVERY_SCRIPT)
    yield
    shutil.rmtree(DISCOVERY_SCRIPT.parent)


@pytest.fixture(scope="module")
def differences(discovery_script: None) -> Iterator[list[Found]]:
    with LocalCluster() as cluster:
        yield asyncio.run(_differences(cluster))


async def _differences(cluster: LocalCluster) -> list[Found]:
    settings = ClusterSettings(kube_config_path=str(cluster.kubeconfig_path))
    async with await ApiServer.open(settings) as server:
        await _furnish(server, cluster.namespace)
        found = await asyncio.gather(*(_of(cluster, server, case) for case in (RICH, JVM)))
        return [difference for each in found for difference in each]


async def _furnish(server: ApiServer, namespace: str) -> None:
    """Make what the pods refer to, and a node for them."""
    for path, body in objects(namespace):
        await server.request("POST", path, body=body)
    node = "/api/v1/nodes/node-1"
    labels = {"metadata": {"labels": NODE_LABELS}}
    await server.request("PATCH", node, body=labels, content_type=MERGE_PATCH)
    devices = {"status": {"allocatable": NODE_DEVICES, "capacity": NODE_DEVICES}}
    await server.request("PATCH", f"{node}/status", body=devices, content_type=MERGE_PATCH)


async def _of(cluster: LocalCluster, server: ApiServer, case: Case) -> list[Found]:
    spark = await pods_of_spark(cluster, server, case)
    ours = await pods_of_ours(cluster, server, case)
    return [found for pod in ("driver", "executor") for found in compare(pod, spark[pod], ours[pod])]


@pytest.mark.spark
@pytest.mark.timeout(240)
def test_every_difference_from_sparks_pods_has_its_reason(differences: list[Found]) -> None:
    assert unexplained(differences, TABLE) == []


@pytest.mark.spark
@pytest.mark.timeout(240)
def test_every_row_of_the_table_occurs(differences: list[Found]) -> None:
    assert stale(differences, TABLE) == []


def test_the_document_has_the_rows_of_the_table() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == document_with(rendered(), document), f"out of date: run {COMMAND}"


ROW = Difference("executor", "spec.volumes.*", "a*", None, "why")
FOUND = Found("executor", "spec.volumes.x.name", "abc", None)


@pytest.mark.parametrize(
    ("found", "explained"),
    [
        pytest.param(FOUND, True, id="path and values fit"),
        pytest.param(Found("driver", FOUND.path, "abc", None), False, id="another pod"),
        pytest.param(Found("executor", "spec.hostname", "abc", None), False, id="another field"),
        pytest.param(Found("executor", FOUND.path, "bcd", None), False, id="another value of Spark"),
        pytest.param(Found("executor", FOUND.path, "abc", "abcd"), False, id="a value where none should be"),
        pytest.param(Found("executor", FOUND.path, None, None), False, id="no value where one should be"),
    ],
)
def test_what_a_row_explains(found: Found, explained: bool) -> None:
    assert (unexplained([found], [ROW]) == []) is explained
    assert (stale([found], [ROW]) == []) is explained


def test_two_rows_about_one_field_are_one_too_many() -> None:
    assert unexplained([FOUND], [ROW, ROW]) == [f"{FOUND} (2 rows)"]
