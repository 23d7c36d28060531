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
    """Among timers of one moment the order is drawn: no code may count on one."""

    __slots__ = ("_rank",)

    def __init__(self, rank: tuple[float, int], *args: Any) -> None:
        super().__init__(*args)
        self._rank = rank

    def __lt__(self, other: Any) -> bool:
        return (self.when(), self._rank) < (other.when(), other._rank)


class _NumberedTask(asyncio.Task[Any]):
    """
    A task whose place in a set follows from its number, not from where it lies in memory.

    asyncio keeps the tasks of a group in a set, and cancels them in its order.
    """

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        self._number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number


class SimulationLoop(VirtualTimeLoop):
    """A `VirtualTimeLoop` in which calls that fall due together come in a random order."""

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
