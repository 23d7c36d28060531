"""The end of an application: decide, record, stop what still runs and only then report, in this order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_spark_k8s.core.actions import Action, DeleteJob, DeletePod, RecordOutcome, ShowDriverLog
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.job_state import JobState
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.progress import outcome_of
from airflow_spark_k8s.core.restart import has_surplus, may_restart, surplus_jobs
from airflow_spark_k8s.core.snapshot import ExecutorPod
from airflow_spark_k8s.core.state import JOB, Key, Scene
from airflow_spark_k8s.core.verdict import JOB_PATIENCE_SECONDS, Judgement

EXECUTORS_PATIENCE_SECONDS = 15.0
"""How long the verdict waits for executors to end after their driver, so that their table is right."""

RECORD_PATIENCE_SECONDS = 60.0
"""An outcome that cannot be recorded for this long is reported without that."""

GIVE_UP_SECONDS = 600.0
"""A Job that can be neither ended nor deleted for this long is left to its own deadline."""

OVERDUE_PATIENCE_SECONDS = 90.0
"""The same once the deadline has passed: an unreachable cluster must not make the task overrun it by much."""

OVERDUE_RECORD_SECONDS = 10.0
"""Once the deadline has passed, a Job on which the outcome cannot be recorded for this long is deleted."""

SURPLUS_PAUSE_SECONDS = 1.0
"""How often to look again while the report of an end waits for the removal of other Jobs."""

JUDGED: Key = ("judged",)
"""The condition that there is a verdict, though not final."""

CLOSING: Key = ("closing",)
"""The condition that there is an outcome."""


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a plan."""

    actions: tuple[Action, ...] = ()
    due: float | None = None  # look again then; None: no need
    finish: Outcome | None = None
    outcome: Outcome | None = None  # decided now
    claims: int = 0  # id marks written


def known_outcome(scene: Scene) -> Outcome | None:
    """
    The outcome that stands already: recorded by any controller, or decided by this one.

    What this one has decided about a Job but not recorded yet is void once another Job continues that one.
    """
    job, own = scene.observed.job, scene.state.outcome
    if job is None or job.outcome is not None or own is None:
        return own if job is None else job.outcome
    is_void = own.job_uid != job.uid or (job.continued_by is not None and may_restart(scene))
    return None if is_void and own.verdict is not Verdict.TIMED_OUT else own


def decide(scene: Scene, fleet: Fleet | None, judgement: Judgement) -> Step:
    """
    The outcome, once there is nothing more to learn: the Job and the executors have ended.

    A driver that still runs is ended at once. Its Job stays and keeps the outcome, so that any later
    controller reports the same one.
    """
    due = None if judgement.stop or judgement.remove else _more_to_come(scene, fleet)
    if due is not None:
        return Step(due=due)
    outcome = outcome_of(scene, fleet, judgement)
    actions: list[Action] = []
    if judgement.driver is not None and not judgement.driver.ended:
        actions.append(ShowDriverLog(judgement.driver.name))
    if fleet is not None and fleet.driver.ended:
        actions += [DeletePod(pod.name, pod.uid) for pod in _still_alive(fleet)]
    job = scene.observed.job
    if job is None or job.deleting:
        return Step((*actions, *_orphaned(judgement)), finish=outcome, outcome=outcome)
    actions.append(_record(job, outcome))
    return Step(tuple(actions), due=scene.now + OVERDUE_RECORD_SECONDS, outcome=outcome)


def close(scene: Scene) -> Step:
    """What is left to do when the outcome is known."""
    outcome, job = known_outcome(scene), scene.observed.job
    if outcome is None or job is None or job.deleting:
        return Step(finish=outcome)
    if job.outcome is not None and (job.finished or job.stopped):
        return Step(finish=job.outcome)
    if _is_hopeless(scene, outcome, job):
        return Step(finish=outcome)
    backoff = scene.state.backoff(JOB)
    if not backoff.open(scene.now):
        return Step(due=backoff.until)
    actions: list[Action] = []
    if job.outcome is None or outcome.verdict is not Verdict.TIMED_OUT:
        actions.append(_record(job, outcome))
    if _must_be_deleted(scene, outcome, job):
        actions.append(DeleteJob(job.name, job.uid))
    return Step(tuple(actions), due=scene.now + OVERDUE_RECORD_SECONDS)


def without_surplus(scene: Scene, step: Step) -> Step:
    """`step`, and the removal of Jobs that are not needed any more; the report of an end waits for it."""
    over = known_outcome(scene) is not None or step.outcome is not None
    actions = step.actions + (
        surplus_jobs(scene, over=over) if scene.state.backoff(JOB).open(scene.now) else ()
    )
    waits = step.finish is not None and has_surplus(scene.observed)
    if waits and scene.age(*CLOSING) < RECORD_PATIENCE_SECONDS:
        return replace(step, actions=actions, finish=None, due=scene.now + SURPLUS_PAUSE_SECONDS)
    return replace(step, actions=actions)


def _record(job: JobState, outcome: Outcome) -> RecordOutcome:
    stop = not job.finished and outcome.verdict is not Verdict.TIMED_OUT
    return RecordOutcome(job.name, job.resource_version, outcome, stop)


def _must_be_deleted(scene: Scene, outcome: Outcome, job: JobState) -> bool:
    if job.finished:
        return False
    if outcome.verdict is Verdict.TIMED_OUT:
        return job.outcome is not None or scene.age(*CLOSING) >= OVERDUE_RECORD_SECONDS
    return scene.age(*CLOSING) >= RECORD_PATIENCE_SECONDS


def _is_hopeless(scene: Scene, outcome: Outcome, job: JobState) -> bool:
    """Whether trying any longer would keep the task from its verdict for nothing."""
    seconds = scene.age(*CLOSING)
    if job.finished and seconds >= RECORD_PATIENCE_SECONDS:
        return True
    if outcome.verdict is Verdict.TIMED_OUT and scene.overdue_seconds >= OVERDUE_PATIENCE_SECONDS:
        return seconds >= OVERDUE_RECORD_SECONDS
    return seconds >= GIVE_UP_SECONDS


def _more_to_come(scene: Scene, fleet: Fleet | None) -> float | None:
    """When to stop waiting for the Job controller and the executors; None: there is nothing to wait for."""
    job, judged_at = scene.observed.job, scene.since[JUDGED]
    dues: list[float] = []
    if job is not None and not job.finished and not job.deleting:
        dues.append(judged_at + JOB_PATIENCE_SECONDS)
    if fleet is not None and fleet.driver.ended and _still_alive(fleet):
        dues.append(judged_at + EXECUTORS_PATIENCE_SECONDS)
    return max((due for due in dues if due > scene.now), default=None)


def _orphaned(judgement: Judgement) -> tuple[DeletePod, ...]:
    """The driver pod of a Job that is gone: a client that names no propagation policy leaves it behind."""
    driver = judgement.driver
    if driver is None or driver.ended or driver.deleting:
        return ()
    return (DeletePod(driver.name, driver.uid),)


def _still_alive(fleet: Fleet) -> list[ExecutorPod]:
    alive = fleet.pending | fleet.running
    return [pod for number, pod in fleet.pods.items() if number in alive and pod.leaving_seconds is None]
