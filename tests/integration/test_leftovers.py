"""What each way to end leaves in the cluster: what the retention keeps, or nothing."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from airflow_spark_k8s.core.labels import LABEL_TI_ID
from airflow_spark_k8s.exceptions import ApplicationTimedOut, DriverFailed
from airflow_spark_k8s.hooks.spark_kubernetes import connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator
from airflow_spark_k8s.triggers.spark_kubernetes_job import SparkKubernetesJobTrigger

pytestmark = pytest.mark.timeout(180)

EXECUTORS = 2
RETENTION_SECONDS = 600

# What counts here of a driver and an executor, without a JVM: the one listens, the others end with it.
DRIVER = """
import json, os, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Rest(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.partition("?")[0].rpartition("/")[2]
        properties = [["spark.master", "k8s://local"], ["spark.executor.instances", "0"]]
        answers = {{"environment": {{"sparkProperties": properties}}, "allexecutors": [], "stages": []}}
        about = {{"id": name, "attempts": [{{"appSparkVersion": "4.3.0"}}]}}
        body = json.dumps(answers.get(name, about)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
address, there = os.environ["SPARK_DRIVER_BIND_ADDRESS"], []
rest = ThreadingHTTPServer((address, 4040), Rest)
threading.Thread(target=rest.serve_forever, daemon=True).start()
with socket.create_server((address, 7078)) as server:
    while len(there) < {executors}:
        connection, _ = server.accept()
        # A probe says nothing.
        if connection.recv(16) == b"executor":
            there.append(connection)
    if {exit_code} is None:
        time.sleep(3000)
    sys.exit({exit_code})
"""
EXECUTOR = """
import os, re, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
host, port = re.search("@(.*):([0-9]+)", os.environ["SPARK_DRIVER_URL"]).groups()
with socket.create_connection((host, int(port))) as connection:
    connection.sendall(b"executor")
    connection.recv(16)
    time.sleep({longer_seconds})
"""

SMALL = {
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.executor.request.cores": "100m",
}


class Trigger(SparkKubernetesJobTrigger):
    """The trigger, with an Airflow that knows one state of its task."""

    state = "deferred"

    async def _task_state(self) -> str | None:
        return self.state


@dataclass
class Stage:
    """A cluster, and one task with its context."""

    server: ApiServer
    namespace: str
    storage_class: str
    context: Any

    @property
    def ti_id(self) -> str:
        return str(self.context["ti"].id)

    def task(self, exit_code: int | None, *, longer_seconds: int = 0, **arguments: Any) -> Any:
        """A task whose driver ends with `exit_code`, or never, once all executors are there."""
        driver = DRIVER.format(executors=EXECUTORS, exit_code=exit_code)
        executor = EXECUTOR.format(longer_seconds=longer_seconds)
        return SparkKubernetesJobOperator(
            task_id="t",
            conn_id="leftovers",
            application="local:///none.py",
            conf={"spark.executor.instances": str(EXECUTORS), **SMALL, **volumes(self.storage_class)},
            driver_template=job_of(container("spark-kubernetes-driver", driver)),
            executor_template={"spec": {"containers": [container("spark-kubernetes-executor", executor)]}},
            **arguments,
        )

    async def deferred(self, task: Any, **changes: Any) -> Trigger:
        """The trigger of a task that is submitted now."""
        with pytest.raises(TaskDeferred) as left:
            await asyncio.to_thread(task.execute, self.context)
        return Trigger(**{**left.value.trigger.serialize()[1], **changes})

    async def objects(self) -> dict[str, list[Any]]:
        """What belongs to the task, by kind; kinds without any left out."""
        found = {}
        for kind in ("Job", "Pod", "ConfigMap", "Secret"):
            selector = {"labelSelector": f"{LABEL_TI_ID}={self.ti_id}"}
            answer = await self.server.request("GET", collection_path(kind, self.namespace), params=selector)
            found[kind] = answer["items"]
        claims = f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims"
        answer = await self.server.request("GET", claims)
        found["PersistentVolumeClaim"] = [claim for claim in answer["items"] if self.is_ours(claim)]
        answer = await self.server.request("GET", "/api/v1/persistentvolumes")
        found["PersistentVolume"] = [
            volume for volume in answer["items"] if self.is_ours({"metadata": volume["spec"]["claimRef"]})
        ]
        return {kind: items for kind, items in found.items() if items}

    def is_ours(self, claim: Mapping[str, Any]) -> bool:
        return bool(claim["metadata"]["name"].startswith(f"{self.context['dag'].dag_id}-t-"))

    async def nothing_is_left(self) -> bool:
        return not await self.objects()

    async def nothing_runs(self) -> bool:
        pods = (await self.objects())["Pod"]
        return all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods)

    async def until_everybody_runs(self) -> None:
        """Return when driver and executors have started, each with a volume of its own."""
        await until(self._everybody_runs)

    async def _everybody_runs(self) -> bool:
        found = await self.objects()
        phases = [pod["status"]["phase"] for pod in found.get("Pod", [])]
        return phases == ["Running"] * (1 + EXECUTORS) and len(found["PersistentVolume"]) == len(phases)


def volumes(storage_class: str) -> dict[str, str]:
    """Scratch volumes that go with their pods."""
    source = {"options.claimName": "OnDemand", "options.storageClass": storage_class}
    of_volume = {**source, "options.sizeLimit": "1Mi", "mount.path": "/scratch"}
    return {
        f"spark.kubernetes.{role}.volumes.persistentVolumeClaim.spark-local-dir-1.{name}": value
        for role in ("driver", "executor")
        for name, value in of_volume.items()
    }


def container(name: str, script: str) -> dict[str, Any]:
    return {"name": name, "command": ["python3", "-c", script]}


def job_of(driver: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [driver]}}}}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110 (a cluster is asked)
        await asyncio.sleep(0.1)


@pytest_asyncio.fixture
async def stage(spark_cluster: SparkCluster, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    extra = spark_cluster.connection_extra()
    connection = {"conn_type": "spark_kubernetes", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LEFTOVERS", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__SPARK_KUBERNETES__DEPLOYMENT_ID", "leftovers")
    monkeypatch.setenv("AIRFLOW__SPARK_KUBERNETES__MINIMUM_TRIGGER_SECONDS", "0")
    ids = {"dag_id": f"d{uuid.uuid4().hex[:8]}", "task_id": "t", "run_id": "r", "id": uuid.uuid4().hex}
    ti = SimpleNamespace(
        **ids, map_index=-1, try_number=1, start_date=None, xcom_push=lambda key, value: None
    )
    settings = connection_settings(extra)
    async with await ApiServer.open(settings.cluster) as server:
        classes = await server.request("GET", "/apis/storage.k8s.io/v1/storageclasses")
        name = classes["items"][0]["metadata"]["name"]
        yield Stage(server, settings.namespace, name, {"dag": DAG(ids["dag_id"], schedule=None), "ti": ti})


# The ends.


async def event_of(trigger: Trigger) -> Any:
    (event,) = [event async for event in trigger.run()]
    return event.payload


async def concluded(stage: Stage, task: Any) -> Any:
    event = await event_of(await stage.deferred(task))
    return await asyncio.to_thread(task.execute_complete, stage.context, event)


async def succeed(stage: Stage, keep: int) -> None:
    summary = await concluded(stage, stage.task(0, retention_seconds=keep))
    assert summary["verdict"] == "succeeded"


async def succeed_with_executors_that_stay(stage: Stage, keep: int) -> None:
    summary = await concluded(stage, stage.task(0, longer_seconds=3000, retention_seconds=keep))
    assert summary["verdict"] == "succeeded"


async def fail(stage: Stage, keep: int) -> None:
    with pytest.raises(DriverFailed):
        await concluded(stage, stage.task(3, retention_seconds=keep))


async def be_killed_while_deferred(stage: Stage, keep: int) -> None:
    trigger = await stage.deferred(stage.task(None, retention_seconds=keep))
    watching = asyncio.ensure_future(event_of(trigger))
    await stage.until_everybody_runs()
    trigger.state = "failed"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await trigger.on_kill()


async def be_killed_on_a_worker(stage: Stage, keep: int) -> None:
    task = stage.task(None, retention_seconds=keep, deferrable=False)
    working = asyncio.ensure_future(asyncio.to_thread(task.execute, stage.context))
    await stage.until_everybody_runs()
    await asyncio.to_thread(task.on_kill)
    with pytest.raises(AirflowException, match="stopped while submitting"):
        await working


async def time_out(stage: Stage, keep: int) -> None:
    task = stage.task(None, retention_seconds=keep)
    first = await stage.deferred(task)
    watching = asyncio.ensure_future(event_of(first))
    await stage.until_everybody_runs()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    late = Trigger(**{**first.serialize()[1], "deadline_epoch_seconds": time.time()})
    event = await event_of(late)
    with pytest.raises(ApplicationTimedOut):
        await asyncio.to_thread(task.execute_complete, stage.context, event)


End = Callable[[Stage, int], Awaitable[None]]


@pytest.mark.parametrize("end", [succeed, fail])
async def test_without_retention_nothing_is_left_after_it(stage: Stage, end: End) -> None:
    await end(stage, 0)
    await until(stage.nothing_is_left)


@pytest.mark.parametrize("end", [be_killed_while_deferred, be_killed_on_a_worker, time_out])
async def test_nothing_is_kept_of_what_was_ended_on_the_way(stage: Stage, end: End) -> None:
    await end(stage, RETENTION_SECONDS)
    await until(stage.nothing_is_left)


@pytest.mark.parametrize("end", [succeed, fail, succeed_with_executors_that_stay])
async def test_what_the_retention_keeps_does_not_run_and_goes_as_one(stage: Stage, end: End) -> None:
    await end(stage, RETENTION_SECONDS)
    await until(stage.nothing_runs)
    kept = await stage.objects()
    (job,) = kept["Job"]
    assert job["spec"]["ttlSecondsAfterFinished"] == RETENTION_SECONDS
    assert len(kept["ConfigMap"]) == len(kept["Secret"]) == 1
    # A volume stays as long as its pod.
    assert len(kept["PersistentVolumeClaim"]) == len(kept["PersistentVolume"]) == len(kept["Pod"])
    path = object_path("Job", stage.namespace, job["metadata"]["name"])
    await stage.server.request("DELETE", path, body={"propagationPolicy": "Background"})
    await until(stage.nothing_is_left)
