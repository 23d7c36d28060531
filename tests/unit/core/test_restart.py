from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.core.actions import (
    Action,
    DeleteJob,
    ListPods,
    MarkContinued,
    RecordDrivers,
    RecordOutcome,
    StartAgain,
    Trouble,
)
from airflow_spark_k8s.core.job_state import JobPhase, JobState
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.pod_state import Deleted, Ending, EndKind, Running
from airflow_spark_k8s.core.restart import driver_uids, restarts
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import DriverPod, Observed
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.state import Desired
from tests.fakes.scenes import REFERENCE, START, Story, acts, deeds, driver, failed, job, observed, says

BACKOFF = {"reason": "BackoffLimitExceeded", "message": "limit"}
FAILED = job(JobPhase.FAILED, **BACKOFF)
DELETED = failed(EndKind.DELETED, 143)
PROVED = driver(DELETED, gone=True, stopped=True)
UNPROVED = driver(DELETED, gone=True)


def story(limit: int = 3, deadline: float | None = None) -> Story:
    settings = ControllerSettings(AllocationSettings(3), (4, 3, 0), max_driver_restarts=limit)
    return Story(Desired(REFERENCE, settings, deadline))


def view(pod: DriverPod | None = PROVED, of: JobState = FAILED, **fields: Any) -> Observed:
    return observed(job=of, drivers=() if pod is None else (pod,), **fields)


MARK = MarkContinued("app-r0", "1", "app-r1")


def first_step(view: Observed, seconds: float, limit: int = 3) -> tuple[Action, ...]:
    """What is done `seconds` after the view was seen first; the pods have been listed at once."""
    teller = story(limit)
    teller.look(view)
    return acts(teller.look(view, after=seconds))


STEPS: dict[str, tuple[Observed, float, int, tuple[Action, ...]]] = {
    "its container is known to have ended": (view(), 0, 3, (MARK,)),
    "it was removed by force, and may run yet": (view(UNPROVED), 59, 3, ()),
    "it was removed by force long ago": (view(UNPROVED), 60, 3, (MARK,)),
    "nobody has ever seen it": (view(None), 59, 3, ()),
    "nobody has ever seen it, long ago": (view(None), 60, 3, (MARK,)),
    "its Job gives it more time": (view(None, replace(FAILED, grace_seconds=300)), 329, 3, ()),
    "its Job gives it more time, which has passed": (
        view(None, replace(FAILED, grace_seconds=300)), 330, 3, (MARK,)
    ),
    "it is still there and its container has not ended": (view(driver(DELETED)), 3600, 3, ()),
    "it went before it ran": (
        view(driver(Deleted(Ending(EndKind.DELETED, "deleted")), node=None, stopped=True)), 0, 3, (MARK,)
    ),
    "it goes from a node on which it may run": (
        view(driver(Deleted(Ending(EndKind.DELETED, "deleted")))), 3600, 3, ()
    ),
    "its kubelet has refused it or lost track of it": (
        view(driver(failed(EndKind.DISRUPTED), stopped=True)), 0, 3, (MARK,)
    ),
    "the Job has not quite failed": (view(PROVED, replace(FAILED, finished=False)), 3600, 3, ()),
    "another pod of the Job runs": (
        observed(job=FAILED, drivers=(driver(Running()), driver(DELETED, "d-2", stopped=True))), 0, 3,
        (RecordDrivers("app-r0", "1", ("uid-d-1", "uid-d-2")),),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("view", "seconds", "limit", "actions"), STEPS.values(), ids=STEPS.keys())
def test_another_job_follows_once_the_driver_is_certainly_gone(
    view: Observed, seconds: float, limit: int, actions: tuple[Action, ...]
) -> None:
    assert first_step(view, seconds, limit) == actions


NO_REASON: dict[str, tuple[Observed, int]] = {
    "it failed by itself": (view(driver(failed()), FAILED), 3),
    "it was killed for memory": (view(driver(failed(EndKind.OUT_OF_MEMORY)), FAILED), 3),
    "the Job's deadline passed": (view(PROVED, replace(FAILED, reason="DeadlineExceeded")), 3),
    "the Job's policy gave up": (view(PROVED, replace(FAILED, reason="PodFailurePolicy")), 3),
    "a controller has ended it": (view(PROVED, replace(FAILED, stopped=True)), 3),
    "the Job is deleted": (view(PROVED, replace(FAILED, deleting=True)), 3),
    "the Job is gone": (view(PROVED, None), 3),  # type: ignore[arg-type]
    "none is allowed": (view(), 0),
    "all are used": (view(PROVED, replace(FAILED, driver_uids=("x", "uid-d-1"))), 1),
    "there is no name left": (view(PROVED, replace(FAILED, name="app-r99")), 200),
}


@pytest.mark.parametrize(("view", "limit"), NO_REASON.values(), ids=NO_REASON.keys())
def test_there_is_no_other_job_if(view: Observed, limit: int) -> None:
    teller = story(limit)
    plans = [teller.look(view, after=seconds) for seconds in (0, 30, 30, 30)]
    actions = [action for plan in plans for action in acts(plan)]
    assert not [action for action in actions if isinstance(action, MarkContinued | StartAgain)]
    assert [action for action in actions if isinstance(action, RecordOutcome)] or plans[-1].finish


@pytest.mark.parametrize("limit", [0, 1])
def test_a_loss_names_the_limit(limit: int) -> None:
    uids = (*[f"x-{number}" for number in range(limit)], "uid-d-1")
    lost = view(PROVED, replace(FAILED, driver_uids=uids))
    teller = story(limit)
    plans = [teller.look(lost, after=seconds) for seconds in (0, 30, 30, 30)]
    outcome = next(a.outcome for p in plans for a in acts(p) if isinstance(a, RecordOutcome))
    assert outcome.verdict is Verdict.DRIVER_LOST
    assert outcome.message.endswith(f"; restarts: {limit}, max_driver_restarts is {limit}")


def test_the_pods_are_listed_before_anything_else_and_until_somebody_answers() -> None:
    teller = story()
    teller.fails = lambda action: Trouble.UNCERTAIN
    assert acts(teller.look(view())) == (ListPods(),)
    assert acts(teller.look(view())) == ()
    teller.fails = lambda action: Trouble.NONE
    assert acts(teller.look(view(), after=2)) == (ListPods(),)
    assert acts(teller.look(view(), after=1)) == (MARK,)


def test_a_list_from_before_the_drivers_end_proves_nothing() -> None:
    teller = story()
    teller.look(view(None))
    assert acts(teller.look(view(PROVED), after=5)) == (ListPods(),)


def test_without_settings_nobody_knows_the_limit_and_nothing_is_done() -> None:
    teller = Story(Desired(REFERENCE))
    teller.look(view())
    assert acts(teller.look(view(), after=100)) == ()
    missing = view(settings_problem="not found")
    teller.look(missing)
    assert isinstance(acts(teller.look(missing, after=130))[-1], RecordOutcome)


def test_a_mark_that_cannot_be_written_is_tried_again() -> None:
    teller = story()
    teller.look(view())
    teller.fails = lambda action: Trouble.CONFLICT
    assert acts(teller.look(view())) == (MARK,)
    assert acts(teller.look(view())) == ()
    assert acts(teller.look(view(), after=5)) == (MARK,)


MARKED = replace(FAILED, continued_by="app-r1")
AGAIN = StartAgain("app-r0", "uid-of-job", ("uid-d-1",))


def test_what_is_marked_is_started_again_by_whoever_comes() -> None:
    assert acts(story().look(view(PROVED, MARKED))) == (AGAIN,)
    assert acts(story().look(view(None, MARKED))) == (AGAIN,)
    own_end = view(driver(failed()), MARKED)
    teller = story()
    assert acts(teller.look(own_end)) == (AGAIN,)
    assert acts(teller.look(own_end, after=100)) == (AGAIN,), "and no verdict is given on the old Job"


def test_a_server_that_does_not_answer_refuses_nothing() -> None:
    teller = story()
    teller.fails = lambda action: Trouble.UNCERTAIN
    for _ in range(40):
        assert all(
            isinstance(action, StartAgain) for action in acts(teller.look(view(PROVED, MARKED), after=60))
        )


def test_a_refusal_that_lasts_is_a_loss_that_says_why() -> None:
    teller = story()
    teller.fails = lambda action: Trouble.REFUSED if isinstance(action, StartAgain) else Trouble.NONE
    plan = teller.look(view(PROVED, MARKED))
    assert acts(plan) == (AGAIN,)
    plan = teller.look(view(PROVED, MARKED))
    assert acts(plan) == ()
    assert "the application cannot be started again: as the server says; trying again" in says(plan)
    teller.look(view(PROVED, MARKED), after=2)
    plan = teller.look(view(PROVED, MARKED), after=290)
    assert acts(plan) == (AGAIN,)
    assert plan.requeue_after_seconds is not None
    assert acts(teller.look(view(PROVED, MARKED), after=10)) == (AGAIN,)
    (record,) = acts(teller.look(view(PROVED, MARKED), after=1))
    assert isinstance(record, RecordOutcome)
    assert record.outcome.verdict is Verdict.DRIVER_LOST
    assert "refuses to start it again as Job app-r1: as the server says" in record.outcome.message


def test_a_refusal_that_was_not_repeated_proves_nothing() -> None:
    teller = story()
    answers = [Trouble.REFUSED]
    teller.fails = lambda action: answers[0] if isinstance(action, StartAgain) else Trouble.NONE
    assert acts(teller.look(view(PROVED, MARKED))) == (AGAIN,)
    answers[0] = Trouble.UNCERTAIN
    for _ in range(10):
        assert acts(teller.look(view(PROVED, MARKED), after=100)) == (AGAIN,)


def test_a_refusal_that_is_over_is_forgotten() -> None:
    teller = story()
    teller.fails = lambda action: Trouble.REFUSED
    teller.look(view(PROVED, MARKED))
    teller.fails = lambda action: Trouble.NONE
    teller.look(view(PROVED, MARKED), after=200)
    assert teller.state.refused is None
    assert acts(teller.look(view(PROVED, MARKED), after=200)) == (AGAIN,)


def test_the_deadline_goes_before_another_job() -> None:
    teller = story(deadline=START + 10)
    (record,) = acts(teller.look(view(PROVED, MARKED), after=20))
    assert isinstance(record, RecordOutcome)
    assert record.outcome.verdict is Verdict.TIMED_OUT


def test_what_is_said_of_a_driver_that_is_started_again() -> None:
    teller = story()
    why = "was deleted, and its Job does not replace it"
    first = f"driver pod d-1 {why}: Job app-r1 follows once the pod is certainly gone (restart 1 of 3)"
    assert first in says(teller.look(view()))
    second = f"driver pod d-1 {why}: starting the application again as Job app-r1 (restart 1 of 3)"
    assert second in says(teller.look(view(PROVED, MARKED), after=1))
    (text,) = [text for text in says(story().look(view(driver(failed(EndKind.DISRUPTED))))) if "r1" in text]
    assert text.startswith("driver pod d-1 was taken away (disrupted, exit code 1), and its Job")
    unknown = Story(Desired(REFERENCE)).look(view(None))
    assert (
        f"the driver pod of Job app-r0 {why}: Job app-r1 follows once the pod is certainly gone (restart 1)"
        in says(unknown)
    )


# The Job that goes on.


NEXT = job(uid="uid-1", name="app-r1", earlier_uids=("uid-of-job",), resource_version="7")
MAKING = replace(NEXT, in_the_making=True, phase=JobPhase.SUSPENDED)


def test_the_old_job_goes_when_the_new_one_counts_and_is_asked_once() -> None:
    teller = story()
    both = observed(job=NEXT, drivers=(PROVED,), earlier_jobs=(MARKED,))
    plan = teller.look(both)
    assert acts(plan) == (DeleteJob("app-r0", "uid-of-job"),)
    assert "Job app-r1 has no driver pod yet" in says(plan)
    assert deeds(teller.look(both, after=29)) == ()
    assert deeds(teller.look(both, after=1)) == (DeleteJob("app-r0", "uid-of-job"),)


def test_the_old_drivers_end_says_nothing_about_the_new_job() -> None:
    teller = story()
    alone = observed(job=NEXT, drivers=(driver(failed()),))
    assert acts(teller.look(alone, after=0)) == ()
    assert deeds(teller.look(alone, after=300)) == ()


def test_the_new_jobs_driver_is_the_one_that_counts() -> None:
    pods = (PROVED, driver(name="d-2", job_uid="uid-1"))
    both = observed(job=NEXT, drivers=pods)
    assert both.driver == pods[1]
    assert driver_uids(both) == ("uid-d-1", "uid-d-2")
    assert restarts(both) == 1
    assert observed(job=NEXT, drivers=pods[:1]).driver is None


@pytest.mark.parametrize(
    ("view", "count"),
    [
        (observed(job=None, drivers=()), 0),
        (observed(), 0),
        (observed(job=replace(NEXT, driver_uids=()), drivers=()), 1),
        (observed(job=replace(NEXT, driver_uids=("a", "b", "c")), drivers=()), 2),
    ],
    ids=["nothing there", "one driver", "a Job that follows", "more pods than Jobs"],
)
def test_restarts_are_counted_by_pods_and_by_jobs(view: Observed, count: int) -> None:
    assert restarts(view) == count


def test_a_verdict_that_could_not_be_recorded_is_void_once_another_job_goes_on() -> None:
    teller = story()
    ended = view(driver(failed()), FAILED)
    teller.fails = lambda action: Trouble.CONFLICT
    assert isinstance(acts(teller.look(ended))[-1], RecordOutcome)
    teller.fails = lambda action: Trouble.NONE
    marked = view(driver(failed()), replace(FAILED, continued_by="app-r1", resource_version="2"))
    assert acts(teller.look(marked, after=5)) == (AGAIN,)
    going_on = observed(job=NEXT, drivers=(driver(failed()),))
    plan = teller.look(going_on, after=5)
    assert (acts(plan), plan.finish) == ((), None)


def test_the_deadlines_verdict_holds_for_whatever_job_counts_then() -> None:
    teller = story(deadline=START - 1)
    teller.fails = lambda action: Trouble.CONFLICT
    teller.look(view(PROVED, MARKED))
    teller.fails = lambda action: Trouble.NONE
    (record,) = acts(teller.look(observed(job=NEXT, drivers=(PROVED,)), after=5))
    assert isinstance(record, RecordOutcome)
    assert (record.job_name, record.outcome.verdict) == ("app-r1", Verdict.TIMED_OUT)


def test_an_end_is_reported_when_no_other_job_is_left() -> None:
    ended = replace(NEXT, phase=JobPhase.COMPLETE, finished=True)
    teller = story()
    pods = (PROVED, driver(failed(EndKind.COMPLETED, 0), "d-2", job_uid="uid-1"))
    first = teller.look(observed(job=ended, drivers=pods, earlier_jobs=(MARKED,)))
    outcome = next(action.outcome for action in acts(first) if isinstance(action, RecordOutcome))
    assert (outcome.job_name, outcome.job_uid, outcome.driver_restarts) == ("app-r1", "uid-1", 1)
    recorded = replace(ended, outcome=outcome)
    assert teller.look(observed(job=recorded, drivers=pods, earlier_jobs=(MARKED,)), after=1).finish is None
    assert teller.look(observed(job=recorded, drivers=pods), after=1).finish == outcome


def test_an_end_does_not_wait_for_ever_for_another_job_to_go() -> None:
    teller = story()
    view = observed(job=None, drivers=(), earlier_jobs=(MARKED,))
    plans = [teller.look(view, after=seconds) for seconds in (0, 1, 58)]
    assert [plan.finish for plan in plans] == [None] * 3
    assert teller.look(view, after=10).finish is not None


def test_a_job_in_the_making_goes_with_the_end() -> None:
    teller = story(deadline=START - 1)
    first = teller.look(view(PROVED, MARKED, next_job=MAKING))
    assert DeleteJob("app-r1", "uid-1") in acts(first)
    leaving = view(PROVED, MARKED, next_job=replace(MAKING, deleting=True))
    assert DeleteJob("app-r1", "uid-1") not in acts(teller.look(leaving, after=60))


def test_a_job_in_the_making_stays_while_it_is_made() -> None:
    assert acts(story().look(view(PROVED, MARKED, next_job=MAKING))) == (AGAIN,)


@given(
    reason=st.sampled_from(["BackoffLimitExceeded", "DeadlineExceeded", "PodFailurePolicy"]),
    kind=st.sampled_from([*EndKind, None]),
    gone=st.booleans(),
    stopped=st.booleans(),
    flags=st.fixed_dictionaries({name: st.booleans() for name in ("finished", "stopped", "deleting")}),
    pods=st.integers(1, 4),
    limit=st.integers(0, 3),
    seconds=st.lists(st.sampled_from([0.0, 1.0, 29.0, 31.0, 61.0]), min_size=1, max_size=6),
)
def test_another_job_never_follows_while_a_driver_may_run_or_against_the_limit(
    reason: str,
    kind: EndKind | None,
    gone: bool,
    stopped: bool,
    flags: dict[str, bool],
    pods: int,
    limit: int,
    seconds: list[float],
) -> None:
    """Whatever is seen, for however long: `kind` None is a driver that nobody has seen."""
    uids = (*[f"x-{number}" for number in range(pods - 1)], "uid-d-1")
    of = job(JobPhase.FAILED, **{**flags, "reason": reason, "driver_uids": uids})
    pod = None if kind is None else driver(failed(kind), gone=gone, stopped=stopped)
    teller, waited = story(limit), 0.0
    for pause in seconds:
        waited += pause
        plan = teller.look(view(pod, of), after=pause)
        if any(isinstance(action, MarkContinued) for action in acts(plan)):
            assert (reason, flags["finished"]) == ("BackoffLimitExceeded", True)
            assert not flags["stopped"]
            assert not flags["deleting"]
            assert kind in (EndKind.DELETED, EndKind.DISRUPTED, None)
            assert stopped or (waited >= 60 and (gone or pod is None))
            assert pods - 1 < limit
        assert not any(isinstance(action, StartAgain) for action in acts(plan)), "it is not marked"
