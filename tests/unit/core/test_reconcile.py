from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_spark_k8s.core.actions import (
    Action,
    CreateExecutor,
    DeletePod,
    ListPods,
    MarkDriver,
    RecordDrivers,
    RecordOutcome,
    Trouble,
)
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.pod_state import EndKind, Pending, PodState, Running, Unknown
from airflow_spark_k8s.core.reconcile import AskSpark, reconcile
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import ExecutorPod, Observed
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.state import Desired, State
from tests.fakes.scenes import (
    GONE_HOME,
    NOT_YET,
    REFERENCE,
    START,
    UNKNOWN,
    Story,
    acts,
    deeds,
    desired,
    driver,
    executor,
    failed,
    job,
    observed,
    spark,
)

STATES: list[PodState] = [
    Pending(),
    Pending("Unschedulable", "x"),
    Running(ready=True),
    Unknown(),
    GONE_HOME,
    failed(EndKind.OUT_OF_MEMORY, 137),
    failed(seconds=2),
]


@st.composite
def _views(draw: st.DrawFn) -> Observed:
    """An application with some executors, in any state that may be found."""
    reserved = draw(st.integers(0, 8))
    settled = draw(st.integers(0, reserved))
    numbers = draw(st.sets(st.integers(1, reserved), max_size=8)) if reserved else set()
    pods = [
        executor(
            number, draw(st.sampled_from(STATES)), leaving_seconds=draw(st.sampled_from([None, None, 30]))
        )
        for number in sorted(numbers)
    ]
    ended = draw(st.sets(st.integers(1, settled))) if settled else set()
    remembered = History({number: EndedExecutor(number, "failed", "x", START - 500) for number in ended})
    marked = driver(marks=IdMarks(reserved, settled, "other-1"), history=remembered)
    active = draw(st.sets(st.sampled_from(sorted(numbers)))) if numbers else set()
    answer = draw(
        st.sampled_from([spark(*active, asked_at=START + 10**6), spark(**UNKNOWN), spark(**NOT_YET)])
    )
    return observed(*pods, drivers=(marked,), spark=answer)


_ALLOCATIONS = st.builds(
    AllocationSettings,
    target=st.integers(1, 8),
    batch_size=st.integers(1, 5),
    max_pending_pods=st.integers(1, 9),
)


class World:
    """A view that changes as the actions ask, at once."""

    def __init__(self, view: Observed) -> None:
        self.view = view

    def take(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if isinstance(action, MarkDriver):
                self._mark(action)
            elif isinstance(action, CreateExecutor):
                self._put(executor(action.executor_id, Pending()))
            elif isinstance(action, DeletePod):
                kept = tuple(pod for pod in self.view.executors if pod.uid != action.uid)
                self.view = replace(self.view, executors=kept)

    def _mark(self, action: MarkDriver) -> None:
        before = self.view.drivers[-1]
        after = replace(before, marks=action.marks or before.marks, history=action.history or before.history)
        self.view = replace(self.view, drivers=(after,))

    def _put(self, pod: ExecutorPod) -> None:
        assert all(known.executor_id != pod.executor_id for known in self.view.executors)
        self.view = replace(self.view, executors=(*self.view.executors, pod))

    @property
    def _staying(self) -> list[ExecutorPod]:
        """Pods that do not end; one that takes for ever to leave may be replaced before it is gone."""
        return [pod for pod in self.view.executors if not pod.ended and pod.leaving_seconds is None]

    @property
    def alive(self) -> int:
        return len(self._staying)

    @property
    def pending(self) -> int:
        return sum(isinstance(pod.state, Pending) for pod in self._staying)


@settings(deadline=None)
@given(_views(), _ALLOCATIONS)
def test_no_limit_is_ever_passed_and_the_work_comes_to_an_end(
    view: Observed, allocation: AllocationSettings
) -> None:
    wanted = desired(
        target=allocation.target,
        batch_size=allocation.batch_size,
        max_pending_pods=allocation.max_pending_pods,
    )
    world, story = World(view), Story(wanted)
    story.fails = lambda action: Trouble.ABSENT if type(action).__name__ == "FindExecutor" else Trouble.NONE
    alive, pending = max(world.alive, allocation.target), max(world.pending, allocation.max_pending_pods)
    used = {pod.executor_id for pod in view.executors} | view.drivers[-1].history.entries.keys()
    for _ in range(60):
        plan = story.look(world.view)
        created = [action.executor_id for action in plan.actions if isinstance(action, CreateExecutor)]
        assert len(created) <= allocation.batch_size
        assert used.isdisjoint(created)
        used |= set(created)
        world.take(plan.actions)
        assert world.alive <= alive
        assert world.pending <= pending
        story.now += plan.requeue_after_seconds or 0.0
    assert deeds(story.look(world.view)) == ()


@settings(deadline=None)
@given(_views(), _ALLOCATIONS, st.floats(0, 1000))
def test_a_second_look_at_an_unchanged_world_does_nothing(
    view: Observed, allocation: AllocationSettings, seconds: float
) -> None:
    wanted = Desired(REFERENCE, ControllerSettings(allocation, (4, 3, 0)))
    story = Story(wanted, now=START + seconds)
    world = World(view)
    for _ in range(10):
        world.take(story.look(world.view).actions)
    quiet = story.look(world.view)
    again = story.look(world.view)
    assert acts(quiet) == acts(again) == ()
    assert quiet.next_state == again.next_state


@settings(deadline=None)
@given(_views(), _ALLOCATIONS)
def test_the_same_input_gives_the_same_plan(view: Observed, allocation: AllocationSettings) -> None:
    wanted, state = desired(target=allocation.target, batch_size=allocation.batch_size), State("me")
    assert reconcile(wanted, view, state, START) == reconcile(wanted, view, state, START)


def test_nothing_is_done_before_everything_was_seen_once() -> None:
    assert Story().look(observed(complete=False)).actions == ()


def test_driver_pods_are_recorded_on_the_job() -> None:
    story = Story()
    view = observed(job=job(driver_uids=("old",)))
    assert RecordDrivers("app-r0", "1", ("old", "uid-d-1")) in acts(story.look(view))


def test_a_record_that_fails_is_made_after_a_pause() -> None:
    story = Story(fails=lambda action: Trouble.CONFLICT)
    view = observed(job=job(driver_uids=()), spark=spark(**NOT_YET))
    assert len(acts(story.look(view))) == 1
    assert acts(story.look(view)) == ()
    assert len(acts(story.look(view, after=1))) == 1


def test_nothing_is_recorded_on_a_job_that_goes() -> None:
    plan = Story().look(observed(drivers=(driver(GONE_HOME),), job=job(driver_uids=(), deleting=True)))
    assert not any(isinstance(action, RecordDrivers) for action in plan.actions)


def test_without_settings_nothing_is_allocated() -> None:
    assert acts(Story(Desired(REFERENCE)).look(observed())) == ()


def test_memory_of_an_older_driver_is_dropped() -> None:
    story = Story(desired(target=1))
    story.look(observed())
    story.look(observed(drivers=(driver(marks=IdMarks(1, 0, "me-1")),)))
    assert story.state.requested == {1: START}
    new = driver(name="d-2")
    story.look(observed(drivers=(driver(failed(EndKind.DISRUPTED)), new), spark=spark(**NOT_YET)))
    assert (story.state.requested, story.state.driver_uid) == ({}, "uid-d-2")


def _ask(view: Observed, seconds: float = 0.0) -> AskSpark | None:
    story = Story(desired(target=1))
    story.look(view)
    return story.look(view, after=seconds).ask


RUNS = observed(executor(1), drivers=(driver(marks=IdMarks(1, 1, "x")),), spark=spark(1))

ASKS: dict[str, tuple[Observed, float, float | None]] = {
    "there is no driver": (observed(drivers=()), 0, None),
    "the driver has not started": (observed(drivers=(driver(Pending()),)), 0, None),
    "the driver is over": (observed(drivers=(driver(failed(EndKind.DISRUPTED)),)), 0, None),
    "executors are missing": (observed(), 0, 1.5),
    "nothing can be known": (observed(spark=spark(**UNKNOWN)), 0, 1.5),
    "all are there": (RUNS, 0, 3.0),
    "all have been there for long": (RUNS, 120, 15.0),
}


@pytest.mark.parametrize(("view", "seconds", "every"), ASKS.values(), ids=ASKS.keys())
def test_the_driver_is_asked_as_often_as_it_is_worth(
    view: Observed, seconds: float, every: float | None
) -> None:
    ask = _ask(view, seconds)
    assert (ask.every_seconds if ask else None) == every


def test_without_settings_nobody_is_asked() -> None:
    assert Story(Desired(REFERENCE)).look(observed()).ask is None


def test_before_a_driver_counts_as_lost_its_pods_are_asked_for() -> None:
    failed_job = job(JobPhase.FAILED, driver_uids=("uid-d-1",))
    view = observed(job=failed_job)
    story = Story(fails=lambda action: Trouble.UNCERTAIN)
    assert acts(story.look(view)) == ()
    assert acts(story.look(view, after=10)) == (ListPods(),)
    assert acts(story.look(view)) == (), "the server does not answer"
    story.fails = lambda action: Trouble.NONE
    plan = story.look(view, after=1)
    assert acts(plan) == (ListPods(),)
    assert [type(action) for action in acts(story.look(view, after=20))][-1] is RecordOutcome
