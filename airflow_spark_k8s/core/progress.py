"""How far an application is: numbers for a progress bar, rows for the executor table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypedDict

from airflow_spark_k8s.core.cleanup import ended_executor
from airflow_spark_k8s.core.executor_pod import executor_name
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.history import EndedExecutor, History, short_reason
from airflow_spark_k8s.core.memory_groups import Tally, group_name, higher, memory_groups, tally
from airflow_spark_k8s.core.memory_losses import MAX_LOSSES, Advice, MemoryLoss, advice, memory_losses
from airflow_spark_k8s.core.memory_sentence import memory_sentence
from airflow_spark_k8s.core.outcome import MAX_TABLE_ROWS, ExecutorRecord, Outcome, Verdict
from airflow_spark_k8s.core.pod_state import Deleted, EndKind, Failed, Pending, Succeeded
from airflow_spark_k8s.core.restart import restarts
from airflow_spark_k8s.core.size import ladder
from airflow_spark_k8s.core.snapshot import ExecutorPod
from airflow_spark_k8s.core.state import Scene
from airflow_spark_k8s.core.verdict import Judgement

MAX_MESSAGE_LENGTH = 8192
"""Of an outcome: a Job's annotations may have 256 KiB in all, and a termination message 4 KiB."""

REQUESTED = "requested"
"""State of an executor that has been asked for and whose pod nobody has seen yet."""


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
    reference, driver, job = scene.desired.reference, judgement.driver, scene.observed.job
    ending, message = judgement.ending, judgement.message
    about_memory = _about_memory(scene, fleet) if judgement.verdict is Verdict.DRIVER_FAILED else ""
    outcome = Outcome(
        verdict=judgement.verdict,
        message=(f"{message}; {about_memory}" if about_memory else message)[:MAX_MESSAGE_LENGTH],
        namespace=reference.namespace,
        application=reference.application,
        job_name=job.name if job else reference.job_name,
        job_uid=job.uid if job else reference.job_uid,
        driver_pod=driver.name if driver else None,
        application_id=driver.name if driver else None,
        exit_code=ending.exit_code if ending else None,
        reason=ending.kind.value if ending else None,
        cause=judgement.cause.value if judgement.cause else None,
        driver_restarts=restarts(scene.observed),
        driver_node=driver.node if driver else None,
    )
    return outcome if fleet is None else _with_executors(outcome, scene, fleet)


def _with_executors(outcome: Outcome, scene: Scene, fleet: Fleet) -> Outcome:
    rows = sorted(_rows(scene, fleet), key=lambda row: row.executor_id)
    remembered, settings = fleet.driver.history, scene.desired.settings
    counts = Counter(remembered.forgotten) + Counter(row.state for row in rows)
    tallies = _tallies(remembered.forgotten_groups, rows)
    return replace(
        outcome,
        executors=tuple(rows[-MAX_TABLE_ROWS:]),
        executor_counts=dict(sorted(counts.items())),
        completed_tasks=fleet.spark.completed_tasks,
        total_tasks=fleet.spark.total_tasks,
        spark_version=fleet.spark.version,
        memory_groups=memory_groups(settings.rollout if settings else None, tallies),
        **_memory(scene, fleet),
    )


class _Memory(TypedDict, total=False):
    ooms: tuple[MemoryLoss, ...]
    advice: tuple[Advice, ...]


def _memory(scene: Scene, fleet: Fleet) -> _Memory:
    settings = scene.desired.settings
    if settings is None or settings.recovery is None:
        return _Memory()
    steps = ladder(settings.recovery, settings.executor_cores)
    losses = memory_losses(_whole_history(scene, fleet).entries.values(), steps)
    return _Memory(ooms=losses[-MAX_LOSSES:], advice=advice(losses, steps))


def _about_memory(scene: Scene, fleet: Fleet | None) -> str:
    """Why executors died under a driver that failed; the driver's own words are in its log."""
    settings = scene.desired.settings
    if settings is None or fleet is None:
        return ""
    return memory_sentence(settings, _whole_history(scene, fleet), fleet.spark.stages, scene.epoch_seconds)


def _whole_history(scene: Scene, fleet: Fleet) -> History:
    """With executors that died so shortly before their driver that nobody could record it any more."""
    last = [ended_executor(scene, fleet, pod) for pod in fleet.ended]
    surely = (EndKind.OUT_OF_MEMORY, EndKind.HEAP_EXHAUSTED)
    return fleet.driver.history.with_ended(entry for entry in last if entry.kind in surely)


def _tallies(forgotten: Mapping[str, Tally], rows: Iterable[ExecutorRecord]) -> dict[str, Tally]:
    tallies = dict(forgotten)
    for row in rows:
        if row.memory_group is not None and row.state != REQUESTED:
            one = tally(row.kind, row.disruption, row.peak_memory_mib)
            tallies[row.memory_group] = tallies.get(row.memory_group, Tally()) + one
    return tallies


def _rows(scene: Scene, fleet: Fleet) -> Iterator[ExecutorRecord]:
    remembered = fleet.driver.history.entries
    for entry in remembered.values():
        yield _row(scene, fleet, entry.executor_id, entry.state, entry)
    for number, pod in fleet.pods.items():
        if number not in remembered:
            yield _row(scene, fleet, number, type(pod.state).__name__.lower(), pod)
    for number in fleet.outstanding:
        yield _row(scene, fleet, number, REQUESTED, None)


def _row(
    scene: Scene, fleet: Fleet, number: int, state: str, source: EndedExecutor | ExecutorPod | None
) -> ExecutorRecord:
    spark = fleet.spark.executors.get(number)
    settings = scene.desired.settings
    recorded = source.peak_memory_mib if isinstance(source, EndedExecutor) else None
    return ExecutorRecord(
        executor_id=number,
        pod=executor_name(fleet.driver.name, number),
        state=state,
        node=source.node if source else None,
        disruption=source.disruption if source else None,
        peak_memory_mib=higher(recorded, fleet.spark.peak_memory_mib(number)),
        memory_group=group_name(settings.rollout if settings else None, number),
        cores=spark.cores if spark else (settings.executor_cores if settings else None),
        completed_tasks=spark.completed_tasks if spark else None,
        failed_tasks=spark.failed_tasks if spark else None,
        **_end(source),
    )


class _End(TypedDict):
    reason: str | None
    exit_code: int | None
    kind: str | None


def _end(source: EndedExecutor | ExecutorPod | None) -> _End:
    if isinstance(source, EndedExecutor):
        return _End(reason=source.reason or None, exit_code=source.exit_code, kind=source.kind or None)
    state = source.state if source else None
    if isinstance(state, Succeeded | Failed | Deleted):
        # A termination message may be as long as a log; the table has to fit into an annotation.
        reason, ending = short_reason(state.ending.trouble) or None, state.ending
        return _End(reason=reason, exit_code=ending.exit_code, kind=ending.kind.value)
    return _End(reason=state.reason if isinstance(state, Pending) else None, exit_code=None, kind=None)
