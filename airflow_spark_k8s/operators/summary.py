"""What the task log says about an application that has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_spark_k8s.core.memory_advice import memory_advice

if TYPE_CHECKING:
    from airflow_spark_k8s.core.memory_groups import MemoryGroup
    from airflow_spark_k8s.core.memory_losses import MemoryLoss
    from airflow_spark_k8s.core.outcome import ExecutorRecord, Outcome

_HEADER = ("executor", "state", "exit code", "tasks", "failed", "node", "reason")
_MEMORY_HEADER = ("memory", "peak MiB")
_LOSS_HEADER = (
    "executor",
    "ended",
    "cores",
    "heap MiB",
    "overhead MiB",
    "peak MiB",
    "stages",
    "exit code",
    "node",
)
_GROUP_HEADER = (
    "memory",
    "burst factor",
    "request MiB",
    "limit MiB",
    "executors",
    "peak MiB",
    "OOM kills",
    "evictions",
)


def summary_lines(outcome: Outcome) -> Iterator[str]:
    """Lines for the task log: verdict, driver, counts, executors, those out of memory, and memory groups."""
    yield f"{outcome.verdict.value}: {outcome.message}"
    yield _driver_line(outcome)
    if outcome.completed_tasks is not None:
        yield (
            f"tasks: {outcome.completed_tasks} completed of {_known(outcome.total_tasks)} "
            "when the driver was last asked"
        )
    counts = ", ".join(f"{count} {state}" for state, count in sorted(outcome.executor_counts.items()))
    yield f"executors: {counts or 'none'}"
    if outcome.executors:
        yield from _table(_executor_rows(outcome.executors))
    if outcome.ooms:
        yield from _table([_LOSS_HEADER, *map(_loss_row, outcome.ooms)])
    for one in outcome.advice:
        yield f"advice: {one}"
    advice = memory_advice(outcome.memory_groups)
    if advice is not None:
        yield from _table([_GROUP_HEADER, *map(_group_row, outcome.memory_groups)])
        yield f"memory: {advice}"


def _driver_line(outcome: Outcome) -> str:
    parts = [
        f"job {outcome.namespace}/{outcome.job_name}",
        f"driver pod {outcome.driver_pod or 'never seen'}",
        f"node {_known(outcome.driver_node)}",
        f"exit code {_known(outcome.exit_code)}",
        f"restarts {outcome.driver_restarts}",
    ]
    if outcome.spark_version is not None:
        parts.append(f"Spark {outcome.spark_version}")
    return ", ".join(parts)


def _executor_rows(executors: Sequence[ExecutorRecord]) -> Iterator[tuple[str, ...]]:
    """The rows of the executor table; memory has its columns only where there is something to tell."""
    memory = any(one.memory_group is not None or one.peak_memory_mib is not None for one in executors)
    yield (*_HEADER[:-1], *(_MEMORY_HEADER if memory else ()), _HEADER[-1])
    for executor in executors:
        columns = (_known(executor.memory_group), _known(executor.peak_memory_mib)) if memory else ()
        yield (*_columns(executor), *columns, executor.reason or "")


def _columns(executor: ExecutorRecord) -> tuple[str, ...]:
    return (
        str(executor.executor_id),
        executor.state,
        _known(executor.exit_code),
        _known(executor.completed_tasks),
        _known(executor.failed_tasks),
        _known(executor.node),
    )


def _loss_row(loss: MemoryLoss) -> tuple[str, ...]:
    return (
        str(loss.executor_id),
        loss.kind,
        str(loss.cores),
        str(loss.heap_mib),
        str(loss.overhead_mib),
        _known(loss.peak_memory_mib),
        ", ".join(map(str, loss.stages)) or "-",
        _known(loss.exit_code),
        _known(loss.node),
    )


def _group_row(group: MemoryGroup) -> tuple[str, ...]:
    return (
        group.name,
        group.burst_factor,
        str(group.request_mib),
        str(group.limit_mib),
        str(group.executors),
        _known(group.peak_memory_mib),
        str(group.out_of_memory_kills),
        str(group.evictions),
    )


def _known(value: object) -> str:
    return "-" if value is None else str(value)


def _table(given: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(given)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
