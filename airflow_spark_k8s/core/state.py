"""What one controller remembers between two looks; a new controller starts without it and loses nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from airflow_spark_k8s.core.actions import (
    Action,
    CreateExecutor,
    DeleteJob,
    DeletePod,
    FindExecutor,
    ListPods,
    MarkContinued,
    MarkDriver,
    RecordDrivers,
    RecordOutcome,
    RemoveByForce,
    Result,
    ShowDriverLog,
    ShowExecutorLog,
    StartAgain,
    Trouble,
)
from airflow_spark_k8s.core.backoff import Backoff
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import ExecutorPod, Observed
from airflow_spark_k8s.core.spec import ApplicationReference

Key = tuple[str | int, ...]
"""Names a condition whose age matters."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What is wanted of an application; it does not change while it runs."""

    reference: ApplicationReference
    settings: ControllerSettings | None = None  # None: not read from the cluster yet
    deadline_epoch_seconds: float | None = None  # None: it may take as long as it takes
    patience_seconds: float | None = None  # without sight of the cluster; None: for ever


@dataclass(frozen=True, slots=True)
class Claim:
    """This controller has written its name on a driver's id marks."""

    driver_uid: str
    holder: str
    at: float  # before the write was sent


@dataclass(frozen=True, slots=True)
class Said:
    """The last line on some topic."""

    text: str
    at: float


@dataclass(frozen=True, slots=True)
class RepeatedRefusal:
    """The cluster refuses something, whenever it is asked."""

    text: str  # of the last answer
    since: float  # the first answer of that kind
    at: float  # the last one

    @property
    def lasted_seconds(self) -> float:
        """How long it is certain to have lasted: nobody knows whether it still does."""
        return self.at - self.since


@dataclass(frozen=True, slots=True)
class State:
    """Memory of one controller."""

    holder: str  # its name on the id marks, unique among controllers
    claims: int = 0  # writes of id marks planned so far
    claim: Claim | None = None  # the last one that went through
    driver_uid: str = ""  # whose executors the next five are
    free: frozenset[int] = frozenset()  # ids that it has reserved and that certainly have no pod yet
    requested: Mapping[int, float] = field(default_factory=dict)  # created but not seen yet -> when
    looked: Mapping[int, float] = field(default_factory=dict)  # not seen, so asked for by name -> when
    absent: frozenset[int] = frozenset()  # ids that will never have a pod, or not any more
    seen_holder: str = ""  # name on the id marks at the last look
    last: Mapping[int, ExecutorPod] = field(default_factory=dict)  # every executor seen, as it was seen last
    since: Mapping[Key, float] = field(default_factory=dict)  # conditions that hold -> first noticed
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)  # kind of call -> waiting after failures
    troubles: Mapping[str, Said] = field(default_factory=dict)  # kind of call -> why it failed last
    deleted: Mapping[str, float] = field(
        default_factory=dict
    )  # uid of a pod or Job -> when its deletion was asked for
    shown: Mapping[str, float] = field(
        default_factory=dict
    )  # uid of a pod -> when the end of its log was asked for
    said: Mapping[str, Said] = field(default_factory=dict)  # topic -> last line
    outcome: Outcome | None = None  # decided, perhaps not recorded yet
    listed_at: float = -math.inf  # when the pods were last asked for by a list of their own
    refused: RepeatedRefusal | None = None  # of another Job; None: it was not refused

    def backoff(self, kind: str) -> Backoff:
        """Waiting after failures of this kind of call."""
        return self.backoffs.get(kind, Backoff())


@dataclass(frozen=True, slots=True)
class Scene:
    """One look at an application: everything a decision may depend on."""

    desired: Desired
    observed: Observed
    state: State
    since: Mapping[Key, float]  # conditions that hold now -> first noticed
    now: float  # passes evenly: what ages are measured by

    @property
    def epoch_seconds(self) -> float:
        """What the clock shows, which is what deadlines and records for others go by."""
        return self.now + self.observed.clock_jump_seconds

    def moment_of(self, epoch_seconds: float) -> float:
        """When the clock will show this, if it does not jump again."""
        return epoch_seconds - self.observed.clock_jump_seconds

    def age(self, *key: str | int) -> float:
        """Seconds for which a condition has held; -1 if it does not."""
        return self.now - self.since[key] if key in self.since else -1.0

    def due(self, seconds: float, *key: str | int) -> float | None:
        """The moment when a condition that holds will have held for `seconds`; None if that has passed."""
        moment = self.since[key] + seconds
        return moment if moment > self.now else None

    @property
    def overdue_seconds(self) -> float:
        """Seconds since the deadline; negative before it and without one."""
        return -1.0 if self.deadline is None else self.now - self.deadline

    @property
    def deadline(self) -> float | None:
        """The moment when the application is timed out; None: never."""
        deadline = self.desired.deadline_epoch_seconds
        return None if deadline is None else self.moment_of(deadline)


CREATE, FIND, MARK, DELETE, JOB, SHOW = "create", "find", "mark", "delete", "job", "show"
LIST, RESTART = "list", "restart"

_KINDS: tuple[tuple[type[Action], str], ...] = (
    (CreateExecutor, CREATE),
    (FindExecutor, FIND),
    (MarkDriver, MARK),
    (DeletePod, DELETE),
    (RemoveByForce, DELETE),
    (RecordDrivers, JOB),
    (RecordOutcome, JOB),
    (DeleteJob, JOB),
    (MarkContinued, JOB),
    (StartAgain, RESTART),
    (ListPods, LIST),
    (ShowDriverLog, SHOW),
    (ShowExecutorLog, SHOW),
)


def absorb(state: State, results: tuple[Result, ...], *, sent_at: float, now: float, jitter: float) -> State:
    """
    The state after a plan was carried out.

    `sent_at` is a moment before the first call was made, `now` one after the last; `jitter` is in [0, 1).
    """
    for result in results:
        state = _after(state, result, sent_at)
    return _with_backoffs(state, results, now, jitter)


def _after(state: State, result: Result, sent_at: float) -> State:
    action, done = result.action, result.trouble is Trouble.NONE
    match action:
        case CreateExecutor(driver_uid=uid) if uid == state.driver_uid:
            return _after_creation(state, action.executor_id, result.trouble, sent_at)
        case FindExecutor(driver_uid=uid) if uid == state.driver_uid:
            return _after_search(state, action.executor_id, result.trouble, sent_at)
        case MarkDriver(marks=IdMarks() as marks, driver_uid=uid) if done and uid == state.driver_uid:
            return _after_marks(state, action, marks, sent_at)
        case ListPods() if done:
            return replace(state, listed_at=sent_at)
        case StartAgain():
            return _after_restart(state, result, sent_at)
        case DeletePod() | RemoveByForce() | DeleteJob() if done:
            return replace(state, deleted={**state.deleted, action.uid: sent_at})
    return state


def _after_restart(state: State, result: Result, sent_at: float) -> State:
    """Since when another Job is refused: a server that does not answer refuses nothing."""
    if result.trouble is Trouble.NONE:
        return replace(state, refused=None)
    if result.trouble is not Trouble.REFUSED:
        return state
    since = state.refused.since if state.refused else sent_at
    return replace(state, refused=RepeatedRefusal(result.message, since, sent_at))


def _after_creation(state: State, number: int, trouble: Trouble, sent_at: float) -> State:
    """A pod that was certainly not created may be tried again; one that may have been is looked for."""
    if trouble in (Trouble.CONFLICT, Trouble.REFUSED):
        return state
    state = replace(state, free=state.free - {number})
    if trouble is Trouble.NONE:
        return replace(state, requested={**state.requested, number: sent_at})
    return state


def _after_search(state: State, number: int, trouble: Trouble, sent_at: float) -> State:
    state = replace(state, looked={**state.looked, number: sent_at})
    if trouble is Trouble.ABSENT:
        return replace(state, absent=state.absent | {number})
    if trouble is Trouble.NONE:
        return replace(state, requested={number: sent_at, **state.requested})
    return state


def _after_marks(state: State, action: MarkDriver, marks: IdMarks, sent_at: float) -> State:
    new = range(action.first_new or marks.reserved + 1, marks.reserved + 1)
    kept = state.free & frozenset(marks.unsettled())
    claim = Claim(action.driver_uid, marks.holder, sent_at)
    return replace(state, claim=claim, free=kept | frozenset(new))


def _with_backoffs(state: State, results: tuple[Result, ...], now: float, jitter: float) -> State:
    """One step of waiting for each kind of call that failed, however many of them there were."""
    backoffs, troubles = dict(state.backoffs), dict(state.troubles)
    for action_type, kind in _KINDS:
        of_kind = [result for result in results if type(result.action) is action_type]
        failed = [result for result in of_kind if result.trouble not in (Trouble.NONE, Trouble.ABSENT)]
        if failed:
            asked = max(result.retry_after_seconds for result in failed)
            before = backoffs.get(kind, Backoff())
            backoffs[kind] = before.failed(now, jitter=jitter, at_least_seconds=asked)
            refused = [result.message for result in failed if result.trouble is not Trouble.CONFLICT]
            if refused:
                troubles[kind] = Said(refused[0], now)
        elif of_kind:
            backoffs.pop(kind, None)
            troubles.pop(kind, None)
    return replace(state, backoffs=backoffs, troubles=troubles)
