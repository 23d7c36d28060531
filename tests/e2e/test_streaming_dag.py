"""The example of a stream: its driver is evicted on the way, and the next one goes on from the checkpoint."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_spark_k8s.core.labels import ANNOTATION_DAG_ID
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from tests.e2e.processes import copy_dags
from tests.e2e.test_dag_test import EXAMPLES, RunDag, environment, run_dag  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.timeout(600)]

FILES, RECORDS = 20, 5  # of the source; records of each file
COMMITTED = 3  # batches that are in the checkpoint before the driver is evicted
FILL = """
mkdir /stream/in
for file in $(seq 0 {files}); do
  for n in $(seq 1 {records}); do
    echo "{{\\"id\\": $((file * {records} + n)), \\"celsius\\": $n}}"
  done > /stream/in/$file.json
done
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is in the claim of the example, as seen from outside of every pod."""

    folder: Path

    def committed(self) -> int:
        """Number of batches that the checkpoint says are done."""
        return sum(file.name.isdigit() for file in (self.folder / "checkpoint" / "commits").glob("*"))

    def sink(self) -> list[dict[str, Any]]:
        """Records of the files that the sink's log lists: what Spark reads, too."""
        log = self.folder / "out" / "_spark_metadata"
        numbers = {int(file.name.partition(".")[0]): file for file in log.glob("[0-9]*")}
        # A file N.compact has all entries of the files before it.
        compact = [number for number, file in numbers.items() if file.suffix == ".compact"]
        added = []
        for number in sorted(numbers):
            if number >= max(compact, default=0):
                _, *entries = numbers[number].read_text().splitlines()
                added += [Path(urlsplit(json.loads(entry)["path"]).path) for entry in entries]
        return [json.loads(line) for file in added for line in file.read_text().splitlines()]


async def filled(server: ApiServer, namespace: str, claims: Path) -> Stream:
    """The claim of the example, with the source's files in it."""
    core = f"/api/v1/namespaces/{namespace}"
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "stream"},
        "spec": spec,
    }
    await server.request("POST", f"{core}/persistentvolumeclaims", body=claim)
    fill = FILL.format(files=FILES - 1, records=RECORDS)
    container = {
        "name": "main",
        "image": "busybox",
        "command": ["sh", "-c", fill],
        "volumeMounts": [{"name": "v", "mountPath": "/stream"}],
    }
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "stream"}}
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fill-stream"}, "spec": pod}
    await server.request("POST", f"{core}/pods", body=body)
    while True:
        pod = await server.request("GET", f"{core}/pods/fill-stream")
        if pod["status"]["phase"] == "Succeeded":
            break
        await asyncio.sleep(0.1)
    claim = await server.request("GET", f"{core}/persistentvolumeclaims/stream")
    return Stream(claims / claim["spec"]["volumeName"])


@dataclass(frozen=True, slots=True)
class Evicted:
    """The driver pod that was evicted, and how far the query was just before."""

    pod: str
    committed: int


async def evict_in_mid_stream(
    server: ApiServer, namespace: str, stream: Stream, run: asyncio.Future[Any]
) -> Evicted | None:
    """None if there was nothing to evict until the run was over."""
    while (committed := stream.committed()) < COMMITTED:
        if run.done():
            return None
        await asyncio.sleep(0.05)
    pods = f"/api/v1/namespaces/{namespace}/pods"
    found = await server.request("GET", pods, params={"labelSelector": "spark-role=driver"})
    (name,) = [
        pod["metadata"]["name"]
        for pod in found["items"]
        if (pod["metadata"].get("annotations") or {}).get(ANNOTATION_DAG_ID) == "streaming"
    ]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    await server.request("POST", f"{pods}/{name}/eviction", body=eviction)
    return Evicted(name, committed)


async def test_a_stream_whose_driver_is_evicted_loses_and_doubles_no_record(
    run_dag: RunDag,  # noqa: F811
    tmp_path: Path,
    spark_cluster: SparkCluster,
) -> None:
    copy_dags(EXAMPLES, tmp_path / "dags", spark_cluster)
    settings = ClusterSettings(
        kube_config_path=str(spark_cluster.kubeconfig_path), cluster_context=spark_cluster.context
    )
    async with await ApiServer.open(settings) as server:
        claims = spark_cluster.kubeconfig_path.parent / "claims"
        stream = await filled(server, spark_cluster.namespace, claims)
        example = tmp_path / "dags" / "streaming.py"
        running = asyncio.ensure_future(asyncio.to_thread(run_dag, example, "streaming"))
        evicted = await evict_in_mid_stream(server, spark_cluster.namespace, stream, running)
        (run,) = await running

    assert run["state"] == "success", run["errors"]
    assert evicted is not None
    assert COMMITTED <= evicted.committed < FILES, "not in mid-stream"
    summary = run["tasks"]["convert"]["xcom"]
    assert (summary["exit_code"], summary["driver_restarts"]) == (0, 1)
    assert summary["driver_pod"] != evicted.pod
    # Each file is a batch of its own: who starts again from the first has more, or others.
    assert stream.committed() == FILES
    expected = [
        {"id": file * RECORDS + n, "fahrenheit": round(n * 1.8 + 32, 1)}
        for file in range(FILES)
        for n in range(1, RECORDS + 1)
    ]
    assert sorted(stream.sink(), key=lambda record: record["id"]) == expected
