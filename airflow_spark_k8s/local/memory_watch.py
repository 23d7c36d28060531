"""Memory limits of containers, enforced by looking at the sum over their processes some times a second."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from airflow_spark_k8s.local.process_launcher import children_of_all, descendants
from airflow_spark_k8s.local.timers import TimerHandle, Timers

INTERVAL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Excess:
    """A container that uses more memory than it may."""

    used_bytes: int
    largest_pid: int  # the process that uses most


@dataclass(frozen=True, slots=True)
class _Watched:
    root_pid: int
    limit_bytes: int
    exceeded: Callable[[Excess], None]


class MemoryWatch:
    """
    Tells when the processes below a container's first one use more than the container's limit.

    Pages that several processes share count once, as in a memory control group; page cache does not count.

    :param timers: when to look.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._watched: dict[int, _Watched] = {}
        self._timer: TimerHandle | None = None

    def add(self, root_pid: int, limit_bytes: int, exceeded: Callable[[Excess], None]) -> None:
        """Call `exceeded` at every look that finds the descendants of `root_pid` above the limit."""
        self._watched[root_pid] = _Watched(root_pid, limit_bytes, exceeded)
        if self._timer is None:
            self._timer = self._timers.call_later(INTERVAL_SECONDS, self._look)

    def remove(self, root_pid: int) -> None:
        """Stop watching; unknown processes are no error."""
        self._watched.pop(root_pid, None)

    def close(self) -> None:
        """Stop looking at all."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._watched:
            return
        children = children_of_all()
        for watched in tuple(self._watched.values()):
            excess = _excess(descendants(watched.root_pid, children), watched.limit_bytes)
            if excess is not None:
                watched.exceeded(excess)
        self._timer = self._timers.call_later(INTERVAL_SECONDS, self._look)


def _excess(pids: list[int], limit_bytes: int) -> Excess | None:
    # Resident sizes count shared pages several times but are cheap: they never say too little.
    if sum(_resident_bytes(pid) for pid in pids) <= limit_bytes:
        return None
    exact = {pid: _proportional_bytes(pid) for pid in pids}
    used = sum(exact.values())
    return Excess(used, max(exact, key=lambda pid: exact[pid])) if used > limit_bytes else None


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _proportional_bytes(pid: int) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        return int(psutil.Process(pid).memory_full_info().pss)
    return 0
