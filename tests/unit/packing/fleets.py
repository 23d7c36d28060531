"""Fleets for tests of the packing model."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import MemorySum
from airflow_spark_k8s.packing.model import ApplicationKind, Fleet, NodeType, Range, Usage


def level(share: float) -> Range:
    return Range(share, share)


def two_point(duty: float, correlation: float) -> Usage:
    """Nothing of the overhead is in use, or in a peak all of it."""
    return Usage(level(0), level(1), duty, correlation)


def kind(
    executors: int,
    *,
    heap: int = 40960,
    overhead: int = 10240,
    millicores: int = 1000,
    count: int = 1,
    bursts: bool = True,
    usage: Usage | None = None,
) -> ApplicationKind:
    memory = MemorySum(heap, overhead)
    return ApplicationKind(
        f"{executors} of {heap}", count, executors, memory, millicores, bursts, usage or two_point(0.1, 0)
    )


def node(memory: int = 102400, millicores: int = 64000, *, limit: int | None = None) -> NodeType:
    return NodeType(f"{memory} MiB", memory, millicores, limit=limit)


def fleet(*kinds: ApplicationKind, nodes: tuple[NodeType, ...] = (node(),)) -> Fleet:
    return Fleet(kinds, nodes)
