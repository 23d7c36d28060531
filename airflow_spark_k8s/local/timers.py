"""Time for everything in the local cluster: real with an asyncio loop, virtual without waiting."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Wall clock of virtual time at its second 0."""


class TimerHandle(Protocol):
    """One pending call."""

    def cancel(self) -> None:
        """Forget the call; harmless once it was made."""
        ...


class Timers(Protocol):
    """A clock that calls back; an asyncio event loop is one."""

    def time(self) -> float:
        """Seconds since an arbitrary start, never going back."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Handle of a call to be made `delay` seconds from now, never before this method returns."""
        ...


class VirtualTimer:
    """A pending call on `VirtualTimers`."""

    __slots__ = ("args", "callback", "when")

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        """Forget the call; harmless once it was made."""
        self.callback = None
        self.args = ()


class VirtualTimers:
    """Timers whose time moves only when told to; calls that fall due together keep their order."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = itertools.count()
        self._heap: list[tuple[float, int, VirtualTimer]] = []

    def time(self) -> float:
        """Seconds of virtual time since the start."""
        return self._now

    def wall_clock(self) -> datetime:
        """Virtual date and time, beginning at `EPOCH`."""
        return EPOCH + timedelta(seconds=self._now)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> VirtualTimer:
        """Handle of a call to be made when virtual time has moved by `delay` seconds."""
        timer = VirtualTimer(self._now + max(delay, 0.0), callback, args)
        heapq.heappush(self._heap, (timer.when, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Move time by `seconds`, making every call that falls due."""
        end = self._now + seconds
        while self._step(end):
            pass
        self._now = end

    def run_until(self, predicate: Callable[[], bool], limit: float = 3600.0) -> None:
        """
        Move time call by call until `predicate()` holds.

        Raises `TimeoutError` if it does not within `limit` seconds of virtual time.
        """
        end = self._now + limit
        while not predicate():
            if not self._step(end):
                self._now = end
                raise TimeoutError(f"the condition did not come true within {limit:g} s of virtual time")

    def _step(self, end: float) -> bool:
        while self._heap and self._heap[0][0] <= end:
            when, _, timer = heapq.heappop(self._heap)
            if timer.callback is None:
                continue
            self._now = max(self._now, when)
            callback, args = timer.callback, timer.args
            timer.cancel()
            callback(*args)
            return True
        return False


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: reports how long it was asked to wait instead."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Events that are ready now; time jumps if there are none."""
        ready = super().select(0)
        if not ready:
            self._jump(timeout)
        return ready


class _BlindSelector(_JumpingSelector):
    """Does not even ask what is ready."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing: time jumps at once."""
        self._jump(timeout)
        return []


class _OrderedTimer(asyncio.TimerHandle):
    """Among timers of one moment the one made first comes first; asyncio leaves their order to the heap."""

    __slots__ = ("_order",)
    _count = itertools.count()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._order = next(self._count)

    def __lt__(self, other: Any) -> bool:
        return (self.when(), self._order) < (other.when(), other._order)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """
    An asyncio loop whose time jumps to the next timer as soon as nothing is left to do.

    For code that does not use sockets, threads or processes: they would not get the real time they need.
    A loop that waits for something no timer can bring raises `RuntimeError` instead of hanging.

    :param blind: never look at files or sockets, which saves the time to ask the operating system.
    """

    def __init__(self, *, blind: bool = False) -> None:
        self._virtual_now = 0.0
        super().__init__((_BlindSelector if blind else _JumpingSelector)(self._jump))

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._virtual_now

    def wall_clock(self) -> datetime:
        """Virtual date and time, beginning at `EPOCH`."""
        return EPOCH + timedelta(seconds=self._virtual_now)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Handle of a call to be made at `when`; calls that fall due together keep their order."""
        timer = _OrderedTimer(when, callback, args, self, context)
        # What asyncio's own call_at does, which offers no way to choose the class of the handle.
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _jump(self, timeout: float | None) -> None:
        if timeout is None:
            raise RuntimeError("nothing is scheduled: virtual time would stand still for ever")
        self._virtual_now += timeout
