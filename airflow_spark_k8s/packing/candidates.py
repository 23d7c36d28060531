"""The nodes that have room for the executors of one application, and which of them comes next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airflow_spark_k8s.packing.model import Demand
from airflow_spark_k8s.packing.scores import (
    SPREAD_WEIGHT,
    Integers,
    Scoring,
    avoidance_by_count,
    fit,
    spread_by_count,
)

_NEVER = -(10**9)  # the score of a node that is full


@dataclass(frozen=True, slots=True)
class Offers:
    """Some nodes: what they offer and what is taken of it, one element for each."""

    memory: Integers  # MiB
    used_memory: Integers
    cpu: Integers  # millicores
    used_cpu: Integers
    room: Integers  # for how many more executors of this application
    large: Integers  # executors with a large shared part


class Candidates:
    """
    Nodes with room, of which the best is taken again and again.

    A placement changes one node only, unless it moves the bounds that all scores are measured by: so mostly
    one score is put right after it, and thousands of nodes take little longer than a few.
    """

    def __init__(self, offers: Offers, demand: Demand, scoring: Scoring) -> None:
        self._demand, self._scoring = demand, scoring
        self._memory, self._used_memory = offers.memory.tolist(), offers.used_memory.tolist()
        self._cpu, self._used_cpu = offers.cpu.tolist(), offers.used_cpu.tolist()
        self._room = offers.room.tolist()
        self._fit = self._fits(offers)
        self._own = _Counts(np.zeros(len(self._room), dtype=np.int64))
        self._large = _Counts(offers.large.copy())
        self._score = self._fit
        self._bounds: tuple[int, ...] | None = None  # by which `_score` was reckoned; None: not yet

    def fill(self, executors: int) -> list[int]:
        """Where executors go, one after the other, as positions in the offers; fewer if there is no room."""
        return [self._take() for _ in range(min(executors, sum(self._room)))]

    def _take(self) -> int:
        if self._bounds != self._new_bounds():
            self._reckon()
        at = int(self._score.argmax())
        self._room[at] -= 1
        self._used_memory[at] += self._demand.memory_mib
        self._used_cpu[at] += self._demand.millicores
        if not self._room[at]:
            self._own.remove(at)
            self._large.remove(at)
            self._fit[at] = self._score[at] = _NEVER
            return at
        if self._demand.spread:
            self._own.add(at)
        if self._demand.avoids_large:
            self._large.add(at)
        self._fit[at] = self._fit_of(at)
        if self._bounds == self._new_bounds():
            self._score[at] = (
                self._fit[at] + self._by_own[self._own.of[at]] + self._by_large[self._large.of[at]]
            )
        return at

    def _new_bounds(self) -> tuple[int, ...]:
        own, large = self._own, self._large
        spread = (own.least, own.most, own.nodes, own.length) if self._demand.spread else ()
        return (*spread, large.least, large.most, large.length) if self._demand.avoids_large else spread

    def _reckon(self) -> None:
        own, large = self._own, self._large
        self._by_own, self._by_large = (np.zeros(each.length, dtype=np.int64) for each in (own, large))
        if self._demand.spread:
            self._by_own = SPREAD_WEIGHT * spread_by_count(own.least, own.most, own.nodes, own.length)
        if self._demand.avoids_large:
            self._by_large = SPREAD_WEIGHT * avoidance_by_count(large.least, large.most, large.length)
        self._score = self._fit + self._by_own[own.of] + self._by_large[large.of]
        self._bounds = self._new_bounds()

    def _fits(self, offers: Offers) -> Integers:
        memory = fit(offers.used_memory + self._demand.memory_mib, offers.memory, self._scoring)
        cpu = fit(offers.used_cpu + self._demand.millicores, offers.cpu, self._scoring)
        return (memory + cpu) // 2

    def _fit_of(self, at: int) -> int:
        memory = fit(self._used_memory[at] + self._demand.memory_mib, self._memory[at], self._scoring)
        cpu = fit(self._used_cpu[at] + self._demand.millicores, self._cpu[at], self._scoring)
        return int(memory + cpu) // 2


class _Counts:
    """How many executors of one sort each node has, and the least and the most among nodes with room."""

    def __init__(self, of: Integers) -> None:
        self.of = of
        self.nodes = len(of)
        self._nodes_with: list[int] = np.bincount(of).tolist()
        self.least, self.most = int(of.min()), int(of.max())

    @property
    def length(self) -> int:
        """One more than the largest count of any node."""
        return len(self._nodes_with)

    def add(self, at: int) -> None:
        """Count one more on a node."""
        self.of[at] += 1
        count = int(self.of[at])
        if count == len(self._nodes_with):
            self._nodes_with.append(0)
        self._nodes_with[count] += 1
        self._nodes_with[count - 1] -= 1
        self._mend()
        self.most = max(self.most, count)

    def remove(self, at: int) -> None:
        """Leave out a node that is full."""
        self._nodes_with[int(self.of[at])] -= 1
        self.nodes -= 1
        if self.nodes:
            self._mend()

    def _mend(self) -> None:
        while not self._nodes_with[self.least]:
            self.least += 1
        while not self._nodes_with[self.most]:
            self.most -= 1
