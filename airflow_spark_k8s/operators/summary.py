"""What the task log says about an application that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_spark_k8s.core.outcome import ExecutorRecord, Outcome

_HEADER = ("executor", "state", "exit code", "tasks", "failed", "node", "reason")


def summary_lines(outcome: Outcome) -> Iterator[str]:
    """Lines for the task log: verdict, driver, counts, then one line per executor."""
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
        yield from _table([_HEADER, *map(_row, outcome.executors)])


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


def _row(executor: ExecutorRecord) -> tuple[str, ...]:
    return (
        str(executor.executor_id),
        executor.state,
        _known(executor.exit_code),
        _known(executor.completed_tasks),
        _known(executor.failed_tasks),
        _known(executor.node),
        executor.reason or "",
    )


def _known(value: object) -> str:
    return "-" if value is None else str(value)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
