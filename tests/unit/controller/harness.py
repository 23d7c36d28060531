"""One or more controllers against a simulated application, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.local.timers import VirtualTimeLoop
from tests.fakes.cluster import FakeCluster
from tests.fakes.spark import REFERENCE

T = TypeVar("T")

EPOCH = 1_767_225_600.0
"""The loop's second 0, in seconds since the epoch."""


class LoopClock:
    """A clock on the running loop's time."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def now(self) -> float:
        return asyncio.get_running_loop().time() + EPOCH

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        return self._random.random()


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """What `main` returns; an hour of it takes no time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


async def control(cluster: FakeCluster, lines: list[str] | None = None, **options: Any) -> Outcome:
    """The outcome that a controller of the application reports."""
    report = (lines if lines is not None else []).append
    settings = {"clock": LoopClock(), "report": report, "deadline_epoch_seconds": None, **options}
    return await run(cluster, REFERENCE, **settings)
