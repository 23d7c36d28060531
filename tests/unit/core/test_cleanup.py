from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.actions import Action, DeletePod, MarkDriver, Trouble
from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import MAX_ENTRIES, EndedExecutor, History
from airflow_spark_k8s.core.memory_groups import Tally
from airflow_spark_k8s.core.pod_state import Deleted, Ending, EndKind, PodState
from airflow_spark_k8s.core.reconcile import Plan
from airflow_spark_k8s.core.snapshot import ExecutorPod, Observed, SparkView
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
    observed,
    says,
    spark,
)

MARKED = driver(marks=IdMarks(2, 2, "x"))
OUT_OF_MEMORY = failed(EndKind.OUT_OF_MEMORY, 137)


def _view(*executors: object, **fields: object) -> Observed:
    given = {"drivers": (MARKED,), "spark": spark(2), **fields}
    return observed(*executors, **given)  # type: ignore[arg-type]


def _remembered(plan: Plan) -> dict[int, EndedExecutor]:
    written = [action for action in plan.actions if isinstance(action, MarkDriver) and action.history]
    return dict(written[0].history.entries) if written and written[0].history else {}


def _deleted(plan: Plan) -> list[str]:
    return [action.name for action in plan.actions if isinstance(action, DeletePod)]


def _recorded(view: Observed, plan: Plan) -> Observed:
    marked = replace(view.drivers[-1], history=History(_remembered(plan)))
    return replace(view, drivers=(*view.drivers[:-1], marked))


def test_the_end_of_an_executor_is_recorded_and_then_its_pod_is_deleted() -> None:
    story = Story(desired(target=2))
    view = _view(executor(1, OUT_OF_MEMORY), executor(2))
    first = story.look(view)
    assert _remembered(first) == {
        1: EndedExecutor(
            1, "failed", "out of memory, exit code 137", START, 137, "node-2", kind="out of memory"
        )
    }
    assert says(first)[-2:] == [
        "executor 1 failed: out of memory, exit code 137 (on node-2)",
        says(first)[-1],
    ]
    assert _deleted(first) == []
    assert _deleted(story.look(_recorded(view, first))) == ["d-1-exec-1"]


def test_the_pod_of_an_id_that_is_not_settled_is_not_deleted() -> None:
    story = Story(desired(target=2))
    unsettled = replace(MARKED, marks=IdMarks(2, 0, "x"))
    view = _view(executor(1, OUT_OF_MEMORY), executor(2), drivers=(unsettled,))
    recorded = _recorded(view, story.look(view))
    plan = story.look(recorded, after=2)
    assert _deleted(plan) == []
    assert any(isinstance(action, MarkDriver) and action.marks for action in plan.actions)


def test_a_deletion_is_asked_for_once_and_again_after_a_while() -> None:
    story = Story(desired(target=1))
    recorded = replace(MARKED, history=History({1: EndedExecutor(1, "failed", "", START)}))
    view = _view(executor(1, OUT_OF_MEMORY), executor(2), drivers=(recorded,))
    assert _deleted(story.look(view)) == ["d-1-exec-1"]
    assert _deleted(story.look(view, after=29)) == []
    assert _deleted(story.look(view, after=1)) == ["d-1-exec-1"]


def test_a_deletion_that_fails_is_asked_for_again_after_a_pause() -> None:
    story = Story(desired(target=1), fails=_refuse_deletions)
    recorded = replace(MARKED, history=History({1: EndedExecutor(1, "failed", "", START)}))
    view = _view(executor(1, OUT_OF_MEMORY), executor(2), drivers=(recorded,))
    assert _deleted(story.look(view)) == ["d-1-exec-1"]
    waiting = story.look(view)
    assert (_deleted(waiting), waiting.requeue_after_seconds) == ([], 1)
    assert _deleted(story.look(view, after=1)) == ["d-1-exec-1"]


def _refuse_deletions(action: Action) -> Trouble:
    return Trouble.REFUSED if isinstance(action, DeletePod) else Trouble.NONE


def test_a_pod_that_leaves_already_is_not_deleted() -> None:
    recorded = replace(MARKED, history=History({1: EndedExecutor(1, "failed", "", START)}))
    leaving = executor(1, OUT_OF_MEMORY, leaving_seconds=0)
    assert _deleted(Story(desired(target=1)).look(_view(leaving, executor(2), drivers=(recorded,)))) == []


def test_a_pod_that_vanished_is_recorded_as_deleted() -> None:
    story = Story(desired(target=2))
    story.look(_view(executor(1), executor(2), spark=spark(1, 2)))
    plan = story.later(_view(executor(2)), 2)
    assert _remembered(plan)[1].reason == "its pod is gone"


VANISHED: dict[str, tuple[ExecutorPod, str, str | None, str]] = {
    "nobody knows why": (executor(1), "", None, "its pod is gone"),
    "somebody had asked for it": (executor(1, leaving_seconds=30), "deleted", None, "its pod is gone"),
    "the cluster had said why": (
        executor(1, leaving_seconds=30, disruption="PreemptionByScheduler"),
        "disrupted",
        "PreemptionByScheduler",
        "its pod is gone (PreemptionByScheduler)",
    ),
}


@pytest.mark.parametrize(("last", "kind", "disruption", "reason"), VANISHED.values(), ids=VANISHED.keys())
def test_what_is_recorded_of_a_pod_that_vanished_while_it_ran(
    last: ExecutorPod, kind: str, disruption: str | None, reason: str
) -> None:
    story = Story(desired(target=2))
    story.look(_view(last, executor(2), spark=spark(1, 2, peaks={1: 700})))
    view = _view(executor(2), spark=spark(2, dead=(1,), peaks={1: 900}, asked_at=START + 2))
    entry = _remembered(story.look(view, after=2))[1]
    assert (entry.kind, entry.disruption, entry.reason) == (kind, disruption, reason)
    assert (entry.state, entry.exit_code, entry.peak_memory_mib) == ("deleted", None, 900)


@pytest.mark.parametrize("kind", list(EndKind), ids=str)
def test_the_kind_of_an_end_is_recorded_whatever_it_is(kind: EndKind) -> None:
    ended = executor(1, failed(kind, 1), disruption="EvictionByEvictionAPI")
    entry = _remembered(Story(desired(target=2)).look(_view(ended, executor(2))))[1]
    assert (entry.kind, entry.disruption) == (kind.value, "EvictionByEvictionAPI")


def test_executors_that_make_room_are_counted_by_memory_group() -> None:
    full = {
        number: EndedExecutor(number, "failed", "OOMKilled", START - 500 + number, kind="out of memory")
        for number in range(1, MAX_ENTRIES + 1)
    }
    marked = driver(marks=IdMarks(MAX_ENTRIES + 4, MAX_ENTRIES + 4, "x"), history=History(full))
    last = range(MAX_ENTRIES + 1, MAX_ENTRIES + 5)
    view = _view(*(executor(number, OUT_OF_MEMORY) for number in last), drivers=(marked,))
    plan = Story(desired(target=2, rollout=Rollout("1.2", "1/2", 1000, 1200))).look(view)
    written = next(action.history for action in plan.actions if isinstance(action, MarkDriver))
    assert written is not None
    assert written.forgotten_groups == {
        "burst": Tally(executors=2, out_of_memory_kills=2),
        "plain": Tally(executors=2, out_of_memory_kills=2),
    }


def test_a_pod_that_ended_and_vanished_between_two_looks_keeps_its_reason() -> None:
    story = Story(desired(target=2))
    story.look(_view(executor(1), executor(2), spark=spark(1, 2)))
    gone = executor(1, OUT_OF_MEMORY)
    other = executor(2, of="d-0")
    view = _view(executor(2), departed=(gone, other), spark=spark(2, asked_at=START + 1))
    assert _remembered(story.look(view, after=1))[1].exit_code == 137


ENDS: dict[str, tuple[PodState, SparkView, bool, bool]] = {
    "it failed after it had registered": (failed(seconds=5), spark(2, dead=(1,)), False, False),
    "it failed at once": (failed(seconds=5), spark(2), True, False),
    "it failed, nobody knows when": (failed(seconds=None), spark(2), True, False),
    "it failed after a while": (failed(seconds=60), spark(2), False, False),
    "it never started": (failed(EndKind.NEVER_STARTED, 128, 0), spark(2), True, False),
    "it was killed for memory at once": (failed(EndKind.OUT_OF_MEMORY, 137, 5), spark(2), True, False),
    "it was evicted at once": (failed(EndKind.DISRUPTED, 143, 5), spark(2), False, False),
    "it was deleted before it ran": (Deleted(Ending(EndKind.DELETED, "deleted")), spark(2), False, False),
    "it went home": (GONE_HOME, spark(2), False, False),
    "it found nobody, and nobody can tell": (failed(seconds=5), spark(**UNKNOWN), False, True),
    "… nor when": (failed(seconds=None), spark(**UNKNOWN), False, True),
    "it failed later, and nobody can tell": (failed(seconds=30), spark(**UNKNOWN), True, False),
    "it failed otherwise, and nobody can tell": (failed(code=3, seconds=5), spark(**UNKNOWN), True, False),
    "it was out of heap, and nobody can tell": (
        failed(EndKind.HEAP_EXHAUSTED, 1, 5), spark(**UNKNOWN), True, False
    ),
}  # fmt: skip


@pytest.mark.parametrize(("state", "answer", "start", "early"), ENDS.values(), ids=ENDS.keys())
def test_what_an_end_says_about_the_start(
    state: PodState, answer: SparkView, start: bool, early: bool
) -> None:
    story = Story(desired(target=2))
    first = executor(1, state)
    if isinstance(state, Deleted):
        first = replace(first, node=None)
    view = _view(first, executor(2), spark=answer)
    story.look(view)
    entry = _remembered(story.look(view, after=10) if answer.reach != "yes" else Story().look(view))[1]
    assert (entry.start_failure, entry.too_early) == (start, early)


def test_after_a_while_a_driver_listens_and_an_early_end_is_a_failure() -> None:
    story = Story(desired(target=2))
    story.look(_view(executor(1), executor(2), spark=spark(**UNKNOWN)))
    view = _view(executor(1, failed(seconds=5)), executor(2), spark=spark(**UNKNOWN))
    story.look(view, after=120)
    entry = _remembered(story.look(view, after=10))[1]
    assert (entry.start_failure, entry.too_early) == (True, False)


def test_an_executor_that_does_not_register_in_time_is_removed() -> None:
    story = Story(desired(target=2, registration_timeout_seconds=100))
    view = _view(executor(1), executor(2))
    story.look(view)
    assert acts(story.look(replace(view, spark=spark(2, asked_at=START + 99)), after=99)) == ()
    late = replace(view, spark=spark(2, asked_at=START + 100))
    plan = story.look(late, after=1)
    entry = _remembered(plan)[1]
    assert (entry.reason, entry.kind) == ("did not register within 100 s", "deleted")
    assert _deleted(story.look(_recorded(late, plan))) == ["d-1-exec-1"]


NOT_OVERDUE: dict[str, tuple[Observed, Observed]] = {
    "the answer is old": (_view(executor(1), executor(2)), _view(executor(1), executor(2))),
    "the driver cannot be asked any more": (
        _view(executor(1), executor(2)),
        _view(
            executor(1), executor(2), spark=spark(2, **{"reach": UNKNOWN["reach"], "asked_at": START + 900})
        ),
    ),
    "it leaves already": (
        _view(executor(1), executor(2)),
        _view(executor(1, leaving_seconds=3600), executor(2), spark=spark(2, asked_at=START + 900)),
    ),
    "it has registered": (
        _view(executor(1), executor(2)),
        _view(executor(1), executor(2), spark=spark(1, 2, asked_at=START + 900)),
    ),
    "it has only begun to run": (
        _view(executor(2)),
        _view(executor(1), executor(2), spark=spark(2, asked_at=START + 900)),
    ),
}


@pytest.mark.parametrize(("before", "after"), NOT_OVERDUE.values(), ids=NOT_OVERDUE.keys())
def test_an_executor_is_not_removed_when(before: Observed, after: Observed) -> None:
    story = Story(desired(target=2))
    story.look(before)
    assert 1 not in _remembered(story.look(after, after=900))


def test_executors_of_a_driver_that_was_replaced_are_deleted() -> None:
    old = driver(failed(EndKind.DISRUPTED), "d-0")
    executors = (
        executor(1, READY, of="d-0"),
        executor(2, OUT_OF_MEMORY, of="d-0"),
        executor(3, READY, of="d-0", leaving_seconds=30),
        executor(4, READY, of="d-gone"),
        executor(1),
        executor(2),
    )
    view = _view(*executors, drivers=(old, MARKED), spark=spark(1, 2))
    assert _deleted(Story(desired(target=2)).look(view)) == ["d-0-exec-1"]


def test_executors_of_a_driver_that_may_still_run_are_left_alone() -> None:
    view = _view(executor(1, of="d-0"), executor(1), executor(2), drivers=(driver(READY, "d-0"), MARKED))
    assert _deleted(Story(desired(target=2)).look(view)) == []
