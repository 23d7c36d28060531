"""Executors that ran out of memory, as told in an outcome: what happened, and what would have helped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from airflow_spark_k8s.core.history import EndedExecutor
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.size import MEMORY_KINDS, Ladder

MAX_LOSSES = 50
"""Listed one by one in an outcome; a stage that goes on losing executors tells nothing new."""

CORES, HEAP, OVERHEAD = "cores", "heap_mib", "overhead_mib"
"""What an `Advice` may be about."""

_PROPERTIES = {
    CORES: "spark.executor.cores",
    HEAP: "spark.executor.memory",
    OVERHEAD: "spark.executor.memoryOverhead",
}


@dataclass(frozen=True, slots=True)
class MemoryLoss:
    """One executor that ran out of memory."""

    executor_id: int
    kind: str  # a value of EndKind: out of memory, out of heap or maybe out of memory
    node: str | None  # None: not known
    exit_code: int | None  # None: not recorded
    step: int  # 0: as the task says; 1: one task at a time; above: with more memory, too
    cores: int
    heap_mib: int
    overhead_mib: int
    stages: tuple[int, ...] = ()  # that were active; empty: not known
    peak_memory_mib: int | None = None  # None: never told


@dataclass(frozen=True, slots=True)
class Advice:
    """What to give the executors of this task from the start, in one dimension."""

    dimension: str  # cores, heap_mib or overhead_mib
    before: int  # what they had
    after: int  # fewer cores, or more memory
    evidence: str  # such as "executor 4 was killed at 2457 MiB in stage 7"

    @property
    def property_name(self) -> str:
        """The Spark property to set."""
        return _PROPERTIES[self.dimension]

    def __str__(self) -> str:
        unit = "" if self.dimension == CORES else "m"
        return f"{self.property_name} {self.before}{unit} -> {self.after}{unit}: {self.evidence}"


def memory_losses(entries: Iterable[EndedExecutor], ladder: Ladder) -> tuple[MemoryLoss, ...]:
    """Those of `entries` that ran out of memory, in order of time."""
    return tuple(_loss(entry, ladder) for entry in lost_to_memory(entries))


def lost_to_memory(entries: Iterable[EndedExecutor]) -> list[EndedExecutor]:
    """Those of `entries` that ran out of memory, in order of time."""
    lost = [entry for entry in entries if entry.kind in MEMORY_KINDS]
    return sorted(lost, key=lambda entry: (entry.at_epoch_seconds, entry.executor_id))


def advice(losses: Iterable[MemoryLoss], ladder: Ladder) -> tuple[Advice, ...]:
    """What would have spared the application these losses; nothing if there are none."""
    best: dict[str, Advice] = {}
    for loss in losses:
        for one in _advice(loss, ladder):
            known = best.get(one.dimension)
            if known is None or abs(one.after - one.before) > abs(known.after - known.before):
                best[one.dimension] = one
    return tuple(best[dimension] for dimension in (CORES, HEAP, OVERHEAD) if dimension in best)


def what_happened(loss: MemoryLoss) -> str:
    """One clause about the loss: `executor 4 was killed for memory at 2457 MiB in stage 7`."""
    peak = "" if loss.peak_memory_mib is None else f" at {loss.peak_memory_mib} MiB"
    return f"executor {loss.executor_id} {_WAYS[loss.kind]}{peak}{in_stages(loss.stages)}"


def in_stages(stages: Sequence[int]) -> str:
    """` in stage 7`, ` in one of the stages 7, 8`; empty if none is known."""
    if len(stages) < 2:
        return f" in {stages_text(stages)}" if stages else ""
    return f" in one of the {stages_text(stages)}"


def stages_text(stages: Sequence[int]) -> str:
    """`stage 7`, `stages 7, 8`."""
    return f"stage{'s' if len(stages) > 1 else ''} {', '.join(map(str, sorted(stages)))}"


_WAYS: Mapping[str, str] = {
    EndKind.OUT_OF_MEMORY: "was killed for memory",
    EndKind.HEAP_EXHAUSTED: "ran out of heap",
    EndKind.MAYBE_OUT_OF_MEMORY: "was killed, perhaps for memory,",
}


def _loss(entry: EndedExecutor, ladder: Ladder) -> MemoryLoss:
    size = entry.size or ladder.normal
    return MemoryLoss(
        executor_id=entry.executor_id,
        kind=entry.kind,
        node=entry.node,
        exit_code=entry.exit_code,
        step=size.step,
        cores=size.cores,
        heap_mib=size.heap_mib,
        overhead_mib=size.overhead_mib,
        stages=tuple(sorted(entry.stages)),
        peak_memory_mib=entry.peak_memory_mib,
    )


def _advice(loss: MemoryLoss, ladder: Ladder) -> Iterator[Advice]:
    normal, why = ladder.normal, what_happened(loss)
    if loss.step == 0 and ladder.multi_task:
        yield Advice(CORES, normal.cores, ladder.task_cores, why)
    elif loss.kind == EndKind.HEAP_EXHAUSTED:
        yield Advice(HEAP, normal.heap_mib, ladder.grown_heap_mib(loss.heap_mib), why)
    else:
        yield Advice(OVERHEAD, normal.overhead_mib, ladder.grown_overhead_mib(loss.overhead_mib), why)
