"""How large an executor is, and what its replacement gets after it ran out of memory."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from airflow_spark_k8s.core.labels import ANNOTATION_SIZE
from airflow_spark_k8s.core.memory import MIN_OVERHEAD_MIB
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.spec import RecoverySettings

MEMORY_KINDS = frozenset({EndKind.OUT_OF_MEMORY, EndKind.HEAP_EXHAUSTED, EndKind.MAYBE_OUT_OF_MEMORY})
"""Ends for which a replacement gets another size."""


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """What one executor has to work with; off-heap memory and Python's own limit never change."""

    step: int  # 0: as the task says; 1: for one task at a time; above: with more memory, too
    cores: int
    heap_mib: int
    overhead_mib: int

    def annotation(self) -> dict[str, str]:
        """The executor pod's annotation that `size_of` reads."""
        return {ANNOTATION_SIZE: json.dumps(asdict(self))}

    def as_list(self) -> list[int]:
        """Plain JSON values, short; `size_from` reads them."""
        return [self.step, self.cores, self.heap_mib, self.overhead_mib]


def size_from(values: Any) -> Size | None:
    """
    The size that `Size.as_list` wrote, None for None.

    Raises:
        TypeError, ValueError: these are no values of a size.

    """
    return None if values is None else Size(*map(int, values))


def size_of(annotations: Mapping[str, str]) -> Size | None:
    """The size in the annotations of an executor pod; None: as the task says, or not readable."""
    try:
        values = json.loads(annotations.get(ANNOTATION_SIZE) or "null")
        return None if values is None else Size(**{name: int(value) for name, value in values.items()})
    except (ValueError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class Ladder:
    """The sizes that executors of one application may get, one above the other."""

    normal: Size
    task_cores: int  # cores that one task takes
    factor: Fraction  # by which memory grows with a step
    max_memory_steps: int  # beyond the first single-task size
    memory_mib: int | None  # most that heap and overhead may come to; None: no limit

    @property
    def multi_task(self) -> bool:
        """Whether a normal executor takes several tasks at a time, so that fewer leave more to each."""
        return self.normal.cores > self.task_cores

    @property
    def single_task(self) -> Size:
        """The size for one task at a time, with the memory of a normal executor."""
        return Size(1, self.task_cores, self.normal.heap_mib, self.normal.overhead_mib)

    def after(self, size: Size, kind: str) -> Size | None:
        """
        The size of what replaces an executor of `size` that ended with `kind`; None: there is none above it.

        Several tasks share an executor's memory: the first answer is one task at a time. After that, what ran
        out grows: the heap if the JVM said so, else the overhead, where everything outside of the JVM lives.

        Source: org.apache.spark.deploy.k8s.features.BasicExecutorFeatureStep (recovery mode)
        """
        if size.step == 0 and self.multi_task:
            return self.single_task
        if size.step > self.max_memory_steps:
            return None
        if kind == EndKind.HEAP_EXHAUSTED:
            gain = self.grown_heap_mib(size.heap_mib) - size.heap_mib
        else:
            gain = self.grown_overhead_mib(size.overhead_mib) - size.overhead_mib
        if self.memory_mib is not None:
            gain = min(gain, self.memory_mib - size.heap_mib - size.overhead_mib)
        if gain <= 0:
            return None
        heap_gain, overhead_gain = (gain, 0) if kind == EndKind.HEAP_EXHAUSTED else (0, gain)
        step, heap_mib = max(size.step, 1) + 1, size.heap_mib + heap_gain
        return Size(step, self.task_cores, heap_mib, size.overhead_mib + overhead_gain)

    def grown_heap_mib(self, heap_mib: int) -> int:
        """A heap one step larger, whatever the limit."""
        return math.ceil(heap_mib * self.factor)

    def grown_overhead_mib(self, overhead_mib: int) -> int:
        """An overhead one step larger, whatever the limit; at least what Spark gives by default."""
        return max(math.ceil(overhead_mib * self.factor), MIN_OVERHEAD_MIB)


def ladder(settings: RecoverySettings, executor_cores: int) -> Ladder:
    """The ladder of an application whose executors have `executor_cores` cores unless they are recovering."""
    limit = settings.max_executor_memory_mib
    return Ladder(
        normal=Size(0, executor_cores, settings.heap_mib, settings.overhead_mib),
        task_cores=settings.task_cores,
        factor=Fraction(settings.step_factor),
        max_memory_steps=settings.max_memory_steps,
        memory_mib=None if limit is None else limit - settings.other_mib,
    )
