from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.actions import (
    Action,
    CreateExecutor,
    DeletePod,
    FindExecutor,
    MarkDriver,
    Trouble,
)
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.pod_state import Deleted, Ending, EndKind, Pending, Running
from airflow_spark_k8s.core.reconcile import Plan
from airflow_spark_k8s.core.snapshot import ExecutorPod, Observed
from tests.fakes.scenes import (
    GONE_HOME,
    READY,
    START,
    UNKNOWN,
    Story,
    acts,
    desired,
    driver,
    executor,
    failed,
    job,
    observed,
    spark,
)


def _marks(plan: Plan) -> IdMarks | None:
    written = [action.marks for action in plan.actions if isinstance(action, MarkDriver)]
    return written[0] if written else None


def _created(plan: Plan) -> list[int]:
    return [action.executor_id for action in plan.actions if isinstance(action, CreateExecutor)]


def _sought(plan: Plan) -> list[int]:
    return [action.executor_id for action in plan.actions if isinstance(action, FindExecutor)]


def _after(view: Observed, plan: Plan) -> Observed:
    """The same view with what the plan wrote on the driver pod."""
    marks = _marks(plan)
    assert marks is not None
    return replace(view, drivers=(replace(view.drivers[-1], marks=marks, resource_version="2"),))


def test_ids_are_reserved_before_pods_are_created() -> None:
    story = Story(desired(target=3, batch_size=2))
    first = story.look(observed())
    (marked,) = acts(first)
    assert isinstance(marked, MarkDriver)
    assert marked.marks == IdMarks(reserved=2, settled=0, holder="me-1")
    assert marked.resource_version == "1"
    second = story.look(_after(observed(), first))
    assert acts(second) == (
        CreateExecutor(1, "d-1", "uid-d-1", "10.0.0.1", START + 5),
        CreateExecutor(2, "d-1", "uid-d-1", "10.0.0.1", START + 5),
    )


def test_no_round_begins_while_a_requested_pod_has_not_been_seen() -> None:
    story = Story(desired(target=3, batch_size=2))
    view = _after(observed(), story.look(observed()))
    story.look(view)
    assert acts(story.look(view, after=10)) == ()
    one_seen = replace(view, executors=(executor(1, Pending()),))
    assert acts(story.look(one_seen)) == ()
    both_seen = replace(view, executors=(executor(1, Pending()), executor(2, Pending())))
    assert _marks(story.look(both_seen)) == IdMarks(reserved=3, settled=2, holder="me-2")


def test_rounds_are_a_batch_delay_apart() -> None:
    story = Story(desired(target=3, batch_size=1, batch_delay_seconds=4))
    view = _after(observed(), story.look(observed()))
    story.look(view)
    seen = replace(view, executors=(executor(1),))
    assert acts(story.look(seen, after=1)) == ()
    waiting = story.look(seen, after=1)
    assert acts(waiting) == ()
    assert waiting.requeue_after_seconds == 2
    assert _marks(story.look(seen, after=2)) == IdMarks(2, 1, "me-2")


LIMITS = {
    "the target": (desired(target=3), (executor(1),), 2),
    "the batch size": (desired(target=9, batch_size=4), (executor(1),), 4),
    "pods that may be pending": (desired(target=9, max_pending_pods=3), (executor(1, Pending()),), 2),
    "a full house": (desired(target=2), (executor(1), executor(2, Pending())), 0),
    "pending pods alone": (desired(target=9, max_pending_pods=1), (executor(1, Pending()),), 0),
    "a pod on its way out": (desired(target=2), (executor(1), executor(2, leaving_seconds=30)), 0),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "executors", "size"), LIMITS.values(), ids=LIMITS.keys())
def test_a_round_is_limited_by(wanted: object, executors: tuple[object, ...], size: int) -> None:
    count = len(executors)
    view = observed(*executors, drivers=(driver(marks=IdMarks(count, count, "x")),))  # type: ignore[arg-type]
    plan = Story(wanted).later(view, 1)  # type: ignore[arg-type]
    marks = _marks(plan)
    assert (marks.reserved - count if marks else 0) == size


def test_a_pod_that_takes_too_long_to_leave_counts_no_more() -> None:
    marked = driver(marks=IdMarks(2, 2, "x"))
    view = observed(executor(1), executor(2, leaving_seconds=30), drivers=(marked,), spark=spark(1, 2))
    story = Story(desired(target=2))
    assert acts(story.later(view, 59)) == ()
    assert _marks(story.later(view, 2)) == IdMarks(3, 2, "me-1")


def test_nothing_happens_while_the_job_is_not_active() -> None:
    assert acts(Story().look(observed(job=job(JobPhase.SUSPENDED)))) == ()


def test_a_conflict_on_the_marks_is_looked_at_again() -> None:
    story = Story(fails=lambda action: Trouble.CONFLICT if isinstance(action, MarkDriver) else Trouble.NONE)
    story.look(observed())
    waiting = story.look(observed())
    assert acts(waiting) == ()
    assert waiting.requeue_after_seconds == 1
    assert _marks(story.look(observed(), after=1)) == IdMarks(3, 0, "me-2")


def test_a_pod_that_was_refused_is_tried_again_under_its_id() -> None:
    story = Story(desired(target=2), fails=lambda action: Trouble.NONE)
    view = _after(observed(), story.look(observed()))
    story.fails = lambda action: Trouble.REFUSED if isinstance(action, CreateExecutor) else Trouble.NONE
    assert _created(story.look(view)) == [1, 2]
    assert acts(story.look(view)) == ()
    assert _created(story.look(view, after=1)) == [1, 2]
    story.look(view)
    story.fails = lambda action: Trouble.NONE
    assert _created(story.look(view, after=2)) == [1, 2]


def test_a_stale_claim_is_renewed_before_pods_are_created() -> None:
    story = Story(desired(target=1))
    view = _after(observed(), story.look(observed()))
    renewed = story.look(view, after=5)
    assert acts(renewed) == (MarkDriver("d-1", "uid-d-1", "2", IdMarks(1, 0, "me-2")),)
    assert _created(story.look(_after(view, renewed), after=1)) == [1]


def test_the_server_decides_how_long_to_wait() -> None:
    story = Story(desired(target=1), retry_after_seconds=40)
    view = _after(observed(), story.look(observed()))
    story.fails = lambda action: Trouble.REFUSED
    story.look(view)
    assert story.look(view, after=39).requeue_after_seconds == 1


def _uncertain(action: Action) -> Trouble:
    return Trouble.UNCERTAIN if isinstance(action, CreateExecutor) else Trouble.NONE


def test_a_pod_that_may_have_been_created_is_looked_for_and_then_another_id_is_taken() -> None:
    story = Story(desired(target=1), fails=_uncertain)
    view = _after(observed(), story.look(observed()))
    story.look(view)
    for seconds in (1, 10, 8):
        assert acts(story.look(view, after=seconds)) == ()
    story.fails = lambda action: Trouble.ABSENT
    assert _sought(story.look(view, after=1)) == [1]
    story.fails = lambda action: Trouble.NONE
    assert _marks(story.look(view)) == IdMarks(reserved=2, settled=1, holder="me-2")


def test_a_pod_that_was_found_is_waited_for() -> None:
    story = Story(desired(target=1), fails=_uncertain)
    view = _after(observed(), story.look(observed()))
    story.look(view)
    story.fails = lambda action: Trouble.NONE
    assert _sought(story.look(view, after=20)) == [1]
    settled = story.look(view)
    assert acts(settled) == (MarkDriver("d-1", "uid-d-1", "2", IdMarks(1, 1, "me-2")),)
    view = _after(view, settled)
    assert acts(story.look(view, after=19)) == ()
    assert _sought(story.look(view, after=1)) == [1]


def test_a_search_without_an_answer_is_repeated() -> None:
    story = Story(desired(target=1), fails=_uncertain)
    view = _after(observed(), story.look(observed()))
    story.look(view)
    story.fails = lambda action: Trouble.UNCERTAIN
    assert _sought(story.look(view, after=20)) == [1]
    assert _sought(story.look(view, after=19)) == []
    assert _sought(story.look(view, after=1)) == [1]


def test_owed_ids_of_another_controller_are_left_to_it_and_then_skipped() -> None:
    owed = observed(drivers=(driver(marks=IdMarks(2, 0, "other-1")),))
    story = Story(desired(target=2), fails=lambda action: Trouble.ABSENT)
    assert acts(story.look(owed)) == ()
    assert acts(story.look(owed, after=19)) == ()
    renewed = replace(owed, drivers=(driver(marks=IdMarks(2, 0, "other-2")),))
    assert acts(story.look(renewed, after=1)) == (), "the other one is alive"
    assert _sought(story.look(renewed, after=20)) == [1, 2]
    story.fails = lambda action: Trouble.NONE
    assert _marks(story.look(renewed)) == IdMarks(4, 2, "me-1")


def test_ids_that_were_given_up_are_looked_for_again_if_the_other_controller_is_alive() -> None:
    owed = observed(drivers=(driver(marks=IdMarks(2, 0, "other-1")),))
    story = Story(desired(target=2), fails=lambda action: Trouble.ABSENT)
    story.look(owed)
    assert _sought(story.look(owed, after=20)) == [1, 2]
    renewed = replace(owed, drivers=(driver(marks=IdMarks(2, 0, "other-2")),))
    assert acts(story.look(renewed)) == (), "the other one may create them now"
    partly = replace(owed, drivers=(driver(marks=IdMarks(2, 1, "other-3")),))
    assert _sought(story.look(partly, after=20)) == []
    assert _sought(story.look(partly, after=20)) == [2]


def test_an_executor_that_may_run_unseen_counts_until_it_is_gone() -> None:
    """Its node may have lost its network before it could tell that it started the pod."""
    going = replace(executor(1, Deleted(Ending(EndKind.DELETED, "deleted"))), leaving_seconds=30)
    marks = (driver(marks=IdMarks(1, 1, "me-0")),)
    bound = observed(going, drivers=marks, spark=spark())
    assert _marks(Story(desired(target=1)).look(bound)) is None
    unbound = observed(replace(going, node=None), drivers=marks, spark=spark())
    story = Story(desired(target=1))
    assert _marks(story.later(unbound, 1)) == IdMarks(2, 1, "me-1")


def test_a_round_of_another_controller_that_is_complete_needs_no_search() -> None:
    view = observed(executor(1), executor(2), drivers=(driver(marks=IdMarks(2, 0, "other-1")),))
    assert _marks(Story(desired(target=2)).look(view)) == IdMarks(2, 2, "me-1")


def test_a_pod_that_the_driver_knows_but_nobody_has_seen_counts() -> None:
    view = observed(drivers=(driver(marks=IdMarks(1, 0, "other-1")),), spark=spark(1))
    story = Story(desired(target=1))
    assert _created(story.look(view)) == []
    assert _sought(story.later(view, 20)) == [1]


def test_a_requested_pod_that_never_shows_up_is_asked_for_again() -> None:
    story = Story(desired(target=1, request_timeout_seconds=600))
    view = _after(observed(), story.look(observed()))
    story.look(view)
    settled = _after(view, story.look(view))
    for _ in range(29):
        story.look(settled, after=20)
    assert _marks(story.look(settled, after=20)) == IdMarks(2, 1, "me-3")


def test_marks_that_somebody_removed_never_lead_to_an_old_id() -> None:
    view = observed(executor(7), spark=spark(7, dead=(9,)))
    plan = Story(desired(target=2)).later(view, 1)
    assert _marks(plan) == IdMarks(10, 9, "me-1")


def test_a_part_of_a_round_is_settled_when_a_pod_of_it_waits_for_its_deletion() -> None:
    story = Story(desired(target=3))
    view = _after(observed(), story.look(observed()))
    story.fails = lambda action: (
        Trouble.REFUSED if isinstance(action, CreateExecutor) and action.executor_id == 3 else Trouble.NONE
    )
    story.look(view)
    ended = executor(1, failed(EndKind.DISRUPTED))
    recorded = History({1: EndedExecutor(1, "failed", "evicted", START)})
    marked = replace(view.drivers[0], history=recorded)
    partly = replace(view, executors=(ended, executor(2)), drivers=(marked,))
    settled = story.look(partly)
    assert _marks(settled) == IdMarks(reserved=3, settled=2, holder="me-2")
    assert DeletePod("d-1-exec-1", "uid-d-1-exec-1") in acts(story.look(_after(partly, settled)))


# Executors that fail again and again.


def _ended(count: int, *, at: float = START, first: int = 1, **fields: bool) -> History:
    entries = {
        number: EndedExecutor(number, "failed", "exit code 1", at, exit_code=1, **fields)
        for number in range(first, first + count)
    }
    return History(entries)


def _pause(history: History, *executors: ExecutorPod, target: int = 2) -> float:
    """Seconds until the next round begins, the driver answering all the time."""
    count = max([*history.entries, *(pod.executor_id for pod in executors)], default=0)
    marked = driver(marks=IdMarks(count, count, "x"), history=history)
    story = Story(desired(target=target, batch_delay_seconds=0.5))
    for _ in range(1000):
        answer = spark(*(pod.executor_id for pod in executors), asked_at=story.now)
        plan = story.look(observed(*executors, drivers=(marked,), spark=answer))
        if _marks(plan):
            return story.now - START
        story.now += min(plan.requeue_after_seconds or 0.5, 0.5)
    raise AssertionError("no round at all")


PAUSES = {
    "no failure": (History(), 0),
    "one round": (_ended(2, start_failure=True), 1),
    "one round and a bit": (_ended(3, start_failure=True), 2),
    "three rounds": (_ended(6, start_failure=True), 4),
    "many rounds": (_ended(60, start_failure=True), 300),
    "many rounds, by a clock that is behind": (_ended(60, at=START - 290, start_failure=True), 10),
    "many rounds, by a clock that is ahead": (_ended(60, at=START + 5000, start_failure=True), 300),
    "failures that lie back": (_ended(6, at=START - 4, start_failure=True), 0.5),
    "executors that worked for a while": (_ended(60), 0.5),
    "an executor that came too early": (_ended(1, too_early=True), 5),
}


@pytest.mark.parametrize(("history", "seconds"), PAUSES.values(), ids=PAUSES.keys())
def test_the_pause_after(history: History, seconds: float) -> None:
    assert _pause(history) == pytest.approx(seconds)


def test_a_later_executor_that_works_ends_the_pause() -> None:
    history = _ended(60, start_failure=True)
    assert _pause(history, executor(61)) == 0.5


def test_a_later_executor_that_runs_for_long_is_proof_if_nobody_can_be_asked() -> None:
    history = _ended(60, at=START + 61, start_failure=True)
    marked = driver(marks=IdMarks(61, 61, "x"), history=history)
    view = observed(executor(61, Running()), drivers=(marked,), spark=spark(**UNKNOWN))
    story = Story(desired(target=2))
    story.look(view)
    assert acts(story.look(view, after=59)) == ()
    assert _marks(story.look(view, after=2)) == IdMarks(62, 61, "me-1")


def test_executors_that_came_too_early_delay_only_the_beginning() -> None:
    marked = driver(marks=IdMarks(1, 1, "x"))
    story = Story(desired(target=1))
    story.look(observed(executor(1), drivers=(marked,)))
    early = _ended(1, at=START + 201, too_early=True)
    view = observed(drivers=(replace(marked, history=early),), spark=spark(asked_at=START + 201))
    assert _marks(story.look(view, after=201)) is not None


def test_a_failure_counts_from_the_look_at_which_it_is_seen() -> None:
    marked = driver(marks=IdMarks(1, 1, "x"))
    story = Story(desired(target=1))
    story.look(observed(executor(1), drivers=(marked,)))
    view = observed(executor(1, failed(seconds=2)), drivers=(marked,))
    story.look(view, after=10)
    plan = story.look(replace(view, spark=spark(asked_at=START + 10.5)), after=0.5)
    assert _marks(plan) is None
    assert plan.requeue_after_seconds == 0.5


def test_an_address_is_needed() -> None:
    story = Story(desired(target=1))
    view = _after(observed(), story.look(observed()))
    assert acts(story.look(replace(view, drivers=(replace(view.drivers[0], ip=""),)))) == ()
    assert acts(story.look(replace(view, executors=(executor(1, READY),)))) == (
        MarkDriver("d-1", "uid-d-1", "2", IdMarks(1, 1, "me-2")),
    )
    assert GONE_HOME.ending.trouble == ""
