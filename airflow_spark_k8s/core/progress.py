"""How far an application is: numbers for a progress bar, rows for the executor table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_spark_k8s.core.executor_pod import executor_name
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.history import MAX_REASON_LENGTH, EndedExecutor
from airflow_spark_k8s.core.outcome import MAX_TABLE_ROWS, ExecutorRecord, Outcome
from airflow_spark_k8s.core.pod_state import Deleted, Failed, Pending, Succeeded
from airflow_spark_k8s.core.snapshot import ExecutorPod
from airflow_spark_k8s.core.state import Scene
from airflow_spark_k8s.core.verdict import Judgement, driver_uids

MAX_MESSAGE_LENGTH = 8192
"""Of an outcome: a Job's annotations may have 256 KiB in all, and a termination message 4 KiB."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of progress."""

    driver_pod: str | None  # None: there is none (yet)
    driver_state: str  # waiting, pending, running, succeeded, failed, deleted or unknown
    expected: int = 0  # executors wanted
    requested: int = 0  # asked for, not seen yet
    pending: int = 0
    running: int = 0
    registered: int | None = None  # None: the driver cannot be asked
    ended: int = 0  # executors that are over
    completed_tasks: int | None = None  # None: the driver never told
    total_tasks: int | None = None
    active_stages: int | None = None


def progress(scene: Scene, fleet: Fleet | None) -> Progress:
    """The progress at one look; `fleet` None means that there is no driver."""
    settings = scene.desired.settings
    expected = settings.allocation.target if settings else 0
    if fleet is None:
        return Progress(None, "waiting", expected)
    registered = fleet.registered
    return Progress(
        driver_pod=fleet.driver.name,
        driver_state=type(fleet.driver.state).__name__.lower(),
        expected=expected,
        requested=len(fleet.outstanding),
        pending=len(fleet.pending),
        running=len(fleet.running),
        registered=None if registered is None else len(registered & fleet.running),
        ended=len(fleet.driver.history.entries.keys() | {pod.executor_id for pod in fleet.ended}),
        completed_tasks=fleet.spark.completed_tasks,
        total_tasks=fleet.spark.total_tasks,
        active_stages=fleet.spark.active_stages,
    )


def outcome_of(scene: Scene, fleet: Fleet | None, judgement: Judgement) -> Outcome:
    """The outcome that goes with a judgement, with all that is known at that moment."""
    reference, driver = scene.desired.reference, judgement.driver
    ending = judgement.ending
    outcome = Outcome(
        verdict=judgement.verdict,
        message=judgement.message[:MAX_MESSAGE_LENGTH],
        namespace=reference.namespace,
        application=reference.application,
        job_name=reference.job_name,
        driver_pod=driver.name if driver else None,
        application_id=driver.name if driver else None,
        exit_code=ending.exit_code if ending else None,
        reason=ending.kind.value if ending else None,
        driver_restarts=max(len(driver_uids(scene.observed)) - 1, 0),
        driver_node=driver.node if driver else None,
    )
    return outcome if fleet is None else _with_executors(outcome, scene, fleet)


def _with_executors(outcome: Outcome, scene: Scene, fleet: Fleet) -> Outcome:
    rows = sorted(_rows(scene, fleet), key=lambda row: row.executor_id)
    counts = Counter(fleet.driver.history.forgotten) + Counter(row.state for row in rows)
    return replace(
        outcome,
        executors=tuple(rows[-MAX_TABLE_ROWS:]),
        executor_counts=dict(sorted(counts.items())),
        completed_tasks=fleet.spark.completed_tasks,
        total_tasks=fleet.spark.total_tasks,
        spark_version=fleet.spark.version,
    )


def _rows(scene: Scene, fleet: Fleet) -> Iterator[ExecutorRecord]:
    remembered = fleet.driver.history.entries
    for entry in remembered.values():
        yield _row(scene, fleet, entry.executor_id, entry.state, entry)
    for number, pod in fleet.pods.items():
        if number not in remembered:
            yield _row(scene, fleet, number, type(pod.state).__name__.lower(), pod)
    for number in fleet.outstanding:
        yield _row(scene, fleet, number, "requested", None)


def _row(
    scene: Scene, fleet: Fleet, number: int, state: str, source: EndedExecutor | ExecutorPod | None
) -> ExecutorRecord:
    reason, exit_code = _reason(source)
    spark = fleet.spark.executors.get(number)
    settings = scene.desired.settings
    return ExecutorRecord(
        executor_id=number,
        pod=executor_name(fleet.driver.name, number),
        state=state,
        node=source.node if source else None,
        reason=reason,
        exit_code=exit_code,
        cores=spark.cores if spark else (settings.executor_cores if settings else None),
        completed_tasks=spark.completed_tasks if spark else None,
        failed_tasks=spark.failed_tasks if spark else None,
    )


def _reason(source: EndedExecutor | ExecutorPod | None) -> tuple[str | None, int | None]:
    if isinstance(source, EndedExecutor):
        return source.reason or None, source.exit_code
    state = source.state if source else None
    if isinstance(state, Succeeded | Failed | Deleted):
        # A termination message may be as long as a log; the table has to fit into an annotation.
        return state.ending.trouble[:MAX_REASON_LENGTH] or None, state.ending.exit_code
    return (state.reason if isinstance(state, Pending) else None), None
