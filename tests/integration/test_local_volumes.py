"""Volumes of containers that are processes of this machine: what is in them, and when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.cluster import LocalCluster

pytestmark = pytest.mark.timeout(60)

CORE = "/api/v1/namespaces/default"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
FILL = "head -c 41943040 /dev/zero > /v/data; sleep 2"


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of the cluster, each with one volume at /v."""

    server: ApiServer
    claims: Path  # where the volumes behind claims are

    async def create(self, name: str, source: dict[str, Any], script: str, memory: str = "1Gi") -> None:
        container = {
            "name": "main",
            "image": "busybox",
            "command": ["sh", "-c", script],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "resources": {"limits": {"memory": memory}},
        }
        spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
        body = {"metadata": {"name": name}, "spec": {**spec, "volumes": [{"name": "v", **source}]}}
        await self.server.request("POST", f"{CORE}/pods", body={"apiVersion": "v1", "kind": "Pod", **body})

    async def until(self, name: str, *phases: str) -> dict[str, Any]:
        while True:
            pod = await self.server.request("GET", f"{CORE}/pods/{name}")
            if pod["status"]["phase"] in phases:
                return pod
            await asyncio.sleep(0.05)

    async def end(self, name: str) -> tuple[str, int]:
        pod = await self.until(name, "Succeeded", "Failed")
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        return ended["reason"], ended["exitCode"]

    async def mount_trouble(self, name: str) -> str:
        while True:
            events = (await self.server.request("GET", f"{CORE}/events"))["items"]
            for event in events:
                if event["involvedObject"]["name"] == name and event["reason"] == "FailedMount":
                    return str(event["message"])
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


@pytest_asyncio.fixture
async def pods(cluster: LocalCluster) -> AsyncIterator[Pods]:
    settings = ClusterSettings(kube_config_path=str(cluster.kubeconfig_path))
    async with await ApiServer.open(settings) as server:
        yield Pods(server, cluster.kubeconfig_path.parent / "claims")


async def test_a_claim_keeps_what_a_pod_leaves_for_the_next(pods: Pods) -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"}, "spec": CLAIM}
    await pods.server.request("POST", f"{CORE}/persistentvolumeclaims", body=claim)
    source = {"persistentVolumeClaim": {"claimName": "kept"}}
    await pods.create("writes", source, "echo news > /v/paper")
    assert await pods.end("writes") == ("Completed", 0)
    await pods.create("reads", source, "grep -q news /v/paper")
    assert await pods.end("reads") == ("Completed", 0)


async def test_what_is_in_an_ephemeral_volume_goes_with_its_pod(pods: Pods) -> None:
    await pods.create(
        "short", {"ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}}, "echo x > /v/short.txt"
    )
    assert await pods.end("short") == ("Completed", 0)
    assert len(list(pods.claims.glob("*/short.txt"))) == 1
    await pods.server.request("DELETE", f"{CORE}/pods/short")
    while list(pods.claims.glob("*/short.txt")):  # noqa: ASYNC110 (folders tell nobody)
        await asyncio.sleep(0.05)


async def test_files_in_memory_count_against_the_memory_limit(pods: Pods) -> None:
    await pods.create("memory", {"emptyDir": {"medium": "Memory"}}, FILL, memory="24Mi")
    await pods.create("disk", {"emptyDir": {}}, FILL, memory="24Mi")
    assert await pods.end("memory") == ("OOMKilled", 137)
    assert await pods.end("disk") == ("Completed", 0)


async def test_a_path_of_the_node_is_made_if_it_may_be(pods: Pods, tmp_path: Path) -> None:
    new = tmp_path / "a" / "b"
    await pods.create("makes", {"hostPath": {"path": str(new), "type": "DirectoryOrCreate"}}, "echo x > /v/x")
    assert await pods.end("makes") == ("Completed", 0)
    assert (new / "x").read_text() == "x\n"


async def test_a_path_of_another_type_keeps_the_pod_from_starting(pods: Pods, tmp_path: Path) -> None:
    await pods.create("wrong", {"hostPath": {"path": str(tmp_path), "type": "File"}}, "true")
    why = f"hostPath type check failed: {tmp_path} is not a file"
    assert await pods.mount_trouble("wrong") == f'MountVolume.SetUp failed for volume "v" : {why}'
    await pods.until("wrong", "Pending")
    await pods.server.request("DELETE", f"{CORE}/pods/wrong")
