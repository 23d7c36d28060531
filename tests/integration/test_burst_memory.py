"""Executors that burst, on a cluster: what they are promised, what they may use, and where it ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.executor_pod import EXECUTOR_CONTAINER, executor_pod
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application, Identity, Manifest, UserFile
from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings, connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from airflow_spark_k8s.templates.render import render

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

JOB = Path(__file__).parent / "jobs" / "both_executors.py"
CONF = {
    "spark.executor.instances": "2",
    "spark.executor.memory": "512m",
    "spark.executor.memoryOverhead": "256m",
    "spark.driver.memory": "512m",
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.executor.request.cores": "100m",
}
# (512 + 256) · (1.2 - 1) = 153.6 of 256 MiB are shared, which leaves 102 of them guaranteed.
FACTOR, REQUEST_MIB, LIMIT_MIB = "1.2", 614, 768
ABOVE_REQUEST_MIB, ABOVE_LIMIT_MIB = 680, 860

USE_MEMORY = """
import time
used = b"x" * ({mib} * 1024 * 1024)
print("uses", len(used), flush=True)
time.sleep(1)
"""


@dataclass(slots=True)
class Stage:
    """A cluster and what was made there."""

    server: ApiServer
    settings: ConnectionSettings
    identity: Identity = field(default_factory=lambda: _identity(uuid.uuid4().hex))

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.settings.namespace}/pods"

    def application(self, fraction: str, **conf: str) -> Application:
        request = ApplicationRequest(
            application=JOB.name,
            user_file=UserFile(JOB.name, JOB.read_bytes()),
            conf={**CONF, **conf},
            default_image=self.settings.image,
            default_spark_version=self.settings.spark_version,
            default_namespace=self.settings.namespace,
            default_driver_service_account=self.settings.driver_service_account,
            shaping=Shaping(burst_factor={"factor": FACTOR, "fraction": fraction}),
        )
        return resolve(request)

    async def until(self, name: str, *phases: str) -> Manifest:
        while True:
            pod = await self.server.request("GET", f"{self.pods}/{name}")
            if pod["status"]["phase"] in phases:
                return pod
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture
async def stage(spark_cluster: SparkCluster) -> AsyncIterator[Stage]:
    settings = connection_settings(spark_cluster.connection_extra())
    async with await ApiServer.open(settings.cluster) as server:
        yield Stage(server, settings)


async def test_an_executor_may_use_more_than_its_request_and_dies_above_its_limit(stage: Stage) -> None:
    driver = await _driver(stage)
    try:
        first, second = await asyncio.gather(
            _executor(stage, driver, 1, ABOVE_REQUEST_MIB), _executor(stage, driver, 2, ABOVE_LIMIT_MIB)
        )
    finally:
        await stage.server.request("DELETE", f"{stage.pods}/{driver['metadata']['name']}")

    for pod in (first, second):
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources["requests"]["memory"] == f"{REQUEST_MIB}Mi"
        assert resources["limits"]["memory"] == f"{LIMIT_MIB}Mi"
        assert pod["status"]["qosClass"] == "Burstable"
        assert pod["metadata"]["labels"]["airflow-spark-k8s/memory"] == "burst"
        assert pod["metadata"]["labels"]["airflow-spark-k8s/shared-memory"] == "small"
    assert _end(first) == ("Succeeded", "Completed", 0)
    assert _end(second) == ("Failed", "OOMKilled", 137)


@pytest.mark.spark
async def test_half_of_the_executors_of_a_spark_application_burst(stage: Stage) -> None:
    manifests = render(stage.application("0.5"), stage.identity, context={}, auth_secret=uuid.uuid4().bytes)
    submitted = await submit_patiently(
        stage.server, manifests, stage.identity, clock=SystemClock(), report=print
    )
    lines: list[str] = []
    controlled = asyncio.ensure_future(
        run(
            stage.server,
            submitted.reference,
            clock=SystemClock(),
            report=lines.append,
            deadline_epoch_seconds=None,
        )
    )
    pods = await _executors_until(stage, controlled)
    outcome: Outcome = await controlled
    assert outcome.verdict is Verdict.SUCCEEDED, "\n".join([str(outcome), *lines])

    assert sorted(pods) == ["1", "2"]
    assert sorted(_memory(pod) for pod in pods.values()) == [
        ("burst", "small", f"{REQUEST_MIB}Mi", f"{LIMIT_MIB}Mi"),
        ("plain", "none", f"{LIMIT_MIB}Mi", f"{LIMIT_MIB}Mi"),
    ]
    groups = {group.name: group for group in outcome.memory_groups}
    assert set(groups) == {"burst", "plain"}
    for name, factor, request in (("burst", FACTOR, REQUEST_MIB), ("plain", "1", LIMIT_MIB)):
        group = groups[name]
        assert (group.burst_factor, group.request_mib, group.limit_mib) == (factor, request, LIMIT_MIB)
        assert (group.executors, group.out_of_memory_kills, group.evictions) == (1, 0, 0)


def _identity(run_id: str) -> Identity:
    return identify("tests", "burst", "memory", run_id, -1, 1, run_id)


async def _driver(stage: Stage) -> Manifest:
    """A pod that stands for the driver: the owner of the executors."""
    name = f"{stage.identity.job_name()}-abcde"
    container = {
        "name": "main",
        "image": stage.settings.image,
        "command": ["sleep", "600"],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    await stage.server.request("POST", stage.pods, body=pod)
    return await stage.until(name, "Running")


async def _executor(stage: Stage, driver: Manifest, number: int, mib: int) -> Manifest:
    """An executor's pod that has ended, with a program in Spark's place that uses that much memory."""
    use_memory = {"name": EXECUTOR_CONTAINER, "command": ["python3", "-c", USE_MEMORY.format(mib=mib)]}
    patch: dict[str, Any] = {"spec": {"containers": [use_memory]}}
    # Without a submission there is no Secret that its variables could refer to.
    application = stage.application("1", **{"spark.authenticate": "false"})
    rendered = render(application, stage.identity, context={}, auth_secret=b"", executor_template=patch)
    pod = executor_pod(
        rendered.executor,
        driver_name=driver["metadata"]["name"],
        driver_uid=driver["metadata"]["uid"],
        driver_ip=driver["status"]["podIP"],
        executor_id=number,
    )
    await stage.server.request("POST", stage.pods, body=pod)
    return await stage.until(pod["metadata"]["name"], "Succeeded", "Failed")


def _end(pod: Manifest) -> tuple[str, str, int]:
    (container,) = pod["status"]["containerStatuses"]
    ended = container["state"]["terminated"]
    return pod["status"]["phase"], ended["reason"], ended["exitCode"]


async def _executors_until(stage: Stage, controlled: asyncio.Future[Outcome]) -> dict[str, Manifest]:
    """Executor id → its pod, of all that were seen until the application had ended."""
    selector = f"airflow-spark-k8s/application={stage.identity.application},spark-role=executor"
    seen: dict[str, Manifest] = {}
    while not controlled.done():
        found = await stage.server.request("GET", stage.pods, params={"labelSelector": selector})
        seen |= {pod["metadata"]["labels"]["spark-exec-id"]: pod for pod in found["items"]}
        await asyncio.sleep(0.2)
    return seen


def _memory(pod: Manifest) -> tuple[str, str, str, str]:
    labels, resources = pod["metadata"]["labels"], pod["spec"]["containers"][0]["resources"]
    return (
        labels["airflow-spark-k8s/memory"],
        labels["airflow-spark-k8s/shared-memory"],
        resources["requests"]["memory"],
        resources["limits"]["memory"],
    )
