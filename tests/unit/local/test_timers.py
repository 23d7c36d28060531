from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from airflow_spark_k8s.local.timers import EPOCH, VirtualTimeLoop, VirtualTimers
from airflow_spark_k8s.local.work_queue import WorkQueue


def test_virtual_calls_come_in_the_order_of_their_times_then_of_their_making() -> None:
    timers, calls = VirtualTimers(), []
    for name, delay in (("late", 2.0), ("first", 1.0), ("second", 1.0), ("never", 9.0)):
        timers.call_later(delay, lambda name=name: calls.append((name, timers.time())))

    timers.advance(5.0)

    assert calls == [("first", 1.0), ("second", 1.0), ("late", 2.0)]
    assert timers.time() == 5.0
    assert (timers.wall_clock() - EPOCH).total_seconds() == 5.0


def test_a_cancelled_virtual_call_is_not_made() -> None:
    timers, calls = VirtualTimers(), []
    timers.call_later(1.0, calls.append, "x").cancel()

    timers.advance(2.0)

    assert not calls


def test_run_until_stops_at_the_call_that_made_the_condition_true() -> None:
    timers, calls = VirtualTimers(), []
    for delay in (1.0, 2.0, 3.0):
        timers.call_later(delay, calls.append, delay)

    timers.run_until(lambda: 2.0 in calls)

    assert timers.time() == 2.0


def test_run_until_gives_up_at_its_limit() -> None:
    with pytest.raises(TimeoutError, match="within 10 s of virtual time"):
        VirtualTimers().run_until(lambda: False, limit=10.0)


def test_asyncio_on_virtual_time_sleeps_for_a_day_at_once() -> None:
    async def sleep_a_day() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(sleep_a_day()) == 86_400


def test_asyncio_timers_of_one_moment_keep_their_order() -> None:
    async def order() -> list[int]:
        loop, calls = asyncio.get_running_loop(), []
        for number in range(50):
            loop.call_later(1.0, calls.append, number)
        await asyncio.sleep(2.0)
        return calls

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(order()) == list(range(50))


def test_asyncio_that_waits_for_nothing_is_an_error_not_a_hang() -> None:
    loop = VirtualTimeLoop()
    try:
        with pytest.raises(RuntimeError, match="virtual time would stand still"):
            loop.run_until_complete(loop.create_future())
    finally:
        loop.close()


def test_a_key_added_twice_is_handled_once_at_the_earlier_time() -> None:
    timers, handled = VirtualTimers(), []
    queue: WorkQueue[str] = WorkQueue(timers, lambda key: handled.append((key, timers.time())))
    queue.add("a", 5.0)
    queue.add("a", 1.0)
    queue.add("a", 3.0)

    timers.advance(10.0)

    assert handled == [("a", 1.0)]


def test_retries_come_after_ever_longer_pauses_until_forgotten() -> None:
    timers, times = VirtualTimers(), []

    def handle(key: str) -> None:
        times.append(timers.time())
        if len(times) < 4:
            queue.retry(key)

    queue: WorkQueue[str] = WorkQueue(timers, handle)
    queue.add("a")
    timers.advance(10.0)
    pauses = [later - earlier for earlier, later in pairwise(times)]

    assert pauses == pytest.approx([0.05, 0.1, 0.2])
    queue.forget("a")
    queue.retry("a")
    timers.advance(0.05)
    assert len(times) == 5
