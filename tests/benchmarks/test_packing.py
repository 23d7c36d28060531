"""How the time of `pack` grows with the fleet: a ratio, so that the speed of the machine does not count."""

from __future__ import annotations

import time
from fractions import Fraction

from airflow_spark_k8s.commands.pack import DEFAULT_FACTORS, DEFAULT_MOMENTS
from airflow_spark_k8s.core.spec import MemorySum
from airflow_spark_k8s.packing.model import ApplicationKind, Fleet, NodeType, Range, Usage
from airflow_spark_k8s.packing.scores import Scoring
from airflow_spark_k8s.packing.study import study

MAX_RATIO = 25  # of ten times as many executors, on ten times as many nodes


def seconds_of(executors: int) -> float:
    """CPU seconds with the default factors, moments and scorings; 10,000 executors take 3 to 5 nowadays."""
    usage = Usage(Range(0.1, 0.3), Range(0.7, 1.0), duty=0.05, correlation=0.8)
    kinds = tuple(
        ApplicationKind(
            f"{heap} GiB",
            count=executors // 100,
            executors=20,
            memory=MemorySum(heap * 1024, heap * 256),
            millicores=2000,
            usage=usage,
        )
        for heap in (4, 8, 12, 16, 24)
    )
    fleet = Fleet(kinds, (NodeType("128 GiB", 124928, 31500),))
    assert fleet.executors == executors
    factors = [Fraction(text) for text in DEFAULT_FACTORS.split(",")]
    start = time.process_time()
    study(fleet, factors, list(Scoring), moments=DEFAULT_MOMENTS, seed=0)
    return time.process_time() - start


def test_ten_thousand_executors_take_not_much_more_than_ten_times_as_long() -> None:
    small = min(seconds_of(1000) for _ in range(2))
    assert seconds_of(10_000) / small < MAX_RATIO
