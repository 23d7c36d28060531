"""Applications whose executors run out of memory, under a controller, on virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import AllocationSettings, RecoverySettings
from tests.fakes.cluster import FakeCluster
from tests.fakes.objects import EXECUTOR, status, terminated
from tests.fakes.tasks import Task, Tasked
from tests.unit.controller.harness import control, in_virtual_time

AUTO = RecoverySettings(heap_mib=1024, overhead_mib=384)
OFF = replace(AUTO, mode="off")
KILLER = 1000
"""Fits into an executor of 1408 MiB, but not beside another task."""


def _run(
    tasks: list[Task],
    executors: int = 4,
    recovery: RecoverySettings | None = AUTO,
    controllers: int = 1,
    **options: Any,
) -> tuple[Tasked, Outcome, list[str]]:
    async def main() -> tuple[Tasked, Outcome, list[str]]:
        application = Tasked(
            FakeCluster(),
            AllocationSettings(target=executors, batch_size=20),
            tasks=tasks,
            recovery=recovery,
            executor_cores=2,
            **options,
        )
        application.submit()
        lines: list[str] = []
        others = [asyncio.ensure_future(control(application.cluster)) for _ in range(controllers - 1)]
        outcome = await asyncio.wait_for(control(application.cluster, lines), 3600)
        assert {(await other).verdict for other in others} <= {outcome.verdict}
        await application.stop()
        return application, outcome, lines

    return in_virtual_time(main())


def _tasks(*killers: int, others: int = 40) -> list[Task]:
    return [Task(need) for need in killers] + [Task(500) for _ in range(others)]


@pytest.mark.parametrize("executors", [2, 4, 6, 8, 12])
def test_one_task_that_kills_any_multi_task_executor_does_not_kill_the_application(executors: int) -> None:
    application, outcome, lines = _run(_tasks(KILLER, others=10 * executors), executors)
    assert outcome.verdict is Verdict.SUCCEEDED, lines
    assert 1 <= len(application.deaths) <= 3
    assert application.most_alive <= executors
    assert len(application.ids_used) == len(set(application.ids_used))


def test_the_same_task_without_recovery_ends_the_application() -> None:
    application, outcome, _ = _run(_tasks(KILLER), 8, OFF)
    assert outcome.verdict is Verdict.DRIVER_FAILED
    assert len(application.deaths) == 4
    assert "executors ran out of memory" in outcome.message


def test_two_controllers_at_once_come_to_the_same_end() -> None:
    application, outcome, _ = _run(_tasks(KILLER), 6, controllers=2)
    assert outcome.verdict is Verdict.SUCCEEDED
    assert application.most_alive <= 6
    assert len(application.ids_used) == len(set(application.ids_used))


def test_a_job_that_has_enough_memory_runs_as_it_does_without_recovery() -> None:
    found = [_run(_tasks(others=30), 4, recovery) for recovery in (AUTO, OFF, None)]
    calls = [application.cluster.calls for application, _, _ in found]
    assert calls[0] == calls[1] == calls[2]
    assert found[0][2] == found[1][2] == found[2][2]
    assert not any(application.sizes for application, _, _ in found)


def test_one_loss_brings_one_single_task_executor() -> None:
    killed = status("Failed", EXECUTOR, terminated(137, "OOMKilled"))
    application, outcome, lines = _run(_tasks(others=30), 4, fates={2: killed})
    assert outcome.verdict is Verdict.SUCCEEDED
    assert list(application.sizes) == ["app-r0-1-exec-5"]
    assert application.ids_used[-1] == "app-r0-1-exec-5"
    pod = application.made["app-r0-1-exec-5"]
    env = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
    assert (env["SPARK_EXECUTOR_CORES"], env["SPARK_EXECUTOR_MEMORY"]) == ("1", "1024m")
    assert pod["metadata"]["labels"]["airflow-spark-k8s/recovery"] == "1"
    assert [line for line in lines if "replaces" in line] == [
        "executor 5 replaces 2: one task at a time, the same memory, because executor 2 was killed for "
        "memory in stage 7"
    ]


@pytest.mark.parametrize(
    ("exit_as", "dimension", "grown"),
    [((137, "OOMKilled"), "overhead_mib", 864), ((52, "Error"), "heap_mib", 1536)],
    ids=["container", "heap"],
)
def test_a_task_that_needs_more_than_a_whole_executor_gets_it(
    exit_as: tuple[int, str], dimension: str, grown: int
) -> None:
    need = 1408 + 300
    tasks = [Task(need), *(Task(100) for _ in range(20))]
    application, outcome, lines = _run(tasks, 2, AUTO, exit_as=exit_as, max_task_failures=100)
    assert outcome.verdict is Verdict.SUCCEEDED, lines
    assert max(size[dimension] for size in application.sizes.values()) == grown
    assert dimension in [advice.dimension for advice in outcome.advice]


def test_a_task_that_needs_more_than_is_allowed_ends_the_application_with_advice() -> None:
    recovery = replace(AUTO, max_executor_memory_mib=1500, max_task_failures=100)
    application, outcome, lines = _run([Task(9000)], 2, recovery, max_task_failures=100)
    assert outcome.verdict is Verdict.EXECUTOR_MEMORY_SPENT
    assert "executors have at most 1500 MiB" in outcome.message
    assert len(application.deaths) == 6, "two take several tasks, two take one, two have all the memory"
    assert len(outcome.ooms) == 6
    assert any(line.startswith("memory budget spent") for line in lines)


def test_where_too_many_losses_come_the_application_is_left_to_fail() -> None:
    recovery = replace(AUTO, max_executor_ooms=3, max_task_failures=100)
    application, outcome, _ = _run([Task(9000) for _ in range(9)], 3, recovery, max_task_failures=100)
    assert outcome.verdict is Verdict.EXECUTOR_MEMORY_SPENT
    assert len(application.deaths) == 6, "three are made up for, three are not"


@pytest.mark.parametrize("lifetime_seconds", [4.0, 9.0, 31.0])
def test_controllers_that_die_again_and_again_forget_no_loss(lifetime_seconds: float) -> None:
    async def main() -> tuple[Tasked, Outcome]:
        allocation = AllocationSettings(target=6, batch_size=20)
        application = Tasked(
            FakeCluster(), allocation, tasks=_tasks(KILLER, others=60), recovery=AUTO, executor_cores=2
        )
        application.submit()
        while True:
            task = asyncio.ensure_future(control(application.cluster))
            done, _ = await asyncio.wait({task}, timeout=lifetime_seconds)
            if done:
                await application.stop()
                return application, task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert asyncio.get_running_loop().time() < 3600

    application, outcome = in_virtual_time(main())
    assert outcome.verdict is Verdict.SUCCEEDED
    assert 1 <= len(application.deaths) <= 3
    assert application.most_alive <= 6
    assert len(application.ids_used) == len(set(application.ids_used))
