"""One application as values, for decisions without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_spark_k8s.core.actions import Action, Note, ReadEvents, Result, Trouble
from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import History
from airflow_spark_k8s.core.job_state import JobPhase, JobState
from airflow_spark_k8s.core.pod_state import Ending, EndKind, Failed, PodState, Running, Succeeded
from airflow_spark_k8s.core.reconcile import Plan, reconcile
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import (
    DriverPod,
    ExecutorPod,
    Observed,
    Reach,
    RegisteredExecutor,
    SparkView,
)
from airflow_spark_k8s.core.spec import AllocationSettings, ApplicationReference, RecoverySettings
from airflow_spark_k8s.core.state import Desired, State, absorb

START = 1000.0
REFERENCE = ApplicationReference("spark", "app", "app-r0", "uid-of-job", "ti-1")
READY = Running(ready=True)
GONE_HOME = Succeeded(Ending(EndKind.COMPLETED, "exit code 0", 0, 100.0))


def failed(kind: EndKind = EndKind.ERROR, code: int | None = 1, seconds: float | None = 100.0) -> Failed:
    """A pod that failed after running for `seconds`."""
    return Failed(Ending(kind, f"{kind}, exit code {code}", code, seconds))


def desired(
    target: int = 3,
    deadline: float | None = None,
    *,
    rollout: Rollout | None = None,
    recovery: RecoverySettings | None = None,
    cores: int = 1,
    **allocation: Any,
) -> Desired:
    """What is wanted of the application."""
    settings = ControllerSettings(
        AllocationSettings(target, **allocation),
        (4, 3, 0),
        executor_cores=cores,
        rollout=rollout,
        recovery=recovery,
    )
    return Desired(REFERENCE, settings, deadline)


def job(phase: JobPhase = JobPhase.ACTIVE, **fields: Any) -> JobState:
    """The Job; driver pod `d-1` is recorded on it."""
    finished = phase in (JobPhase.COMPLETE, JobPhase.FAILED)
    return JobState(**{"uid": "uid-of-job", "resource_version": "1", "phase": phase, "finished": finished,
                       "driver_uids": ("uid-d-1",), "name": "app-r0", **fields})  # fmt: skip


def driver(state: PodState = READY, name: str = "d-1", **fields: Any) -> DriverPod:
    """A driver pod."""
    given = {
        "name": name,
        "uid": f"uid-{name}",
        "resource_version": "1",
        "created": name,
        "state": state,
        "ip": "10.0.0.1",
        "node": "node-1",
        "deleting": False,
        "disruption": None,
        "marks": IdMarks(),
        "history": History(),
        "job_uid": "uid-of-job",
        **fields,
    }
    return DriverPod(**given)


def executor(number: int, state: PodState = READY, of: str = "d-1", **fields: Any) -> ExecutorPod:
    """An executor pod."""
    name = f"{of}-exec-{number}"
    return ExecutorPod(number, name, f"uid-{name}", f"uid-{of}", state, **{"node": "node-2", **fields})


def spark(
    *active: int,
    dead: tuple[int, ...] = (),
    of: str = "d-1",
    peaks: Mapping[int, int] | None = None,
    **fields: Any,
) -> SparkView:
    """The driver's answer: these executors are active, those are dead; `peaks` in MiB by executor."""
    known = {
        number: RegisteredExecutor(number in active, 1, 5, 0, (peaks or {}).get(number))
        for number in (*active, *dead)
    }
    given = {"reach": Reach.YES, "why": "", "asked_at": START, "version": "4.3.0", "executors": known}
    return SparkView(driver_uid=f"uid-{of}", **{**given, **fields})


UNKNOWN = {"reach": Reach.UNKNOWN, "why": "no right to the pod proxy"}
NOT_YET = {"reach": Reach.NO, "why": "the driver's UI port is not open"}


def observed(*executors: ExecutorPod, **fields: Any) -> Observed:
    """The application: an active Job, one ready driver pod that answers, these executors."""
    given = {"complete": True, "job": job(), "drivers": (driver(),), "spark": spark(), **fields}
    return Observed(executors=executors, **given)


@dataclass
class Story:
    """Looks at one application, one after the other, with the memory of one controller."""

    desired: Desired = field(default_factory=desired)
    now: float = START
    state: State = field(default_factory=lambda: State(holder="me"))
    fails: Callable[[Action], Trouble] = lambda action: Trouble.NONE
    retry_after_seconds: float = 0.0
    words: str = "as the server says"

    def look(self, view: Observed, after: float = 0.0) -> Plan:
        """The plan `after` seconds later, carried out."""
        self.now += after
        plan = reconcile(self.desired, view, self.state, self.now)
        results = tuple(
            Result(
                action,
                trouble,
                self.words if trouble is not Trouble.NONE else "",
                self.retry_after_seconds,
            )
            for action in plan.actions
            if not isinstance(action, Note)
            for trouble in (self.fails(action),)
        )
        self.state = absorb(plan.next_state, results, sent_at=self.now, now=self.now, jitter=0.0)
        return plan

    def later(self, view: Observed, seconds: float) -> Plan:
        """The plan after `seconds` in which the view stayed as it is and the driver went on answering."""
        self.look(view)
        fresh = replace(view.spark, asked_at=self.now + seconds)
        return self.look(replace(view, spark=fresh), after=seconds)


def acts(plan: Plan) -> tuple[Action, ...]:
    """What the plan does, without what it says."""
    return tuple(action for action in plan.actions if not isinstance(action, Note))


def deeds(plan: Plan) -> tuple[Action, ...]:
    """What the plan does that can change anything."""
    return tuple(action for action in acts(plan) if not isinstance(action, ReadEvents))


def says(plan: Plan) -> list[str]:
    """What the plan says."""
    return [action.text for action in plan.actions if isinstance(action, Note)]
