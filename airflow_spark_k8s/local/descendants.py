"""Ending processes together with everything they started, also what detached itself."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable

import psutil

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """
    Make this process the parent of every descendant whose own parent dies.

    Without it a grandchild that outlives its parent moves to init, and nobody can tell that it was ours.

    Source: prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_on_signals() -> None:
    """
    Let SIGINT and SIGTERM raise KeyboardInterrupt in this process.

    A plain `kill` then cleans up like Ctrl-C does, and Ctrl-C works even if whoever started this process
    ignores it, as shells do for what they run in the background.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def end_processes(pids: Iterable[int], *, grace_seconds: float) -> None:
    """SIGTERM the processes, wait, then SIGKILL them and all their descendants, however they regrouped."""
    roots = [p for pid in pids if (p := _process(pid)) is not None]
    family = {p for root in roots for p in _descendants(root)}
    for process in roots:
        _signal(process, signal.SIGTERM)
    psutil.wait_procs([*roots, *family], timeout=grace_seconds)
    orphans = {p for p in _descendants(psutil.Process()) if p in family}
    for process in {*roots, *family, *orphans}:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs([*roots, *family], timeout=5.0)
    _reap()


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _reap() -> None:
    # Orphans we adopted become zombies of ours; Popen objects reap their own child only.
    for child in psutil.Process().children():
        if child.status() == psutil.STATUS_ZOMBIE:
            try:
                os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                continue
