"""One look at an application, turned into what to do next. Same input, same plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from airflow_spark_k8s.core.actions import Action, ListPods, MarkDriver, RecordDrivers
from airflow_spark_k8s.core.allocation import Allocation, allocate
from airflow_spark_k8s.core.cleanup import DELETE_AGAIN_SECONDS, Cleanup, cleanup
from airflow_spark_k8s.core.closing import (
    CLOSING,
    JUDGED,
    OVERDUE_PATIENCE_SECONDS,
    Step,
    close,
    decide,
    known_outcome,
    without_surplus,
)
from airflow_spark_k8s.core.event_reads import Reads, asking_conditions, event_reads
from airflow_spark_k8s.core.executor_logs import logs, shown_after
from airflow_spark_k8s.core.fleet import Fleet, fleet_conditions, fleet_of, last_seen, still_absent
from airflow_spark_k8s.core.gate import driver_conditions, gate_due, is_open, open_key
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.lost_node import lost_node_conditions, lost_node_due, removals_by_force
from airflow_spark_k8s.core.memory_spent import memory_spent
from airflow_spark_k8s.core.notes import lines, speak
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.pod_state import Running
from airflow_spark_k8s.core.progress import Progress, outcome_of, progress
from airflow_spark_k8s.core.restart import driver_uids, may_restart, restart_actions, restart_due
from airflow_spark_k8s.core.sight import BLIND, sight_due, sight_lost
from airflow_spark_k8s.core.snapshot import Observed
from airflow_spark_k8s.core.start import (
    is_start_doubtful,
    start_conditions,
    start_due,
    start_failure,
    with_cause,
)
from airflow_spark_k8s.core.state import DELETE, JOB, LIST, MARK, Desired, Key, Scene, State
from airflow_spark_k8s.core.verdict import (
    Judgement,
    judge,
    lacks_evidence,
    verdict_conditions,
    verdict_due,
)

POLL_OFTEN_SECONDS = 1.5
POLL_CALMLY_SECONDS = 3.0
POLL_SELDOM_SECONDS = 15.0
UNSEEN: Key = ("never seen",)
"""The condition that Job and pods have not been listed yet."""

LOOK_SECONDS = 30.0
"""How long to look for an application whose deadline has passed: it may be there, to be removed."""

YOUNG_SECONDS = 120.0
"""How long after its first executors an application is young: somebody may be watching it start."""


@dataclass(frozen=True, slots=True)
class AskSpark:
    """Ask this driver's REST API, again and again."""

    driver_name: str
    driver_uid: str
    port: int
    every_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and what to remember."""

    actions: tuple[Action, ...]
    next_state: State
    requeue_after_seconds: float | None  # look again then, even if nothing happens; None: no need
    finish: Outcome | None = None  # the application is over and everything is done
    progress: Progress | None = None  # None: nothing is known yet
    ask: AskSpark | None = None  # None: there is no driver to ask


def reconcile(desired: Desired, observed: Observed, state: State, now: float) -> Plan:
    """
    What to do next for the application in `desired`, as it looks in `observed`.

    `state` is the plan's `next_state` of last time, after `absorb`; `now` is a moment in seconds that
    pass evenly; `observed` says how far the clock, which may jump, is ahead of that.
    """
    scene, fleet = _scene(desired, observed, state, now)
    judgement = sight_lost(scene)
    if judgement is not None:
        return Plan((), scene.state, None, outcome_of(scene, fleet, judgement))
    if not observed.complete:
        return _blind(scene)
    cleaning: Cleanup | None = None
    if known_outcome(scene) is not None:
        step = close(scene)
    else:
        judgement = judge(scene) or start_failure(scene, fleet)
        if judgement is None:
            cleaning = _cleaning(scene, fleet)
            judgement = memory_spent(scene, fleet, cleaning)
        if judgement is not None:
            scene = _aged(scene, {*scene.since, JUDGED})
            step = decide(scene, fleet, with_cause(scene, fleet, judgement))
        else:
            step = _control(scene, fleet, cleaning)
    step = without_surplus(scene, step)
    spoken = speak(state.said, lines(scene, fleet, cleaning), now)
    reads = Reads() if known_outcome(scene) or step.outcome else event_reads(scene, fleet)
    dues = [step.due, spoken.due, reads.due]
    dues += [] if step.finish else [verdict_due(scene), start_due(scene, fleet), sight_due(scene)]
    return Plan(
        actions=spoken.notes + step.actions + reads.questions,
        next_state=replace(_remembered(scene, fleet, step), said=spoken.said),
        requeue_after_seconds=_until_first(dues, now),
        finish=step.finish,
        progress=progress(scene, fleet),
        ask=_ask(scene, fleet),
    )


def _scene(desired: Desired, observed: Observed, state: State, now: float) -> tuple[Scene, Fleet | None]:
    scene = Scene(desired, observed, state, state.since, now)
    driver = observed.driver
    fleet = None if driver is None else fleet_of(scene, driver)
    keys = verdict_conditions(observed) | lost_node_conditions(observed)
    if fleet is not None:
        keys |= fleet_conditions(scene, fleet) | driver_conditions(fleet)
    keys |= asking_conditions(scene, fleet) | start_conditions(scene, fleet)
    if known_outcome(scene) is not None:
        keys.add(CLOSING)
    if observed.blind is not None:
        keys.add(BLIND)
    if not observed.complete:
        keys.add(UNSEEN)
    scene = _aged(scene, keys)
    if fleet is not None and is_open(scene, fleet.driver):
        scene = _aged(scene, keys | {open_key(fleet.driver)})
    return scene, fleet


def _aged(scene: Scene, keys: set[Key]) -> Scene:
    known = scene.state.since
    return replace(scene, since={key: known.get(key, scene.now) for key in keys})


def _blind(scene: Scene) -> Plan:
    """Nothing has been seen yet: the only possible end is a deadline that passed long ago."""
    finish: Outcome | None = None
    if scene.overdue_seconds >= OVERDUE_PATIENCE_SECONDS and scene.age(*UNSEEN) >= LOOK_SECONDS:
        text = "the task's execution_timeout passed while the cluster could not be reached"
        finish = outcome_of(scene, None, Judgement(Verdict.TIMED_OUT, text))
    due = (
        None
        if scene.deadline is None
        else max(scene.deadline + OVERDUE_PATIENCE_SECONDS, scene.since[UNSEEN] + LOOK_SECONDS)
    )
    since = {key: at for key, at in scene.since.items() if key in (BLIND, UNSEEN)}
    return Plan(
        (), replace(scene.state, since=since), _until_first([due, sight_due(scene)], scene.now), finish
    )


def _until_first(dues: Iterable[float | None], now: float) -> float | None:
    moments = [moment for moment in dues if moment is not None]
    return max(min(moments) - now, 0.0) if moments else None


def _remembered(scene: Scene, fleet: Fleet | None, step: Step) -> State:
    state, observed = scene.state, scene.observed
    uids = {pod.uid for pod in observed.executors} | {job.uid for job in observed.earlier_jobs}
    uids |= {driver.uid for driver in observed.drivers if not driver.gone}
    uids |= {observed.next_job.uid} if observed.next_job else set()
    state = replace(
        state,
        claims=state.claims + step.claims,
        shown=shown_after(scene, step.actions),
        since=scene.since,
        deleted={uid: at for uid, at in state.deleted.items() if uid in uids},
        outcome=step.outcome or state.outcome,
    )
    return state if fleet is None else _remembered_executors(scene, fleet, state)


def _remembered_executors(scene: Scene, fleet: Fleet, state: State) -> State:
    driver = fleet.driver
    if state.driver_uid != driver.uid:
        state = replace(
            state, driver_uid=driver.uid, free=frozenset(), requested={}, looked={}, absent=frozenset()
        )
    forgettable = driver.history.entries.keys() - fleet.pods.keys()
    seen = last_seen(scene, driver)
    outstanding = fleet.outstanding
    return replace(
        state,
        last={number: pod for number, pod in seen.items() if number not in forgettable},
        requested={number: at for number, at in state.requested.items() if number in outstanding},
        looked={number: at for number, at in state.looked.items() if number in outstanding},
        free=state.free & fleet.owed,
        absent=still_absent(scene, driver),
        seen_holder=driver.marks.holder,
    )


def _ask(scene: Scene, fleet: Fleet | None) -> AskSpark | None:
    """Whom to ask: often while something is about to change, seldom in steady state."""
    settings = scene.desired.settings
    if fleet is None or settings is None or not isinstance(fleet.driver.state, Running):
        return None
    registered = fleet.registered
    every = POLL_OFTEN_SECONDS
    failing = bool(fleet.spark.failed_tasks)  # and will perhaps fail once too often
    if (
        registered is not None
        and not failing
        and len(registered & fleet.running) >= settings.allocation.target
    ):
        young = scene.age(*open_key(fleet.driver)) < YOUNG_SECONDS
        every = POLL_CALMLY_SECONDS if young else POLL_SELDOM_SECONDS
    return AskSpark(fleet.driver.name, fleet.driver.uid, settings.ui_port, every)


# Controlling: the application is not over.


def _cleaning(scene: Scene, fleet: Fleet | None) -> Cleanup | None:
    settings = scene.desired.settings
    if fleet is None or settings is None or fleet.driver.ended:
        return None
    return cleanup(scene, fleet, settings)


def _control(scene: Scene, fleet: Fleet | None, cleaning: Cleanup | None) -> Step:
    actions: list[Action] = [*_driver_records(scene), *_searches(scene, fleet), *restart_actions(scene)]
    actions += removals_by_force(scene)
    if fleet is None or cleaning is None:
        dues = [restart_due(scene), lost_node_due(scene), _backoff_due(scene)]
        return Step(tuple(actions), min((due for due in dues if due is not None), default=None))
    allocation = _allocation(scene, fleet, cleaning)
    if scene.state.backoff(DELETE).open(scene.now):
        actions += cleaning.deletions
    marks = allocation.marks
    writable = scene.state.backoff(MARK).open(scene.now) and not fleet.driver.ended
    if writable and (marks is not None or cleaning.history is not None):
        driver = fleet.driver
        actions.append(
            MarkDriver(
                driver.name,
                driver.uid,
                driver.resource_version,
                marks,
                allocation.first_new if marks else None,
                cleaning.history,
            )
        )
    actions += allocation.creations + allocation.searches + cleaning.questions
    actions += logs(scene, fleet, cleaning.ended)
    dues = [allocation.due, gate_due(scene, fleet.driver), _backoff_due(scene), _delete_due(scene)]
    dues.append(lost_node_due(scene))
    return Step(
        tuple(actions),
        min((due for due in dues if due is not None), default=None),
        claims=1 if writable and marks is not None else 0,
    )


def _allocation(scene: Scene, fleet: Fleet, cleaning: Cleanup) -> Allocation:
    settings, job = scene.desired.settings, scene.observed.job
    active = job is not None and job.phase is JobPhase.ACTIVE
    if settings is None or not active or not is_open(scene, fleet.driver):
        return Allocation()
    return allocate(scene, fleet, settings.allocation, cleaning.known, cleaning.recovery)


def _driver_records(scene: Scene) -> Iterable[RecordDrivers]:
    job = scene.observed.job
    uids = driver_uids(scene.observed)
    if job is None or job.deleting or uids == job.driver_uids:
        return
    if scene.state.backoff(JOB).open(scene.now):
        yield RecordDrivers(job.name, job.resource_version, uids)


def _searches(scene: Scene, fleet: Fleet | None) -> Iterable[ListPods]:
    """The Job and its pods are watched separately: the driver's end may be late, or its watch silent."""
    doubtful = is_start_doubtful(scene, fleet) or (lacks_evidence(scene) and not may_restart(scene))
    if doubtful and scene.state.backoff(LIST).open(scene.now):
        yield ListPods()


def _backoff_due(scene: Scene) -> float | None:
    waits = [backoff.until for backoff in scene.state.backoffs.values() if backoff.until > scene.now]
    return min(waits, default=None)


def _delete_due(scene: Scene) -> float | None:
    oldest = min(scene.state.deleted.values(), default=None)
    return None if oldest is None else oldest + DELETE_AGAIN_SECONDS
