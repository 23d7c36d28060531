"""A fleet: applications that run at the same time, and the nodes that may be had for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from airflow_spark_k8s.core.burst import MemorySplit, shared_class, split
from airflow_spark_k8s.core.spec import Burst, MemorySum

DEFAULT_MAX_PODS = 110
"""Pods that a kubelet takes unless told otherwise. Source: KubeletConfiguration.maxPods"""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one executor asks the scheduler for."""

    millicores: int
    memory: MemorySplit
    spread: bool  # whether it would rather not be where others of its application are

    @property
    def memory_mib(self) -> int:
        """Memory request."""
        return self.memory.request_mib

    @property
    def avoids_large(self) -> bool:
        """Whether its shared memory is so large that it avoids others like it."""
        return shared_class(self.memory.shared_mib) == "large"


@dataclass(frozen=True, slots=True)
class NodeType:
    """Nodes that are alike; the amounts are allocatable: what is left beside the system."""

    name: str
    memory_mib: int
    millicores: int
    max_pods: int = DEFAULT_MAX_PODS
    limit: int | None = None  # None: as many as needed

    def holds(self, demand: Demand) -> int:
        """How many such executors an empty node holds."""
        return min(self.memory_mib // demand.memory_mib, self.millicores // demand.millicores, self.max_pods)


@dataclass(frozen=True, slots=True)
class Range:
    """A share, 0 to 1, drawn evenly between two bounds; equal bounds: always the same."""

    low: float
    high: float


FULL = Range(1.0, 1.0)
NO_BURST = Burst(Fraction(1))


@dataclass(frozen=True, slots=True)
class Usage:
    """
    How much of its overhead an executor uses; the rest of its memory is taken to be in full use.

    An executor is in a peak for the share `duty` of the time. `correlation` is the one of the peaks of two
    executors of one application: 0 each peaks on its own, 1 all peak at the same moment.
    """

    idle: Range = FULL
    peak: Range = FULL
    duty: float = 0.0
    correlation: float = 0.0


@dataclass(frozen=True, slots=True)
class ApplicationKind:
    """Applications that are alike."""

    name: str
    count: int  # how many of them run at the same time
    executors: int  # of each
    memory: MemorySum
    millicores: int
    bursts: bool = True
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Fleet:
    """Applications, nodes, and how bursting is done; the factor is not part of it."""

    kinds: tuple[ApplicationKind, ...]
    node_types: tuple[NodeType, ...]  # the first that holds an executor is taken
    bursting: Burst = NO_BURST  # its factor does not count

    @property
    def applications(self) -> tuple[int, ...]:
        """
        The application's kind, as index, of each application as they arrive.

        The first application of each kind comes first, then the second of each, and so on.
        """
        most = max(kind.count for kind in self.kinds)
        return tuple(
            index for turn in range(most) for index, kind in enumerate(self.kinds) if turn < kind.count
        )

    @property
    def executors(self) -> int:
        """Executors of all applications."""
        return sum(kind.count * kind.executors for kind in self.kinds)

    def shared_pool_mib(self, kind: ApplicationKind) -> int:
        """The memory that `usage` speaks of: the overhead, and off-heap memory if it bursts, too."""
        return kind.memory.overhead_mib + (kind.memory.offheap_mib if self.bursting.offheap else 0)

    def demand(self, kind: ApplicationKind, factor: Fraction) -> Demand:
        """What an executor of this kind asks the scheduler for; factor 1: nothing bursts."""
        burst = replace(self.bursting, factor=factor) if kind.bursts and factor > 1 else None
        return Demand(kind.millicores, split(kind.memory, burst), spread=burst is not None)
