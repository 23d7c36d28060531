"""Real Spark whose driver pod somebody deletes in mid-job: the application is started again and ends well."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.pod_state import DRIVER_CONTAINER, Running, pod_state
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import UserFile
from airflow_spark_k8s.exceptions import ClusterError
from airflow_spark_k8s.hooks.spark_kubernetes import connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.kube.submit import driver_log, retain
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from airflow_spark_k8s.templates.render import render
from tests.integration.test_roles import SMALL

pytestmark = [pytest.mark.cluster, pytest.mark.spark, pytest.mark.timeout(400)]

JOB = Path(__file__).parent / "jobs" / "counts_slowly.py"


class Application:
    """One application on a cluster, as anybody sees it."""

    def __init__(self, server: ApiServer, namespace: str, name: str) -> None:
        self._server = server
        self._namespace = namespace
        self._params = {"labelSelector": f"{LABEL_APPLICATION}={name}"}
        self.most_drivers_at_once = 0
        self.drivers: list[str] = []  # that have run

    async def listed(self, kind: str) -> list[dict[str, Any]]:
        path = collection_path(kind, self._namespace)
        return list((await self._server.request("GET", path, params=self._params))["items"])

    async def look(self) -> list[str]:
        """Names of the driver pods that run; every look is remembered."""
        pods = [p for p in await self.listed("Pod") if p["metadata"]["labels"]["spark-role"] == "driver"]
        running = [p["metadata"]["name"] for p in pods if isinstance(pod_state(p, DRIVER_CONTAINER), Running)]
        self.most_drivers_at_once = max(self.most_drivers_at_once, len(running))
        self.drivers += [name for name in running if name not in self.drivers]
        return running

    async def delete_in_mid_job(self, grace_seconds: int | None) -> None:
        """Delete the driver's pod once its application works, then go on looking."""
        while True:
            for name in await self.look():
                if len(self.drivers) == 1 and "begun under" in await self._log(name):
                    await asyncio.sleep(3)
                    options = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
                    path = object_path("Pod", self._namespace, name)
                    await self._server.request("DELETE", path, body=options)
                    return await self.watch()
            await asyncio.sleep(0.3)

    async def watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.2)

    async def _log(self, name: str) -> str:
        try:
            return await driver_log(self._server, self._namespace, name, 200)
        except ClusterError:
            return ""  # it has only just been created

    async def until_nothing_is_left(self) -> None:
        for kind in ("Job", "Pod", "ConfigMap", "Secret"):
            while await self.listed(kind):  # noqa: ASYNC110 (somebody else changes it)
                await asyncio.sleep(0.5)


@pytest.mark.parametrize("grace_seconds", [None, 0], ids=["gracefully", "by force"])
async def test_a_driver_that_is_deleted_in_mid_job(
    spark_cluster: SparkCluster, grace_seconds: int | None
) -> None:
    settings = connection_settings(spark_cluster.connection_extra())
    run_id = uuid.uuid4().hex
    identity = identify("tests", "deleted", "driver", run_id, -1, 1, run_id)
    request = ApplicationRequest(
        application=JOB.name,
        user_file=UserFile(JOB.name, JOB.read_bytes()),
        conf=SMALL,
        default_image=settings.image,
        default_spark_version=settings.spark_version,
        default_namespace=settings.namespace,
        default_driver_service_account=settings.driver_service_account,
    )
    manifests = render(resolve(request), identity, context={}, auth_secret=os.urandom(32))
    lines: list[str] = []
    async with await ApiServer.open(settings.cluster) as server:
        reference = (
            await submit_patiently(server, manifests, identity, clock=SystemClock(), report=print)
        ).reference
        application = Application(server, settings.namespace, reference.application)
        somebody = asyncio.ensure_future(application.delete_in_mid_job(grace_seconds))
        outcome = await run(
            server, reference, clock=SystemClock(), report=lines.append, deadline_epoch_seconds=None
        )
        somebody.cancel()
        await asyncio.gather(somebody, return_exceptions=True)
        text = "\n".join(lines)
        assert outcome.verdict is Verdict.SUCCEEDED, text
        assert (outcome.job_name, outcome.driver_restarts) == (identity.job_name(1), 1), text
        assert outcome.driver_pod is not None
        assert "counted 40" in await driver_log(server, settings.namespace, outcome.driver_pod, 2000)
        assert application.drivers[-1] == outcome.driver_pod
        assert len(application.drivers) == 2
        assert application.most_drivers_at_once == 1
        assert [job["metadata"]["name"] for job in await application.listed("Job")] == [outcome.job_name]
        await retain(server, outcome.job_of(reference), 0)
        await application.until_nothing_is_left()
