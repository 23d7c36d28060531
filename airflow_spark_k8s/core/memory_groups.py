"""Executors that burst beside those that do not: what became of each group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.labels import MEMORY_BURST, MEMORY_PLAIN
from airflow_spark_k8s.core.pod_state import EndKind

MEMORY_PRESSURE = "MemoryPressure"
"""Why a pod was taken away, if the kubelet evicted it because its node ran low on memory."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over some executors."""

    executors: int = 0
    peak_memory_mib: int | None = None  # the highest of them; None: none is known
    out_of_memory_kills: int = 0
    evictions: int = 0  # by kubelets whose nodes ran low on memory, no others

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.executors + other.executors,
            higher(self.peak_memory_mib, other.peak_memory_mib),
            self.out_of_memory_kills + other.out_of_memory_kills,
            self.evictions + other.evictions,
        )


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """One line of the table of memory groups; executors are those of the last driver that had a pod."""

    name: str  # burst or plain
    burst_factor: str  # such as "1.2"; "1" for executors that do not burst
    request_mib: int
    limit_mib: int
    executors: int = 0
    peak_memory_mib: int | None = None  # the highest of them; None: never told
    out_of_memory_kills: int = 0
    evictions: int = 0  # because their nodes ran low on memory

    @property
    def shared_mib(self) -> int:
        """The part of the limit that nobody sets aside."""
        return self.limit_mib - self.request_mib


def group_name(rollout: Rollout | None, executor_id: int) -> str | None:
    """The group of the executor with this id, `burst` or `plain`; None if no executor bursts."""
    if rollout is None:
        return None
    return MEMORY_BURST if rollout.bursts(executor_id) else MEMORY_PLAIN


def tally(kind: str | None, disruption: str | None, peak_memory_mib: int | None) -> Tally:
    """
    One executor.

    :param kind: how it ended, a value of `EndKind`; None or empty if it has not or nobody knows.
    :param disruption: why the cluster took it away; None if it did not.
    :param peak_memory_mib: None if it is not known.
    """
    return Tally(
        executors=1,
        peak_memory_mib=peak_memory_mib,
        out_of_memory_kills=int(kind == EndKind.OUT_OF_MEMORY),
        evictions=int(kind == EndKind.DISRUPTED and disruption == MEMORY_PRESSURE),
    )


def memory_groups(rollout: Rollout | None, tallies: Mapping[str, Tally]) -> tuple[MemoryGroup, ...]:
    """The groups with the tallies of their executors: none if no executor bursts, one if all of them do."""
    if rollout is None:
        return ()
    shapes = [(MEMORY_BURST, rollout.factor, rollout.request_mib)]
    if Fraction(rollout.fraction) < 1:
        shapes.append((MEMORY_PLAIN, "1", rollout.limit_mib))
    return tuple(
        _group(name, factor, request_mib, rollout.limit_mib, tallies.get(name, Tally()))
        for name, factor, request_mib in shapes
    )


def higher(one: int | None, other: int | None) -> int | None:
    """The higher of two peaks; None if neither is known."""
    return max((peak for peak in (one, other) if peak is not None), default=None)


def _group(name: str, factor: str, request_mib: int, limit_mib: int, of: Tally) -> MemoryGroup:
    return MemoryGroup(
        name=name,
        burst_factor=factor,
        request_mib=request_mib,
        limit_mib=limit_mib,
        executors=of.executors,
        peak_memory_mib=of.peak_memory_mib,
        out_of_memory_kills=of.out_of_memory_kills,
        evictions=of.evictions,
    )
