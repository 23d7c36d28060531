"""Memory limits of containers, enforced by looking at the sum over their processes some times a second."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from airflow_spark_k8s.local.process_launcher import children_of_all, descendants
from airflow_spark_k8s.local.timers import TimerHandle, Timers

INTERVAL_SECONDS = 0.2

_BLOCK_BYTES = 512  # what st_blocks counts, whatever the file system's own blocks


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
    folders: tuple[Path, ...]


class MemoryWatch:
    """
    Tells when the processes below a container's first one use more than the container's limit.

    Pages that several processes share count once, as in a memory control group; page cache does not count,
    but for files in folders that stand for memory.

    :param timers: when to look.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._watched: dict[int, _Watched] = {}
        self._timer: TimerHandle | None = None

    def add(
        self,
        root_pid: int,
        limit_bytes: int,
        exceeded: Callable[[Excess], None],
        folders: tuple[Path, ...] = (),
    ) -> None:
        """Call `exceeded` at every look that finds the descendants of `root_pid` above the limit."""
        self._watched[root_pid] = _Watched(root_pid, limit_bytes, exceeded, folders)
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
            stored = sum(_stored_bytes(folder) for folder in watched.folders)
            excess = _excess(descendants(watched.root_pid, children), watched.limit_bytes, stored)
            if excess is not None:
                watched.exceeded(excess)
        self._timer = self._timers.call_later(INTERVAL_SECONDS, self._look)


def _excess(pids: list[int], limit_bytes: int, stored_bytes: int) -> Excess | None:
    # Resident sizes count shared pages several times but are cheap: they never say too little.
    if stored_bytes + sum(_resident_bytes(pid) for pid in pids) <= limit_bytes or not pids:
        return None
    exact = {pid: _proportional_bytes(pid) for pid in pids}
    used = stored_bytes + sum(exact.values())
    return Excess(used, max(exact, key=lambda pid: exact[pid])) if used > limit_bytes else None


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def _proportional_bytes(pid: int) -> int:
    with contextlib.suppress(psutil.Error, OSError):
        return int(psutil.Process(pid).memory_full_info().pss)
    return 0


def _stored_bytes(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                inside = entry.is_dir(follow_symlinks=False)
                total += _stored_bytes(Path(entry.path)) if inside else entry.stat().st_blocks * _BLOCK_BYTES
    return total
