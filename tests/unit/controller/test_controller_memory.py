"""What a controller gathers about bursting, from the pods and from what the driver tells of their memory."""

from __future__ import annotations

import asyncio

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.memory_groups import MemoryGroup
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.spec import AllocationSettings
from tests.fakes.objects import EXECUTOR, status, terminated
from tests.fakes.spark import Application
from tests.unit.controller.harness import run_application

HALF = Rollout("1.2", "1/2", 1000, 1200)
KILLED = status("Failed", EXECUTOR, terminated(137, "OOMKilled"))
EVICTED = status(
    "Failed",
    EXECUTOR,
    terminated(137),
    conditions={"DisruptionTarget": "TerminationByKubelet"},
    reason="Evicted",
    message="The node was low on resource: memory. ",
)


def test_kills_evictions_and_peaks_are_told_by_group() -> None:
    run = run_application(
        allocation=AllocationSettings(target=4, batch_size=4),
        rollout=HALF,
        fates={1: EVICTED, 2: KILLED},
        peaks_mib={3: 950, 4: 1100, 5: 1010},
    )
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert run.outcome.memory_groups == (
        MemoryGroup("burst", "1.2", 1000, 1200, 3, 1010, 0, 1),
        MemoryGroup("plain", "1", 1200, 1200, 3, 1100, 1, 0),
    )


def test_peaks_outlive_the_driver_that_told_them() -> None:
    async def silence(application: Application) -> None:
        await asyncio.sleep(20)
        application.rest_up = False

    run = run_application(silence, work_seconds=20, rollout=HALF, peaks_mib={1: 1010})
    assert [group.peak_memory_mib for group in run.outcome.memory_groups] == [1010, None]


def test_without_bursting_there_are_no_groups() -> None:
    run = run_application(peaks_mib={2: 1010})
    assert run.outcome.memory_groups == ()
    assert [row.peak_memory_mib for row in run.outcome.executors] == [None, 1010, None]
