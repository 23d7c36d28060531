"""A clock that is put forward or back: ages go on evenly, deadlines follow the clock."""

from __future__ import annotations

import asyncio

import pytest

from airflow_spark_k8s.core.outcome import Verdict
from tests.unit.controller.harness import EPOCH, LoopClock, Run, run_application

JUMP_AT_SECONDS = 20.0
SILENT_EXECUTOR = 2


class JumpingClock(LoopClock):
    """A clock that somebody sets."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def now(self) -> float:
        jumped = self._seconds if asyncio.get_running_loop().time() >= JUMP_AT_SECONDS else 0.0
        return super().now() + jumped


def _run(seconds: float, *, deadline: float | None = None, silent: int = SILENT_EXECUTOR) -> Run:
    return run_application(
        registers=lambda number: number != silent,
        options={"clock": JumpingClock(seconds), "deadline_epoch_seconds": deadline},
    )


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_an_executor_has_its_time_to_register_whatever_the_clock_shows(seconds: float) -> None:
    # Simulation, seed 14566: a pod whose time was not over was given up, and there was one too many.
    straight, jumping = _run(0.0), _run(seconds)
    assert straight.outcome.executor_counts["deleted"] == 1
    assert jumping.seconds == pytest.approx(straight.seconds, abs=1)
    assert jumping.application.ids_used == straight.application.ids_used


def test_a_clock_that_is_put_forward_past_the_deadline_ends_the_application() -> None:
    run = _run(3600.0, deadline=EPOCH + 1800)
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert JUMP_AT_SECONDS <= run.seconds < JUMP_AT_SECONDS + 30


def test_a_clock_that_is_put_back_before_the_deadline_leaves_more_time() -> None:
    run = _run(-3600.0, deadline=EPOCH + 200)
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert run.seconds > 300
