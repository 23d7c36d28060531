"""A worker killed after each step of the submission: the next try ends in one driver and a true verdict."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.labels import LABEL_TASK_INSTANCE
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.hooks.spark_kubernetes import connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.paths import collection_path
from airflow_spark_k8s.kube.submit import driver_log, retain
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from tests.integration.dying_worker import identity_of, manifests_of

pytestmark = [pytest.mark.cluster, pytest.mark.spark, pytest.mark.timeout(240)]

STEPS = {
    "the Job is created": 1,
    "the settings are created": 2,
    "the application's file is created": 3,
    "the Secret is created": 4,
    "the Job is resumed": 5,
}


@pytest.mark.parametrize("calls", STEPS.values(), ids=STEPS.keys())
async def test_a_worker_killed_after(spark_cluster: SparkCluster, calls: int) -> None:
    extra, run_id = spark_cluster.connection_extra(), uuid.uuid4().hex
    worker = str(Path(__file__).parent / "dying_worker.py")
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, worker, json.dumps(extra), run_id, str(calls)], check=False
    )
    assert died.returncode == -signal.SIGKILL

    settings, identity = connection_settings(extra), identity_of(run_id, 2)
    lines: list[str] = []
    async with await ApiServer.open(settings.cluster) as server:
        submitted = await submit_patiently(
            server, manifests_of(settings, identity), identity, clock=SystemClock(), report=lines.append
        )
        outcome = await run(
            server, submitted.reference, clock=SystemClock(), report=lines.append, deadline_epoch_seconds=None
        )
        assert outcome.verdict is Verdict.SUCCEEDED, lines
        assert outcome.driver_pod is not None
        assert "the driver has run" in await driver_log(server, settings.namespace, outcome.driver_pod, 100)
        pods = await server.request(
            "GET",
            collection_path("Pod", settings.namespace),
            params={"labelSelector": f"{LABEL_TASK_INSTANCE}={identity.task_instance_key}"},
        )
        assert [pod["metadata"]["name"] for pod in pods["items"]] == [outcome.driver_pod]
        await retain(server, submitted.reference, 0)
