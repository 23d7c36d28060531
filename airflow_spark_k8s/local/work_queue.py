"""Keys that wait to be looked at, one call of a timer each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from airflow_spark_k8s.local.timers import TimerHandle, Timers

KeyT = TypeVar("KeyT")

_FIRST_RETRY_SECONDS = 0.05
_LONGEST_RETRY_SECONDS = 60.0

_SHORTEST_DELAY_SECONDS = 1e-6
"""What is left of a delay by rounding may be too little to move virtual time at all."""


class WorkQueue(Generic[KeyT]):
    """
    Calls `handle(key)` for every key that was added, never twice at a time, and never inside `add`.

    A key that is added again before its turn is handled once, at the earlier of the two times.
    """

    def __init__(self, timers: Timers, handle: Callable[[KeyT], None]) -> None:
        self._timers = timers
        self._handle = handle
        self._due: dict[KeyT, tuple[float, TimerHandle]] = {}
        self._failures: dict[KeyT, int] = {}

    def add(self, key: KeyT, delay: float = 0.0) -> None:
        """Handle the key `delay` seconds from now, or earlier if it already waits for an earlier time."""
        if delay > 0:
            delay = max(delay, _SHORTEST_DELAY_SECONDS)
        when = self._timers.time() + delay
        waiting = self._due.get(key)
        if waiting is not None:
            if waiting[0] <= when:
                return
            waiting[1].cancel()
        self._due[key] = (when, self._timers.call_later(delay, self._run, key))

    def retry(self, key: KeyT) -> None:
        """Handle the key again after a delay that doubles with every retry until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add(key, min(_FIRST_RETRY_SECONDS * 2.0**failures, _LONGEST_RETRY_SECONDS))

    def forget(self, key: KeyT) -> None:
        """Let the next retry of the key be quick again."""
        self._failures.pop(key, None)

    def _run(self, key: KeyT) -> None:
        self._due.pop(key, None)
        self._handle(key)
