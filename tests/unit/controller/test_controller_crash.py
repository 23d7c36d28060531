"""A controller may die anywhere, and two may be alive: the end is the same, and no executor is doubled."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.exceptions import ClusterUnreachable
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import EXECUTOR, status, terminated
from tests.fakes.spark import Application
from tests.unit.controller.harness import EPOCH, control, in_virtual_time

ALLOCATION = AllocationSettings(target=3, batch_size=2)
OUT_OF_MEMORY = status("Failed", EXECUTOR, terminated(137, "OOMKilled"))


def _application(**options: object) -> Application:
    options = {"fates": {2: OUT_OF_MEMORY}, **options}
    application = Application(FakeCluster(), ALLOCATION, **options)  # type: ignore[arg-type]
    application.submit()
    return application


def _check(application: Application) -> None:
    doubled = [name for name, count in Counter(application.ids_used).items() if count > 1]
    assert doubled == [], "an executor id was used twice"
    assert application.most_alive <= ALLOCATION.target


async def _dying_at(step: int | None, application: Application, **options: object) -> Outcome | int:
    """The outcome, or, if the controller came to its end before `step`, how many steps it made."""
    steps = 0
    dying = asyncio.get_running_loop().create_task(control(application.cluster, **options))

    def count() -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            dying.cancel()

    application.cluster.on_step = count
    with suppress(asyncio.CancelledError):
        await dying
    application.cluster.on_step = lambda: None
    if step is None or steps < step:
        return steps
    return await control(application.cluster, **options)


def _comparable(outcome: Outcome) -> tuple[object, ...]:
    """What does not depend on which ids were given out, nor on when the driver was asked last."""
    good = outcome.executor_counts.get("succeeded")
    return (outcome.verdict, outcome.exit_code, outcome.driver_pod, outcome.driver_restarts, good)


SCENARIOS = {
    "an application that succeeds though an executor dies": {},
    "a driver that fails": {"exit_code": 3},
    "a driver of another version": {"version": "4.2.1"},
    "a driver that took over": {"environment": {"spark.master": "local[2]"}},
}


def _steps(scenario: dict[str, object]) -> Iterator[int]:
    async def main() -> int:
        application = _application(**scenario)
        steps = await _dying_at(None, application)
        await application.stop()
        assert isinstance(steps, int)
        return steps

    yield from range(1, in_virtual_time(main()) + 1)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_a_controller_that_died_at_any_call_is_replaced_with_the_same_end(
    scenario: dict[str, object],
) -> None:
    async def undisturbed() -> Outcome:
        application = _application(**scenario)
        outcome = await control(application.cluster)
        await application.stop()
        return outcome

    async def disturbed(step: int) -> Outcome:
        application = _application(**scenario)
        outcome = await _dying_at(step, application)
        await application.stop()
        _check(application)
        assert isinstance(outcome, Outcome)
        return outcome

    expected = _comparable(in_virtual_time(undisturbed()))
    for step in _steps(scenario):
        assert _comparable(in_virtual_time(disturbed(step))) == expected, f"died at step {step}"


def test_a_controller_that_died_at_the_deadline_is_replaced_with_the_same_end() -> None:
    async def main(step: int | None) -> tuple[Outcome | int, Application]:
        application = _application(exit_code=None)
        result = await _dying_at(step, application, deadline_epoch_seconds=EPOCH + 30)
        await application.stop()
        return result, application

    steps, _ = in_virtual_time(main(None))
    assert isinstance(steps, int)
    for step in range(1, steps + 1):
        outcome, application = in_virtual_time(main(step))
        assert isinstance(outcome, Outcome)
        assert outcome.verdict is Verdict.TIMED_OUT, f"died at step {step}"
        assert application.cluster.named("jobs") == []


@pytest.mark.parametrize("offset_seconds", [0.0, 0.015, 0.5, 10.3, 11.0, 14.0])
@pytest.mark.parametrize("delay_seconds", [0.0, 0.4, 3.0], ids=lambda seconds: f"watches lag {seconds} s")
def test_two_controllers_at_once_agree_and_double_nothing(
    offset_seconds: float, delay_seconds: float
) -> None:
    async def main() -> None:
        application = _application()
        application.cluster.watch_delay_seconds = delay_seconds

        async def second() -> Outcome:
            await asyncio.sleep(offset_seconds)
            return await control(application.cluster)

        one, other = await asyncio.gather(control(application.cluster), second())
        await application.stop()
        _check(application)
        assert one.verdict is other.verdict is Verdict.SUCCEEDED
        assert len(application.ids_used) == 4, "three executors, and one for the one that died"

    in_virtual_time(main())


@pytest.mark.parametrize("call", range(1, 8))
def test_an_answer_that_is_lost_doubles_nothing(call: int) -> None:
    async def main() -> None:
        application = _application()
        writes = 0

        def matches(method: str, path: str) -> bool:
            nonlocal writes
            writes += method != "GET" and method != "WATCH"
            return method != "GET" and method != "WATCH" and writes == call

        lost = Fault(matches, lambda: ClusterUnreachable("timed out"), after_effect=True)
        application.cluster.faults.append(lost)
        outcome = await control(application.cluster)
        await application.stop()
        _check(application)
        assert lost.times == 0
        assert outcome.verdict is Verdict.SUCCEEDED

    in_virtual_time(main())
