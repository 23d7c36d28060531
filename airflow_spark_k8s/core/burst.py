"""Burst-aware memory: how much overhead an executor has to itself, how much it shares with its neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from airflow_spark_k8s.core.spec import Burst, MemorySum

_SMALL_MIB = 1024
_LARGE_MIB = 4096


@dataclass(frozen=True, slots=True)
class MemorySplit:
    """Request and limit of a container, in MiB, and how they come about."""

    memory: MemorySum
    guaranteed_mib: int  # of the overhead; with off-heap memory in the shared part, of both together
    shared_mib: int  # the rest of it: limit minus request
    floored: bool = False  # the formula alone would guarantee less

    @property
    def limit_mib(self) -> int:
        """What the container may use at most; bursting does not change it."""
        return self.memory.total_mib

    @property
    def request_mib(self) -> int:
        """What the scheduler sets aside for the container."""
        return self.memory.total_mib - self.shared_mib


def split(memory: MemorySum, burst: Burst | None) -> MemorySplit:
    """
    The request and the limit for `memory`; without `burst` they are the same.

    With heap H, overhead O and factor B the shared part is S = min((H + O) (B - 1), O), and G = O - S is
    guaranteed: the request is H + G, the limit H + O. G is rounded down to MiB, but never below the ratio's
    part of O, rounded up. Off-heap memory and Python's limit are added to both; if off-heap memory bursts,
    O stands for overhead and off-heap memory together, and each has a floor of its own.

    Source: SPARK-54596, Burst-aware Memory Allocation Algorithm for Spark on Kubernetes
    """
    if burst is None:
        return MemorySplit(memory, memory.overhead_mib, 0)
    pool = memory.overhead_mib + (memory.offheap_mib if burst.offheap else 0)
    formula = math.floor(pool - min((memory.heap_mib + pool) * (burst.factor - 1), Fraction(pool)))
    guaranteed = max(formula, _floor(memory, burst))
    return MemorySplit(memory, guaranteed, pool - guaranteed, floored=guaranteed > formula)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a controller has to know of bursting; plain JSON values."""

    factor: str  # such as "1.2"
    fraction: str  # of the executors, such as "1/4" or "1"
    request_mib: int  # of executors that burst
    limit_mib: int  # of all, and the request of those that do not burst

    def bursts(self, executor_id: int) -> bool:
        """Whether the executor with this id bursts."""
        return bursts(Fraction(self.fraction), executor_id)


def bursts(fraction: Fraction, executor_id: int) -> bool:
    """
    Whether the executor with this id is among the `fraction` that bursts; the same id is told the same.

    The ids chosen are spread evenly and begin with 1: of the first n it is n times `fraction`, rounded up, so
    that a small application gives evidence, too.
    """
    return math.ceil(executor_id * fraction) > math.ceil((executor_id - 1) * fraction)


def shared_class(shared_mib: int) -> str:
    """Size class of a shared part: `none`, `small` (below 1 GiB), `medium`, or `large` (from 4 GiB)."""
    if shared_mib == 0:
        return "none"
    if shared_mib < _SMALL_MIB:
        return "small"
    return "medium" if shared_mib < _LARGE_MIB else "large"


def _floor(memory: MemorySum, burst: Burst) -> int:
    of_overhead = math.ceil(memory.overhead_mib * burst.min_guaranteed_ratio)
    if not burst.offheap:
        return of_overhead
    return of_overhead + math.ceil(memory.offheap_mib * burst.min_guaranteed_offheap_ratio)
