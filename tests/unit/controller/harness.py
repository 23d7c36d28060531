"""One or more controllers against a simulated application, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.core.progress import Progress
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.exceptions import ClusterError
from airflow_spark_k8s.local.timers import VirtualTimeLoop
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.spark import REFERENCE, Application

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


@dataclass
class Run:
    """What one application came to."""

    application: Application
    outcome: Outcome
    lines: list[str]
    seconds: float
    steps: list[Progress] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


Mischief = Callable[[Application], Awaitable[None]]


async def nothing(application: Application) -> None:
    pass


def run_application(
    mischief: Mischief = nothing,
    *,
    allocation: AllocationSettings | None = None,
    options: dict[str, Any] | None = None,
    **application_options: Any,
) -> Run:
    """One application under one controller, with `mischief` beside them."""

    async def main() -> Run:
        application = Application(
            FakeCluster(), allocation or AllocationSettings(target=3, batch_size=2), **application_options
        )
        application.submit()
        lines: list[str] = []
        steps: list[Progress] = []
        beside = asyncio.ensure_future(mischief(application))
        outcome = await control(application.cluster, lines, on_progress=steps.append, **(options or {}))
        seconds = asyncio.get_running_loop().time()
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        await application.stop()
        return Run(application, outcome, lines, seconds, steps)

    return in_virtual_time(main())


def out_of_reach(kind: str, error: Callable[[], ClusterError], first: float, last: float) -> Mischief:
    async def mischief(application: Application) -> None:
        await asyncio.sleep(first)
        fault = Fault(lambda method, path: kind in (method, "ALL"), error, 10**6)
        application.cluster.faults.append(fault)
        application.cluster.cut_watches()
        await asyncio.sleep(last - first)
        fault.times = 0

    return mischief
