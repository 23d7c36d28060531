from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.local.timers import VirtualTimeLoop
from tests.fakes.cluster import FakeCluster
from tests.fakes.spark import REFERENCE, Application

T = TypeVar("T")


class LoopClock:
    """A clock on the running loop's time."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def now(self) -> float:
        return asyncio.get_running_loop().time() + 1_000_000

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        return self._random.random()


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


async def control(cluster: FakeCluster, lines: list[str] | None = None, **options: Any) -> Outcome:
    report = (lines if lines is not None else []).append
    settings = {"clock": LoopClock(), "report": report, "deadline_epoch_seconds": None, **options}
    return await run(cluster, REFERENCE, **settings)


def test_an_application_runs_to_its_end() -> None:
    async def main() -> None:
        cluster = FakeCluster()
        application = Application(cluster, AllocationSettings(target=5, batch_size=2))
        application.submit()
        lines: list[str] = []
        outcome = await control(cluster, lines)
        print("\n".join(lines))
        print(outcome)
        assert outcome.verdict is Verdict.SUCCEEDED
        assert application.most_alive == 5
        await application.stop()

    in_virtual_time(main())
