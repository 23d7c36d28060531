"""Drivers that cannot start, on any cluster: its own words stand in the log within a minute."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.loop import kill, run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings, connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from airflow_spark_k8s.templates.render import render

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SMALL = {
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.kubernetes.driver.request.cores": "100m",
}
CLAIM = "spark.kubernetes.driver.volumes.persistentVolumeClaim.data"


class Watched:
    """One application and what its controller says."""

    def __init__(self, server: ApiServer, reference: ApplicationReference) -> None:
        self.server, self.reference = server, reference
        self.lines: list[str] = []

    async def outcome(self, seconds: float | None = None) -> Outcome:
        """How it ends, with its time up after so many seconds."""
        clock = SystemClock()
        deadline = None if seconds is None else clock.now() + seconds
        return await run(
            self.server,
            self.reference,
            clock=clock,
            report=self.lines.append,
            deadline_epoch_seconds=deadline,
        )

    async def until_said(self, *parts: str) -> None:
        """Return once a line with all these parts was said."""
        controlled = asyncio.ensure_future(self.outcome())
        try:
            while not any(all(part in line for part in parts) for line in self.lines):
                assert not controlled.done(), "\n".join(self.lines)
                await asyncio.sleep(0.2)
        finally:
            controlled.cancel()
            with suppress(asyncio.CancelledError):
                await controlled


class Stage:
    """A cluster, and what was submitted there."""

    def __init__(self, server: ApiServer, settings: ConnectionSettings) -> None:
        self.server, self.settings = server, settings
        self.submitted: list[ApplicationReference] = []

    async def submit(self, image: str | None = None, **conf: str) -> Watched:
        request = ApplicationRequest(
            application="local:///opt/spark/examples/src/main/python/pi.py",
            image=image,
            spark_version=None if image is None else "4.3.0",
            conf={**SMALL, **conf},
            default_image=self.settings.image,
            default_spark_version=self.settings.spark_version,
            default_namespace=self.settings.namespace,
            default_driver_service_account=self.settings.driver_service_account,
        )
        run_id = uuid.uuid4().hex
        identity = identify("tests", "waiting", "driver", run_id, -1, 1, run_id)
        manifests = render(resolve(request), identity, context={}, auth_secret=uuid.uuid4().bytes)
        submitted = await submit_patiently(
            self.server, manifests, identity, clock=SystemClock(), report=print
        )
        self.submitted.append(submitted.reference)
        return Watched(self.server, submitted.reference)


@pytest_asyncio.fixture
async def stage(spark_cluster: SparkCluster) -> AsyncIterator[Stage]:
    settings = connection_settings(spark_cluster.connection_extra())
    async with await ApiServer.open(settings.cluster) as server:
        stage = Stage(server, settings)
        yield stage
        for reference in stage.submitted:
            await kill(server, reference)


WAITS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no node is large enough": (
        {"spark.driver.memory": "9000g"},
        ("Unschedulable: 0/", "Insufficient memory", "; it requests cpu 100m, memory "),
    ),
    "a claim is missing": (
        {f"{CLAIM}.options.claimName": "nope", f"{CLAIM}.mount.path": "/data"},
        ("Unschedulable: 0/", 'persistentvolumeclaim "nope" not found'),
    ),
    "a Secret is missing in a volume": (
        {"spark.kubernetes.driver.secrets.nope": "/mnt/nope"},
        ("FailedMount: MountVolume.SetUp failed for volume", 'secret "nope" not found'),
    ),
    "a Secret is missing in the environment": (
        {"spark.kubernetes.driver.secretKeyRef.TOKEN": "nope:token"},
        ('CreateContainerConfigError: secret "nope" not found',),
    ),
    "an image has no valid name": (
        {"image": "UPPER/Case:name"},
        ("InvalidImageName: ",),
    ),
    "an image cannot be had": (
        {"image": "registry.invalid/spark:4.3.0"},
        ("driver pod", "ErrImagePull: ", "registry.invalid/spark:4.3.0"),
    ),
}


@pytest.mark.parametrize(("given", "parts"), WAITS.values(), ids=WAITS.keys())
async def test_why_a_driver_waits_is_said(
    stage: Stage, given: dict[str, Any], parts: tuple[str, ...]
) -> None:
    application = await stage.submit(**given)
    async with asyncio.timeout(180):
        await application.until_said(*parts)


async def test_a_task_whose_time_is_up_says_what_its_driver_waited_for(stage: Stage) -> None:
    application = await stage.submit(**{"spark.driver.memory": "9000g"})
    outcome = await application.outcome(seconds=10)
    assert (outcome.verdict, outcome.cause) == (Verdict.TIMED_OUT, "unschedulable")
    assert "Insufficient memory" in outcome.message
