"""The only reader of a clock: everything else is given its time."""

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
    Time that passes evenly: it begins as `clock` shows it, and no jump of the clock is followed.

    Ages are measured by it. A clock that was put forward would call a pod abandoned that has just been told
    to leave, and give its place away.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now() - clock.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, if the clock was right at the start and the machine has not slept."""
        return self._ahead + self._clock.monotonic()

    @property
    def jump_seconds(self) -> float:
        """How far the clock is ahead of that."""
        return self._clock.now() - self.now()
