"""Whole applications with real Spark, from the request to the outcome, and what their drivers logged."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.outcome import ExecutorRecord, Outcome
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import UserFile
from airflow_spark_k8s.hooks.spark_kubernetes import connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.submit import driver_log, retain
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from airflow_spark_k8s.templates.render import render

JOBS = Path(__file__).parents[2] / "example_dags" / "jobs"

SMALL = {
    "spark.driver.memory": "512m",
    "spark.executor.cores": "2",
    "spark.executor.memory": "512m",
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.executor.request.cores": "100m",
}

LIMIT_SECONDS = 220

_CHARGED = re.compile(
    r"TaskSetManager: Lost task (\d+)\.\d+ in stage \S+ \(TID \d+\)"
    r"(?: \(\S+ | on \S+, )executor (\d+)\)?: (.*)"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One application that is over."""

    outcome: Outcome
    lines: tuple[str, ...]  # that the controller reported
    driver_log: str

    @property
    def executors(self) -> dict[int, ExecutorRecord]:
        """The executor table, by id."""
        return {record.executor_id: record for record in self.outcome.executors}

    def charges(self, task: int) -> list[int]:
        """Executors whose loss was charged to this task of the first stage, in order."""
        found = [match.groups() for match in map(_CHARGED.search, self.driver_log.splitlines()) if match]
        return [
            int(executor)
            for number, executor, reason in found
            if int(number) == task and "unrelated to the running tasks" not in reason
        ]

    def told(self, text: str) -> list[str]:
        """The controller's lines with this text in them."""
        return [line for line in self.lines if text in line]

    def __str__(self) -> str:
        return "\n".join([*self.lines, *self.driver_log.splitlines()[-30:]])


async def run_job(cluster: SparkCluster, job: str, arguments: str, conf: Mapping[str, str]) -> Run:
    """What became of one of the example jobs, run without Airflow."""
    settings = connection_settings(cluster.connection_extra())
    run_id, path = uuid.uuid4().hex, JOBS / job
    identity = identify("tests", "recovery", path.stem, run_id, -1, 1, run_id)
    request = ApplicationRequest(
        application=job,
        user_file=UserFile(job, path.read_bytes()),
        application_args=tuple(arguments.split()),
        conf={**SMALL, **conf},
        default_image=settings.image,
        default_namespace=settings.namespace,
        default_driver_service_account=settings.driver_service_account,
    )
    manifests = render(resolve(request), identity, context={}, auth_secret=os.urandom(32))
    lines: list[str] = []
    async with await ApiServer.open(settings.cluster) as server:
        submitted = await submit_patiently(server, manifests, identity, clock=SystemClock(), report=print)
        outcome = await run(
            server,
            submitted.reference,
            clock=SystemClock(),
            report=lines.append,
            deadline_epoch_seconds=time.time() + LIMIT_SECONDS,
        )
        assert outcome.driver_pod is not None, lines
        log = await driver_log(server, settings.namespace, outcome.driver_pod, 20_000)
        await retain(server, submitted.reference, 0)
    return Run(outcome, tuple(lines), log)
