"""An event loop on virtual time whose order of events is drawn from a seed."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable
from contextvars import Context
from typing import Any

from airflow_spark_k8s.local.timers import VirtualTimeLoop


class _ShuffledTimer(asyncio.TimerHandle):
    """Timers of one moment are ordered at random: no code may rely on an order."""

    __slots__ = ("_rank",)

    def __init__(self, rank: tuple[float, int], *args: Any) -> None:
        super().__init__(*args)
        self._rank = rank

    def __lt__(self, other: Any) -> bool:
        return (self.when(), self._rank) < (other.when(), other._rank)


class _NumberedTask(asyncio.Task[Any]):
    """
    A task whose place in a set depends on its number, not on its address in memory.

    asyncio keeps the tasks of a group in a set and cancels them in the set's order.
    """

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        self._number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number


class SimulationLoop(VirtualTimeLoop):
    """A `VirtualTimeLoop` in which calls that are due at the same time run in a random order."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._order = itertools.count()
        super().__init__(blind=True)
        numbers = itertools.count()
        self.set_task_factory(
            lambda loop, work, **options: _NumberedTask(next(numbers), work, loop=loop, **options)
        )

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Handle of a call to be made at `when`."""
        rank = (self._chance.random(), next(self._order))
        timer = _ShuffledTimer(rank, when, callback, args, self, context)
        # What asyncio's own call_at does, which offers no way to choose the class of the handle.
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer
