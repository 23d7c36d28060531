"""The only place where a clock is read: everything else takes the time as an argument."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Protocol


class Clock(Protocol):
    """Time and chance of one controller."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...

    def jitter(self) -> float:
        """A number in [0, 1)."""
        ...


class SystemClock:
    """The real clock; sleeping follows the running asyncio loop, so one on virtual time is followed too."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 (jitter is no secret)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """The running loop's seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of the running loop's time."""
        await asyncio.sleep(seconds)

    def jitter(self) -> float:
        """A number in [0, 1), the same series for the same seed."""
        return self._random.random()


class EvenTime:
    """
    Time that passes evenly: it starts at what `clock` shows, and ignores jumps of the clock after that.

    Ages are measured by it. By a clock that is put forward, a pod that was asked to end a moment ago would
    count as lost, and would be replaced too early.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now() - clock.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, if the clock was right at the start and the machine has not slept."""
        return self._ahead + self._clock.monotonic()

    @property
    def jump_seconds(self) -> float:
        """How far the clock has moved ahead of even time; negative if it was put back."""
        return self._clock.now() - self.now()
