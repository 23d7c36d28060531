from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.actions import (
    Action,
    DeleteJob,
    DeletePod,
    RecordOutcome,
    ShowDriverLog,
    Trouble,
)
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.pod_state import Pending
from airflow_spark_k8s.core.snapshot import Observed
from tests.fakes.scenes import (
    GONE_HOME,
    START,
    Story,
    acts,
    desired,
    driver,
    executor,
    failed,
    job,
    observed,
    says,
    spark,
)

COMPLETE = job(JobPhase.COMPLETE)
NOT_YET_COMPLETE = job(JobPhase.COMPLETE, finished=False)
DONE = observed(executor(1, GONE_HOME), drivers=(driver(GONE_HOME),), job=COMPLETE)
TOOK_OVER = observed(spark=spark(master="local[2]"))


def _recorded(view: Observed, outcome: Outcome, **fields: Any) -> Observed:
    assert view.job is not None
    return replace(view, job=replace(view.job, outcome=outcome, resource_version="2", **fields))


def _record(plan: Any) -> RecordOutcome:
    return next(action for action in plan.actions if isinstance(action, RecordOutcome))


def test_an_outcome_is_recorded_before_it_is_reported() -> None:
    story = Story()
    first = story.look(DONE)
    record = _record(first)
    assert (record.outcome.verdict, record.stop, record.resource_version) == (Verdict.SUCCEEDED, False, "1")
    assert first.finish is None
    last = story.look(_recorded(DONE, record.outcome))
    assert last.finish == record.outcome
    assert acts(last) == ()


def test_the_first_recorded_outcome_stands() -> None:
    other = Outcome(Verdict.DRIVER_LOST, "as another controller saw it", "spark", "app", "app-r0")
    story = Story()
    story.look(DONE)
    plan = story.look(_recorded(DONE, other))
    assert plan.finish == other
    assert says(plan) == ["application app: driver lost: as another controller saw it"]


def test_the_job_controller_may_take_its_time() -> None:
    story, waiting = Story(), replace(DONE, job=NOT_YET_COMPLETE)
    assert acts(story.look(waiting)) == ()
    assert story.look(waiting, after=29).requeue_after_seconds == 1
    assert _record(story.look(DONE)).stop is False


def test_a_job_that_never_comes_to_its_end_is_ended() -> None:
    story, waiting = Story(), replace(DONE, job=NOT_YET_COMPLETE)
    story.look(waiting)
    record = _record(story.look(waiting, after=30))
    assert record.stop
    assert story.look(_recorded(waiting, record.outcome, stopped=True)).finish == record.outcome


def test_executors_may_take_a_moment_to_end() -> None:
    running = replace(DONE, executors=(executor(1), executor(2, Pending()), executor(3, leaving_seconds=5)))
    story = Story()
    assert acts(story.look(running)) == ()
    assert acts(story.look(running, after=14)) == ()
    plan = story.look(running, after=1)
    removed = [action.name for action in plan.actions if isinstance(action, DeletePod)]
    assert removed == ["d-1-exec-1", "d-1-exec-2"]
    assert _record(plan).outcome.executor_counts == {"pending": 1, "running": 2}


def test_a_driver_that_still_runs_is_ended_with_the_record_in_one_write() -> None:
    plan = Story().look(TOOK_OVER)
    log, record = acts(plan)
    assert log == ShowDriverLog("d-1")
    assert isinstance(record, RecordOutcome)
    assert (record.outcome.verdict, record.stop) == (Verdict.DRIVER_TOOK_OVER, True)


@pytest.mark.parametrize("gone", [None, replace(job(), deleting=True)], ids=["gone", "being deleted"])
def test_without_a_job_there_is_nothing_to_record(gone: Any) -> None:
    plan = Story().look(observed(job=gone))
    assert plan.finish is not None
    assert plan.finish.verdict is Verdict.DRIVER_LOST
    assert not any(isinstance(action, RecordOutcome) for action in plan.actions)


def test_a_job_that_goes_while_its_outcome_is_recorded_is_no_trouble() -> None:
    story = Story()
    record = _record(story.look(DONE))
    assert story.look(replace(DONE, job=replace(COMPLETE, deleting=True))).finish == record.outcome


def test_an_outcome_without_a_driver_pod() -> None:
    story = Story()
    record = _record(story.look(observed(drivers=(), job=COMPLETE)))
    assert record.outcome.driver_pod is None
    assert record.outcome.executors == ()


def _fail(action: Action) -> Trouble:
    return Trouble.CONFLICT


def test_a_record_that_fails_is_tried_again_with_pauses() -> None:
    story = Story(fails=_fail)
    story.look(DONE)
    assert acts(story.look(DONE)) == ()
    assert len(acts(story.look(DONE, after=1))) == 1


def test_an_outcome_that_cannot_be_recorded_is_reported_all_the_same() -> None:
    story = Story(fails=_fail)
    record = _record(story.look(DONE))
    story.look(DONE, after=1)
    assert story.look(DONE, after=58).finish is None
    assert story.look(DONE, after=3).finish == record.outcome


def test_a_job_that_cannot_be_ended_is_deleted() -> None:
    story = Story(fails=_fail)
    story.look(TOOK_OVER)
    story.look(TOOK_OVER, after=1)
    plan = story.look(TOOK_OVER, after=61)
    assert DeleteJob("app-r0", "uid-of-job") in acts(plan)


def test_a_job_that_cannot_be_deleted_either_is_left_alone_in_the_end() -> None:
    story = Story(fails=_fail)
    story.look(TOOK_OVER)
    story.look(TOOK_OVER, after=1)
    story.look(TOOK_OVER, after=300)
    plan = story.look(TOOK_OVER, after=301)
    assert plan.finish is not None
    assert plan.finish.verdict is Verdict.DRIVER_TOOK_OVER


# The deadline.

LATE = START + 10


def _overdue(**fields: Any) -> tuple[Story, RecordOutcome]:
    story = Story(desired(deadline=LATE), now=LATE, **fields)
    log, record = acts(story.look(observed()))
    assert isinstance(log, ShowDriverLog)
    assert isinstance(record, RecordOutcome)
    assert (record.outcome.verdict, record.stop) == (Verdict.TIMED_OUT, False)
    return story, record


def test_after_the_deadline_the_outcome_is_recorded_then_the_job_deleted_then_reported() -> None:
    story, record = _overdue()
    recorded = _recorded(observed(), record.outcome)
    plan = story.look(recorded)
    assert acts(plan) == (DeleteJob("app-r0", "uid-of-job", "Background"),)
    assert plan.finish is None
    assert story.look(replace(recorded, job=None)).finish == record.outcome


def test_a_deadline_that_cannot_be_recorded_is_kept() -> None:
    story, _ = _overdue(fails=_fail)
    assert DeleteJob("app-r0", "uid-of-job") not in acts(story.look(observed(), after=2))
    assert DeleteJob("app-r0", "uid-of-job") in acts(story.look(observed(), after=11))


def test_a_task_does_not_outlive_its_deadline_by_much() -> None:
    story, record = _overdue(fails=_fail)
    story.look(observed(), after=2)
    assert story.look(observed(), after=87).finish is None
    assert story.look(observed(), after=2).finish == record.outcome


def test_a_driver_that_ends_before_its_job_is_deleted_needs_no_deletion() -> None:
    story, record = _overdue()
    plan = story.look(_recorded(observed(job=COMPLETE), record.outcome))
    assert plan.finish == record.outcome
    assert acts(plan) == ()


def test_the_controller_looks_again_at_the_deadline() -> None:
    story = Story(desired(deadline=START + 0.5))
    assert story.look(observed()).requeue_after_seconds == 0.5


def test_what_was_never_seen_is_timed_out_some_time_after_the_deadline() -> None:
    story = Story(desired(deadline=LATE))
    blind = story.look(Observed())
    assert blind.requeue_after_seconds == 100
    assert blind.finish is None
    late = story.look(Observed(), after=100)
    assert late.finish is not None
    assert late.finish.verdict is Verdict.TIMED_OUT


def test_a_controller_that_begins_after_the_deadline_looks_before_it_gives_up() -> None:
    # Simulation, seed 10460: the application was there, and stayed.
    story = Story(desired(deadline=START - 3600))
    first = story.look(Observed())
    assert (first.finish, first.requeue_after_seconds) == (None, 30)
    assert story.look(observed()).actions
    never = Story(desired(deadline=START - 3600))
    never.look(Observed())
    assert never.look(Observed(), after=30).finish is not None


def test_a_driver_that_ends_well_while_it_is_taken_away_is_not_followed_by_another() -> None:
    # Simulation, seed 15143: to its Job the pod had failed, and another driver ran for half a minute.
    taken = driver(GONE_HOME, disruption="TerminationByKubelet")
    record = _record(Story().look(observed(drivers=(taken,))))
    assert (record.outcome.verdict, record.stop) == (Verdict.SUCCEEDED, True)


def test_without_a_deadline_what_was_never_seen_is_waited_for() -> None:
    plan = Story().look(Observed(), after=10**6)
    assert (plan.finish, plan.requeue_after_seconds, plan.actions) == (None, None, ())


def test_a_failure_is_recorded_with_its_evidence() -> None:
    view = observed(drivers=(driver(failed(code=3)),), job=job(JobPhase.FAILED))
    outcome = _record(Story().look(view)).outcome
    assert (outcome.verdict, outcome.exit_code, outcome.reason) == (Verdict.DRIVER_FAILED, 3, "error")
    assert (outcome.driver_pod, outcome.driver_node) == ("d-1", "node-1")


@pytest.mark.parametrize(
    ("view", "removed"),
    [
        (observed(job=None), True),
        (observed(job=replace(job(), deleting=True)), True),
        (observed(job=None, drivers=(driver(deleting=True),)), False),
        (observed(job=None, drivers=(driver(GONE_HOME),)), False),
        (observed(job=None, drivers=()), False),
    ],
    ids=["left behind", "its Job goes", "it is being deleted", "it has ended", "there is none"],
)
def test_a_driver_that_its_job_leaves_behind_is_removed(view: Observed, removed: bool) -> None:
    plan = Story().look(view)
    assert plan.finish is not None
    assert (DeletePod("d-1", "uid-d-1") in acts(plan)) == removed
