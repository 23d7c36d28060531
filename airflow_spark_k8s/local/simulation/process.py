"""An operating system process of Airflow, a worker or a triggerer, which may die at any await."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

from airflow_spark_k8s.local.timers import EPOCH

T = TypeVar("T")


class MachineClock:
    """
    A `controller.clock.Clock` on virtual time whose wall clock is a little wrong and may jump.

    :param awake: called after every sleep.
    """

    def __init__(
        self, chance: random.Random, epoch: datetime = EPOCH, awake: Callable[[], None] = lambda: None
    ) -> None:
        self._chance = chance
        self._awake = awake
        self._epoch = epoch.timestamp()
        self._offset = chance.uniform(-1.0, 1.0)
        self._furthest = self._offset  # the most that the clock has ever been ahead

    def now(self) -> float:
        """Seconds since the epoch, as this machine believes."""
        return self._epoch + self.monotonic() + self._offset

    def latest(self) -> float:
        """The latest time that this machine's clock may have shown, whatever it shows now."""
        return self._epoch + self.monotonic() + self._furthest

    def monotonic(self) -> float:
        """The running loop's seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of virtual time."""
        await asyncio.sleep(seconds)
        self._awake()

    def jitter(self) -> float:
        """A number in [0, 1)."""
        return self._chance.random()

    def jump(self, seconds: float) -> None:
        """Put the wall clock forward, or back."""
        self._offset += seconds
        self._furthest = max(self._furthest, self._offset)


class Process:
    """
    A process that runs one coroutine.

    :param steps: after how many of them it dies; None: it does not. A step is a call to be sent, an answer
        or event that arrives, or the end of a sleep.
    """

    def __init__(self, name: str, chance: random.Random, *, steps: int | None = None) -> None:
        self.name = name
        self.clock = MachineClock(chance, awake=self.step)
        self.alive = True
        self.generation = 0  # of the credentials that it uses
        self._steps_left = steps
        self._task: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns; raises ProcessDied if the process dies before."""
        task: asyncio.Task[T] = asyncio.get_running_loop().create_task(work)
        self._task = task
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            self.die()
            await asyncio.wait([task])
            raise
        if not self.alive:
            if not task.cancelled():
                task.exception()  # nobody is left to be told
            raise ProcessDied(self.name)
        return task.result()

    def die(self) -> None:
        """End at once: nothing that it does from now on has any effect."""
        self.alive = False
        if self._task is not None:
            self._task.cancel()

    def step(self) -> None:
        """Return if the process is alive; a dead one gets no further."""
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left < 0 and self.alive:
                self.die()
        if not self.alive:
            raise asyncio.CancelledError


class ProcessDied(Exception):
    """The process was killed before its work was done."""
