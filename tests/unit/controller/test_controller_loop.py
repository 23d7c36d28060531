"""Executors of one application under one controller, on a simulated cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    QuotaExceeded,
    ServerError,
    TooManyRequests,
)
from tests.fakes.cluster import Fault
from tests.fakes.objects import DRIVER, EXECUTOR, status, terminated
from tests.fakes.spark import PODS, Application
from tests.unit.controller.harness import EPOCH, out_of_reach, run_application

OUT_OF_MEMORY = status("Failed", EXECUTOR, terminated(137, "OOMKilled"))
AT_ONCE = status("Failed", EXECUTOR, terminated(1, seconds=2))


def test_executors_come_in_rounds_of_the_batch_size() -> None:
    run = run_application(allocation=AllocationSettings(target=5, batch_size=2, batch_delay_seconds=3))
    assert run.outcome.verdict is Verdict.SUCCEEDED
    times = [at for at, _ in run.application.cluster.created]
    rounds = sorted(Counter(round(at) for at in times).items())
    assert [size for _, size in rounds] == [2, 2, 1]
    assert all(later - earlier >= 3 for (earlier, _), (later, _) in pairwise(rounds))


def test_the_summary_of_a_success_lists_every_executor() -> None:
    outcome = run_application().outcome
    assert outcome.exit_code == 0
    assert outcome.application_id == outcome.driver_pod == "app-r0-1"
    assert outcome.spark_version == "4.3.0"
    assert outcome.executor_counts == {"succeeded": 3}
    assert [(row.executor_id, row.state, row.node) for row in outcome.executors] == [
        (1, "succeeded", "node-2"),
        (2, "succeeded", "node-2"),
        (3, "succeeded", "node-2"),
    ]
    assert Outcome.from_dict(outcome.as_dict()) == outcome


def test_progress_goes_from_waiting_to_registered() -> None:
    steps = run_application().steps
    assert steps[0].driver_state == "waiting"
    assert max(step.requested for step in steps) == 2
    assert any(step.registered == 3 for step in steps)
    assert all(one != next_one for one, next_one in pairwise(steps))


def test_an_outcome_is_held_back_until_the_given_age() -> None:
    assert run_application(options={"hold_seconds": 500}).seconds >= 500


def test_an_executor_out_of_memory_is_replaced_with_its_reason() -> None:
    run = run_application(fates={2: OUT_OF_MEMORY})
    row = next(row for row in run.outcome.executors if row.executor_id == 2)
    assert (row.state, row.reason, row.exit_code) == ("failed", "OOMKilled, exit code 137", 137)
    assert run.outcome.executor_counts == {"failed": 1, "succeeded": 3}
    assert run.lines.count("executor 2 failed: OOMKilled, exit code 137 (on node-2)") == 1
    assert f"{PODS}/app-r0-1-exec-2" not in run.application.cluster.objects


def test_executors_that_end_with_their_driver_are_not_replaced() -> None:
    async def stop_slowly(application: Application) -> None:
        await asyncio.sleep(25)
        application.rest_up = False
        await asyncio.sleep(1)
        for pod in application.executors():
            path = f"{PODS}/{pod['metadata']['name']}"
            application.cluster.put(path, {**pod, "status": status("Succeeded", EXECUTOR, terminated(0))})
        await asyncio.sleep(8)
        application.end_driver("app-r0-1", status("Succeeded", DRIVER, terminated(0)))

    run = run_application(stop_slowly, exit_code=None)
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert len(run.application.ids_used) == 3
    assert len(run.application.executors()) == 3, "their logs are kept as long as the driver's"


def test_a_broken_executor_image_does_not_burn_pods() -> None:
    run = run_application(
        allocation=AllocationSettings(target=2, batch_size=20),
        fates=dict.fromkeys(range(1, 1000), AT_ONCE),
        options={"deadline_epoch_seconds": EPOCH + 3600},
    )
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert 10 < len(run.application.ids_used) < 50


def test_an_executor_that_runs_but_does_not_register_is_replaced() -> None:
    run = run_application(registers=lambda number: number != 2)
    row = next(row for row in run.outcome.executors if row.executor_id == 2)
    assert (row.state, row.reason) == ("deleted", "did not register within 300 s")
    assert 300 < run.seconds < 400


def test_nothing_is_replaced_while_registration_is_unknown() -> None:
    def forbid(application: Application) -> Fault:
        return Fault(lambda _, path: "/proxy/" in path, lambda: Forbidden("pods/proxy", status=403), 10**6)

    async def mischief(application: Application) -> None:
        application.cluster.faults.append(forbid(application))

    run = run_application(
        mischief,
        exit_code=None,
        registers=lambda number: False,
        options={"deadline_epoch_seconds": EPOCH + 2000},
    )
    assert len(run.application.ids_used) == 3
    assert sum("cannot ask the driver" in line for line in run.lines) == 1
    assert "registered" in run.text
    assert "unknown registered" in run.text


CREATION_ERRORS: dict[str, Callable[[], ClusterError]] = {
    "the quota is used up": lambda: QuotaExceeded("exceeded quota: pods", status=403),
    "the server asks for patience": lambda: TooManyRequests("slow down", retry_after_seconds=7),
    "the calls time out": lambda: ClusterUnreachable("timed out"),
    "the server breaks down": lambda: ServerError("etcd", status=500),
}


@pytest.mark.parametrize("error", CREATION_ERRORS.values(), ids=CREATION_ERRORS.keys())
def test_creation_that_fails_for_a_while_is_retried_with_pauses(error: Callable[[], ClusterError]) -> None:
    run = run_application(out_of_reach("POST", error, 0, 200))
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert len(run.application.ids_used) == len(set(run.application.ids_used)) == 3
    attempts = sum(method == "POST" for method, _ in run.application.cluster.calls)
    assert attempts < 25
    assert "executors cannot be created" in run.text
    assert sum("executors cannot be created" in line for line in run.lines) <= 5


def test_an_api_server_away_for_ten_minutes_changesnothing() -> None:
    away = out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 15, 615)
    run = run_application(away, work_seconds=100)
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert len(run.application.ids_used) == len(set(run.application.ids_used))
    assert 2 <= sum(line.endswith("connection refused; trying again") for line in run.lines) <= 13
    assert run.lines.count("the API server: works again") == 1
