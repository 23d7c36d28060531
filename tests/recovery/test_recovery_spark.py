"""Executors that really run out of memory, with real Spark: what is charged, and what replaces them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.recovery_settings import RECOVERY_MODE
from airflow_spark_k8s.local.cluster import LocalCluster
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from tests.recovery.other_spark import spark_home
from tests.recovery.recovery_runs import Run, run_job

pytestmark = [pytest.mark.spark, pytest.mark.timeout(700)]

MAX_FAILURES = 4  # spark.task.maxFailures, unless it is set

# The first task holds 1050 MiB, the others 350: in a container of 1536 MiB it has room only if it is alone.
SERIAL_KILLER = "{tasks} 350 1050 3"
FOUR = {"spark.executor.instances": "4", "spark.executor.memoryOverhead": "1g"}


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One of the example jobs and how it is run."""

    file: str
    arguments: str
    conf: Mapping[str, str]


KILLER = Job("skewed.py", SERIAL_KILLER.format(tasks=40), FOUR)
# The same where the kernel kills the largest process alone, a Python worker.
CHILD = Job("skewed.py", SERIAL_KILLER.format(tasks=24), FOUR)
# So many that there are others beside the first one to the end.
NO_RECOVERY = Job("skewed.py", SERIAL_KILLER.format(tasks=70), {**FOUR, RECOVERY_MODE: "false"})
# 480 MiB do not fit into a heap of 512 MiB even alone, and do into half as much again.
HEAP = Job("skewed_heap.py", "12 150 480 3", {"spark.executor.instances": "2", "spark.task.maxFailures": "8"})

AT_ONCE = 2
"""Their tasks mostly sleep, so two applications share the machine without being in each other's way."""


@pytest.fixture(scope="module")
def runs(spark_cluster: SparkCluster, tmp_path_factory: pytest.TempPathFactory) -> Mapping[Job, Run]:
    """What became of the jobs with the newest Spark."""
    with LocalCluster(directory=tmp_path_factory.mktemp("cgroup-v1"), oom="child") as cgroup_v1:
        where = {KILLER: spark_cluster, HEAP: spark_cluster, CHILD: cgroup_v1, NO_RECOVERY: spark_cluster}
        return asyncio.run(_all_of(where))


async def _all_of(where: Mapping[Job, SparkCluster]) -> Mapping[Job, Run]:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(job: Job, cluster: SparkCluster) -> Run:
        async with free:
            return await run_job(cluster, job.file, job.arguments, job.conf)

    runs = await asyncio.gather(*(one(job, cluster) for job, cluster in where.items()))
    return dict(zip(where, runs, strict=True))


def single_task(run: Run) -> set[int]:
    """Executors with one core."""
    return {number for number, record in run.executors.items() if record.cores == 1}


def test_a_task_that_kills_every_multi_task_executor_finishes(runs: Mapping[Job, Run]) -> None:
    run = runs[KILLER]
    assert run.outcome.verdict is Verdict.SUCCEEDED, run
    assert "The largest of 40 tasks held 1050 MiB" in run.driver_log
    killed = [loss.executor_id for loss in run.outcome.ooms]
    assert 1 <= len(killed) < MAX_FAILURES, run
    assert {loss.kind for loss in run.outcome.ooms} == {EndKind.OUT_OF_MEMORY}
    assert {(loss.step, loss.exit_code) for loss in run.outcome.ooms} == {(0, 137)}
    # Only executors that the kernel killed are charged, not those that were retired.
    assert run.charges(task=0) == killed, run
    assert len(single_task(run)) >= len(killed), run
    assert run.told("one task at a time"), run


def test_without_recovery_it_fails_after_four_charges(runs: Mapping[Job, Run]) -> None:
    run = runs[NO_RECOVERY]
    assert run.outcome.verdict is Verdict.DRIVER_FAILED, run
    charged = run.charges(task=0)
    assert len(charged) == len(set(charged)) == MAX_FAILURES, run
    assert {run.executors[number].exit_code for number in charged} == {137}
    assert "Task 0 in stage 0.0 failed 4 times" in run.driver_log
    assert single_task(run) == set()
    assert "4 executors ran out of memory" in run.outcome.message


def test_a_heap_that_is_too_small_for_one_task_grows(runs: Mapping[Job, Run]) -> None:
    run = runs[HEAP]
    assert run.outcome.verdict is Verdict.SUCCEEDED, run
    assert "The largest of 12 tasks held 4" in run.driver_log
    losses = run.outcome.ooms
    assert {(loss.kind, loss.exit_code) for loss in losses} == {(EndKind.HEAP_EXHAUSTED, 52)}
    assert {loss.step for loss in losses} == {0, 1}, run
    assert {loss.heap_mib for loss in losses} == {512}
    assert [str(one) for one in run.outcome.advice if one.after == 768], run
    assert run.told("heap 768 MiB"), run


@pytest.fixture(scope="module")
def spark_3_5(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A cluster whose image for Spark 3.5 is one."""
    home = spark_home("3.5.9", tmp_path_factory.mktemp("spark-3.5"))
    with LocalCluster(images={"apache/spark:3.5*": str(home)}, spark_image="apache/spark:3.5.9") as cluster:
        yield cluster


async def test_spark_3_5_recovers_too(spark_3_5: SparkCluster) -> None:
    conf = {"spark.executor.instances": "2", "spark.executor.memoryOverhead": "1g"}
    run = await run_job(spark_3_5, "skewed.py", SERIAL_KILLER.format(tasks=14), conf)
    assert run.outcome.spark_version == "3.5.9"
    assert run.outcome.verdict is Verdict.SUCCEEDED, run
    assert "The largest of 14 tasks held 1050 MiB" in run.driver_log
    killed = [loss.executor_id for loss in run.outcome.ooms]
    assert 1 <= len(killed) < MAX_FAILURES, run
    assert run.charges(task=0) == killed, run
    assert single_task(run), run


def test_a_killed_python_worker_in_a_container_that_lives_on_is_answered_too(
    runs: Mapping[Job, Run],
) -> None:
    run = runs[CHILD]
    assert run.outcome.verdict is Verdict.SUCCEEDED, run
    assert "The largest of 24 tasks held 1050 MiB" in run.driver_log
    charged = run.charges(task=0)
    assert 1 <= len(charged) < MAX_FAILURES, run
    assert set(charged) <= {loss.executor_id for loss in run.outcome.ooms}, run
    assert "Python worker exited unexpectedly" in run.driver_log
    assert run.told("Python worker in it was killed, perhaps for memory"), run
    assert single_task(run), run
