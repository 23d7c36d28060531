"""
Where kube-scheduler would put the executors of a fleet, and how many nodes that takes.

An autoscaler's estimate comes first: largest executors first, each to the first node with room. The scheduler
then places the executors in the order in which their applications arrive. One that fits on no node brings one
more node with it; nodes that stay empty are given back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from airflow_spark_k8s.packing.candidates import Candidates, Offers
from airflow_spark_k8s.packing.model import Demand, Fleet, NodeType
from airflow_spark_k8s.packing.scores import Integers, Scoring

UNPLACED = -1


@dataclass(frozen=True, slots=True)
class Packing:
    """A placement of all executors."""

    node_of: Integers  # for each executor, in order of arrival; UNPLACED: the nodes were used up
    request_mib: Integers  # for each executor
    limit_mib: Integers  # for each executor
    allocatable_mib: Integers  # for each node; every one has an executor

    @property
    def nodes(self) -> int:
        """Nodes in use."""
        return len(self.allocatable_mib)

    @property
    def unplaced(self) -> int:
        """Executors for which no node was left."""
        return int(np.count_nonzero(self.node_of == UNPLACED))

    @property
    def overcommits(self) -> bool:
        """Whether the executors of any node may use more memory than it has."""
        placed = self.node_of != UNPLACED
        limits = np.bincount(self.node_of[placed], self.limit_mib[placed], minlength=self.nodes)
        return bool((limits > self.allocatable_mib).any())


def pack(fleet: Fleet, factor: Fraction, scoring: Scoring) -> Packing:
    """
    Where the scheduler puts the executors by their requests, for one burst factor.

    Counted are the plugins NodeResourcesFit, PodTopologySpread (for the soft spread that executors with
    bursting ask for) and InterPodAffinity (for those with a large shared part). Equal scores are decided by
    the age of the node, not by chance.

    Source: https://kubernetes.io/docs/reference/scheduling/config/,
    k8s.io/autoscaler/cluster-autoscaler/estimator/binpacking_estimator.go
    """
    demands = [fleet.demand(kind, factor) for kind in fleet.kinds]
    applications = fleet.applications
    nodes = _Nodes(fleet.node_types)
    for demand, executors in _largest_first(fleet, demands):
        nodes.make_room(demand, executors)
    nodes.clear()
    placed = [nodes.place(demands[kind], fleet.kinds[kind].executors, scoring) for kind in applications]
    node_of = np.concatenate(placed)
    used = np.unique(node_of[node_of != UNPLACED])
    sizes = [fleet.kinds[kind].executors for kind in applications]
    return Packing(
        np.where(node_of == UNPLACED, UNPLACED, np.searchsorted(used, node_of)),
        np.repeat([demands[kind].memory_mib for kind in applications], sizes),
        np.repeat([demands[kind].memory.limit_mib for kind in applications], sizes),
        nodes.memory[used],
    )


class _Nodes:
    """The nodes that there are: what they offer and what is taken, one array element for each node."""

    def __init__(self, types: Sequence[NodeType]) -> None:
        self._types = types
        self._left = [math.inf if each.limit is None else each.limit for each in types]
        self.memory, self._cpu, self._slots = _zeros(0), _zeros(0), _zeros(0)
        self._used_memory, self._used_cpu, self._pods, self._large = (_zeros(0) for _ in range(4))

    def clear(self) -> None:
        """Take everything off the nodes."""
        for used in (self._used_memory, self._used_cpu, self._pods, self._large):
            used[:] = 0

    def make_room(self, demand: Demand, executors: int) -> None:
        """Put executors on the first nodes with room, and on new nodes what is left of them."""
        while executors:
            room = self._room(demand)
            taken = np.clip(executors - (np.cumsum(room) - room), 0, room)
            self._take(demand, taken)
            executors -= int(taken.sum())
            if executors and not self._open(demand, executors):
                return

    def place(self, demand: Demand, executors: int, scoring: Scoring) -> Integers:
        """The node of each executor of one application, as the scheduler decides one after the other."""
        chosen = np.full(executors, UNPLACED, dtype=np.int64)
        done = 0
        while done < executors:
            room = self._room(demand)
            if not (room > 0).any():
                if not self._open(demand, 1):
                    break
                continue
            nodes = np.flatnonzero(room > 0)
            picked = nodes[Candidates(self._offers(nodes, room), demand, scoring).fill(executors - done)]
            chosen[done : done + len(picked)] = picked
            done += len(picked)
            self._take(demand, np.bincount(picked, minlength=len(self.memory)))
        return chosen

    def _offers(self, nodes: Integers, room: Integers) -> Offers:
        return Offers(
            memory=self.memory[nodes],
            used_memory=self._used_memory[nodes],
            cpu=self._cpu[nodes],
            used_cpu=self._used_cpu[nodes],
            room=room[nodes],
            large=self._large[nodes],
        )

    def _room(self, demand: Demand) -> Integers:
        memory = (self.memory - self._used_memory) // demand.memory_mib
        cpu = (self._cpu - self._used_cpu) // demand.millicores
        room: Integers = np.minimum(np.minimum(memory, cpu), self._slots - self._pods)
        return room

    def _take(self, demand: Demand, executors: Integers) -> None:
        self._used_memory += executors * demand.memory_mib
        self._used_cpu += executors * demand.millicores
        self._pods += executors
        if demand.avoids_large:
            self._large += executors

    def _open(self, demand: Demand, executors: int) -> int:
        """Add nodes of the first type that holds such an executor; how many, 0 if none is to be had."""
        for index, offer in enumerate(self._types):
            each = offer.holds(demand)
            if each and self._left[index]:
                wanted = min(math.ceil(executors / each), self._left[index])
                self._left[index] -= wanted
                self._add(offer, int(wanted))
                return int(wanted)
        return 0

    def _add(self, offer: NodeType, nodes: int) -> None:
        self.memory = np.append(self.memory, np.full(nodes, offer.memory_mib, dtype=np.int64))
        self._cpu = np.append(self._cpu, np.full(nodes, offer.millicores, dtype=np.int64))
        self._slots = np.append(self._slots, np.full(nodes, offer.max_pods, dtype=np.int64))
        for name in ("_used_memory", "_used_cpu", "_pods", "_large"):
            setattr(self, name, np.append(getattr(self, name), _zeros(nodes)))


def _largest_first(fleet: Fleet, demands: Sequence[Demand]) -> list[tuple[Demand, int]]:
    first = fleet.node_types[0]
    groups = [
        (demand, kind.count * kind.executors) for demand, kind in zip(demands, fleet.kinds, strict=True)
    ]
    return sorted(
        groups,
        key=lambda group: group[0].memory_mib / first.memory_mib + group[0].millicores / first.millicores,
        reverse=True,
    )


def _zeros(size: int) -> Integers:
    return np.zeros(size, dtype=np.int64)
