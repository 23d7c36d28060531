from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.pod_state import EndKind, Running, Unknown
from airflow_spark_k8s.core.restart import driver_uids
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import Observed
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.state import Desired, Key, Scene, State
from airflow_spark_k8s.core.verdict import judge, verdict_conditions, verdict_due
from tests.fakes.scenes import GONE_HOME, REFERENCE, START, driver, failed, job, observed, spark

COMPLETE, FAILED = (
    job(JobPhase.COMPLETE),
    job(JobPhase.FAILED, reason="BackoffLimitExceeded", message="limit"),
)
TOO_LONG = job(JobPhase.FAILED, reason="DeadlineExceeded", message="too long")


def _scene(view: Observed, seconds: float = 0.0, deadline: float | None = None, **settings: Any) -> Scene:
    """A view that has stayed as it is for `seconds`."""
    since: dict[Key, float] = {key: START for key in verdict_conditions(view)}
    controller = ControllerSettings(AllocationSettings(3), (4, 3, 0), **settings)
    wanted = Desired(REFERENCE, controller, deadline)
    state = State("me", listed_at=START + seconds)
    return Scene(wanted, view, state, since, START + seconds)


def _with(state: Any, **fields: Any) -> Observed:
    return observed(**{"drivers": (driver(state),), **fields})


VERDICTS: dict[str, tuple[Observed, float, Verdict | None]] = {
    "a driver that runs": (observed(), 0, None),
    "exit code 0": (_with(GONE_HOME), 0, Verdict.SUCCEEDED),
    "exit code 0 though the Job failed": (_with(GONE_HOME, job=FAILED), 0, Verdict.SUCCEEDED),
    "exit code 0 though the Job is gone": (_with(GONE_HOME, job=None), 0, Verdict.SUCCEEDED),
    "a complete Job whose pod is gone": (observed(job=COMPLETE, drivers=()), 0, Verdict.SUCCEEDED),
    "no Job": (observed(job=None), 0, Verdict.DRIVER_LOST),
    "exit code 3, then the Job was deleted": (_with(failed(), job=None), 0, Verdict.DRIVER_FAILED),
    "deleted with its Job": (_with(failed(EndKind.DELETED), job=None), 0, Verdict.DRIVER_LOST),
    "a Job that is being deleted": (observed(job=replace(job(), deleting=True)), 0, Verdict.DRIVER_LOST),
    "exit code 3": (_with(failed(), job=FAILED), 0, Verdict.DRIVER_FAILED),
    "killed for memory": (_with(failed(EndKind.OUT_OF_MEMORY), job=FAILED), 0, Verdict.DRIVER_OUT_OF_MEMORY),
    "out of heap": (_with(failed(EndKind.HEAP_EXHAUSTED), job=FAILED), 0, Verdict.DRIVER_OUT_OF_MEMORY),
    "never started": (_with(failed(EndKind.NEVER_STARTED), job=FAILED), 0, Verdict.DRIVER_START_FAILED),
    "taken away, and the Job gives up: another one follows": (
        _with(failed(EndKind.DISRUPTED), job=FAILED), 3600, None
    ),
    "evicted, and the Job's policy gives up": (
        _with(failed(EndKind.DISRUPTED), job=replace(FAILED, reason="PodFailurePolicy")), 10,
        Verdict.DRIVER_LOST,
    ),
    "deleted, and the Job gives up: another one follows": (
        _with(failed(EndKind.DELETED), job=FAILED), 3600, None
    ),
    "evicted: another pod may have come": (_with(failed(EndKind.DISRUPTED), job=FAILED), 9, None),
    "failed, the pod's end is on its way": (observed(job=FAILED), 9, None),
    "failed, and the pod's end never came": (observed(job=FAILED), 10, Verdict.DRIVER_LOST),
    "deleted, of a Job that fails for another reason": (
        _with(failed(EndKind.DELETED), job=replace(FAILED, reason="Other")), 10, Verdict.DRIVER_LOST
    ),
    "failed, no pod at all: another Job follows": (observed(job=FAILED, drivers=()), 3600, None),
    "failed for another reason, no pod at all": (
        observed(job=replace(FAILED, reason="PodFailurePolicy"), drivers=()), 10, Verdict.DRIVER_LOST
    ),
    "failed for no reason": (observed(job=job(JobPhase.FAILED)), 10, Verdict.DRIVER_LOST),
    "the Job's own deadline": (observed(job=TOO_LONG), 0, Verdict.TIMED_OUT),
    "ended by a controller": (
        _with(failed(EndKind.DELETED), job=replace(TOO_LONG, stopped=True)), 10, Verdict.DRIVER_LOST
    ),
    "failed, and the Job takes no notice": (_with(failed()), 30, Verdict.DRIVER_FAILED),
    "failed, and the Job may notice yet": (_with(failed()), 29, None),
    "evicted, and the Job makes a new one": (_with(failed(EndKind.DISRUPTED)), 300, None),
    "deleted, and the Job makes a new one": (_with(failed(EndKind.DELETED)), 300, None),
    "no driver pod yet": (observed(drivers=()), 3600, None),
    "a node that is silent": (_with(Unknown()), 3600, None),
    "another version": (observed(spark=spark(version="4.2.1")), 0, Verdict.SPARK_VERSION_MISMATCH),
    "a vendor's build of the version": (observed(spark=spark(version="4.3.0-amzn-1")), 0, None),
    "a version that says less": (observed(spark=spark(version="4.3")), 0, None),
    "a version without numbers": (observed(spark=spark(version="unknown")), 0, None),
    "no version told": (observed(spark=spark(version=None)), 0, None),
    "our own master": (observed(spark=spark(master="k8s://https://x", instances="0")), 0, None),
    "no instances told": (observed(spark=spark(master="k8s://https://x")), 0, None),
    "another master": (observed(spark=spark(master="local[2]")), 0, Verdict.DRIVER_TOOK_OVER),
    "another application id": (
        observed(spark=spark(master="k8s://https://1.2.3.4", application_id="mine")),
        0,
        Verdict.DRIVER_TOOK_OVER,
    ),
    "executors of its own": (observed(spark=spark(instances="4")), 0, Verdict.DRIVER_TOOK_OVER),
    "settings that may come": (observed(settings_problem="not found"), 119, None),
    "settings that do not come": (observed(settings_problem="not found"), 120, Verdict.DRIVER_START_FAILED),
}  # fmt: skip


def test_no_driver_is_lost_before_somebody_has_asked_for_it() -> None:
    scene = replace(_scene(observed(job=FAILED), 100), state=State("me"))
    assert judge(scene) is None
    seen = replace(_scene(_with(failed(), job=FAILED), 100), state=State("me"))
    assert judge(seen) is not None


@pytest.mark.parametrize(("view", "seconds", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_the_verdict(view: Observed, seconds: float, verdict: Verdict | None) -> None:
    judgement = judge(_scene(view, seconds))
    assert (judgement.verdict if judgement else None) is verdict


OVERDUE: dict[str, tuple[Observed, Verdict, bool]] = {
    "a driver that runs": (observed(), Verdict.TIMED_OUT, True),
    "a Job that is gone": (observed(job=None), Verdict.TIMED_OUT, True),
    "a driver that was quicker": (_with(GONE_HOME), Verdict.SUCCEEDED, False),
    "a driver that failed before": (_with(failed(), job=FAILED), Verdict.DRIVER_FAILED, False),
}


@pytest.mark.parametrize(("view", "verdict", "remove"), OVERDUE.values(), ids=OVERDUE.keys())
def test_the_verdict_after_the_deadline(view: Observed, verdict: Verdict, remove: bool) -> None:
    judgement = judge(_scene(view, 0, deadline=START))
    assert judgement is not None
    assert (judgement.verdict, judgement.remove) == (verdict, remove)


EVICTED = failed(EndKind.DISRUPTED)
RESTARTS: dict[str, tuple[tuple[Any, ...], int, bool]] = {
    "none allowed, none needed": ((Running(),), 0, False),
    "none allowed, one needed": ((EVICTED,), 0, True),
    "one allowed, one needed": ((EVICTED,), 1, False),
    "one allowed, one used": ((EVICTED, Running()), 1, False),
    "one allowed, two needed": ((EVICTED, EVICTED), 1, True),
    "one allowed, two used": ((EVICTED, EVICTED, Running()), 1, True),
}


@pytest.mark.parametrize(("states", "limit", "lost"), RESTARTS.values(), ids=RESTARTS.keys())
def test_restarts_are_counted_by_driver_pods(states: tuple[Any, ...], limit: int, lost: bool) -> None:
    drivers = tuple(driver(state, f"d-{number}") for number, state in enumerate(states, 1))
    judgement = judge(_scene(observed(drivers=drivers), max_driver_restarts=limit))
    assert (judgement is not None) == lost
    assert judgement is None or (judgement.verdict, judgement.stop) == (Verdict.DRIVER_LOST, True)


def test_driver_pods_that_are_gone_count_if_they_were_recorded() -> None:
    view = observed(job=job(driver_uids=("old", "older")))
    assert driver_uids(view) == ("old", "older", "uid-d-1")
    assert driver_uids(replace(view, job=None)) == ("uid-d-1",)
    assert judge(_scene(view, max_driver_restarts=1)) is not None


def test_a_driver_that_is_lost_before_the_settings_are_read_is_lost() -> None:
    scene = _scene(observed(job=replace(FAILED, reason="PodFailurePolicy"), drivers=()), 10)
    judgement = judge(replace(scene, desired=Desired(REFERENCE)))
    assert judgement is not None
    assert judgement.verdict is Verdict.DRIVER_LOST


def test_without_settings_nothing_is_compared() -> None:
    scene = _scene(observed(spark=spark(version="3.5.9")))
    assert judge(replace(scene, desired=Desired(REFERENCE))) is None


def test_time_alone_changes_the_verdict_when_a_patience_or_the_deadline_ends() -> None:
    assert verdict_due(_scene(observed())) is None
    assert verdict_due(_scene(observed(), deadline=START + 500)) == START + 500
    assert verdict_due(_scene(observed(drivers=(), job=None, settings_problem="x"))) == START + 120
    assert verdict_due(_scene(_with(failed()), 5, deadline=START + 500)) == START + 30
    assert verdict_due(_scene(observed(), 600, deadline=START + 500)) is None
