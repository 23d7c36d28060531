"""Two clusters at once in one process: each application stays on its own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.hooks.spark_kubernetes import connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.paths import collection_path
from airflow_spark_k8s.local.cluster import LocalCluster
from tests.integration.dying_worker import identity_of, manifests_of

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]


@pytest.fixture
def clusters() -> Iterator[tuple[LocalCluster, LocalCluster]]:
    with LocalCluster() as one, LocalCluster() as two:
        yield one, two


async def run_on(cluster: LocalCluster) -> tuple[Outcome, list[str]]:
    """The outcome of an application, and the Jobs that its cluster has then."""
    settings, identity = connection_settings(cluster.connection_extra()), identity_of(uuid.uuid4().hex, 1)
    async with await ApiServer.open(settings.cluster) as server:
        submitted = await submit_patiently(
            server, manifests_of(settings, identity), identity, clock=SystemClock(), report=print
        )
        outcome = await run(
            server,
            submitted.reference,
            clock=SystemClock(),
            report=lambda line: None,
            deadline_epoch_seconds=None,
        )
        jobs = await server.request("GET", collection_path("Job", settings.namespace))
        return outcome, [job["metadata"]["name"] for job in jobs["items"]]


async def test_two_clusters_at_once(clusters: tuple[LocalCluster, LocalCluster]) -> None:
    for outcome, jobs in await asyncio.gather(*map(run_on, clusters)):
        assert outcome.verdict is Verdict.SUCCEEDED
        assert jobs == [outcome.job_name]
