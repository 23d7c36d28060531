"""Many simulations, on every core, and a summary of their results."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_spark_k8s.local.simulation.simulate import Report, simulate

_CHUNK = 4
_GARBAGE = 50_000  # allocations between two collections: a simulation makes many objects and leaves few


@dataclass(slots=True)
class Summary:
    """The results of a number of simulations."""

    seeds: int = 0
    applications: int = 0
    pods: int = 0
    states: Counter[str] = field(default_factory=Counter)  # of the tasks at the end
    counts: Counter[str] = field(default_factory=Counter)  # faults and other happenings by kind
    failures: dict[int, str] = field(default_factory=dict)  # seed -> the first problem

    def add(self, report: Report) -> None:
        """Take in one simulation."""
        self.seeds += 1
        self.applications += report.applications
        self.pods += report.pods
        self.states[report.state] += 1
        self.counts += report.counts
        if report.problems:
            self.failures[report.seed] = report.problems[0]

    def lines(self) -> list[str]:
        """The summary in words."""
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        first = (
            f"{self.seeds} simulations: {self.applications} applications, {self.pods} pods; tasks: {states}"
        )
        table = [f"  {count:>8}  {kind}" for kind, count in sorted(self.counts.items(), key=_by_count)]
        failed = [f"seed {seed}: {why}" for seed, why in sorted(self.failures.items())]
        verdict = f"{len(failed)} of {self.seeds} failed" if failed else "every promise was kept"
        return [first, *table, *failed, verdict]


def reports(seeds: range, jobs: int) -> Generator[Report, None, None]:
    """
    The reports of all seeds as they come, from `jobs` processes; from this one if that is 1.

    Closing the iterator ends the processes.
    """
    if jobs == 1:
        with _little_garbage_collection():
            yield from map(simulate, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, initializer=_prepare) as pool:
        yield from pool.imap_unordered(simulate, seeds, chunksize=_CHUNK)


def _prepare() -> None:
    """Ctrl-C is for the parent, which ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(_GARBAGE)


@contextmanager
def _little_garbage_collection() -> Generator[None, None, None]:
    before = gc.get_threshold()
    gc.set_threshold(_GARBAGE)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
