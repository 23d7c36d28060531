from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_spark_k8s.core.actions import Action, CreateExecutor
from airflow_spark_k8s.core.history import EndedExecutor, ForgottenLosses, History
from airflow_spark_k8s.core.pod_state import Deleted, Ending, EndKind, PodState
from airflow_spark_k8s.core.recovery import Recovery, recover
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import MEMORY_KINDS, Size
from airflow_spark_k8s.core.spec import AllocationSettings, RecoverySettings
from tests.fakes.model import Model
from tests.fakes.scenes import GONE_HOME, acts, desired, failed

AUTO = RecoverySettings(heap_mib=1024, overhead_mib=384)
CALM = replace(AUTO, drain_fraction="0")
NORMAL, SINGLE = Size(0, 2, 1024, 384), Size(1, 1, 1024, 384)
GROWN, HEAP_GROWN = Size(2, 1, 1024, 576), Size(2, 1, 1536, 384)
OOM, HEAP, MAYBE = EndKind.OUT_OF_MEMORY, EndKind.HEAP_EXHAUSTED, EndKind.MAYBE_OUT_OF_MEMORY
EVICTED = failed(EndKind.DISRUPTED, 137)


def _model(target: int = 4, recovery: RecoverySettings | None = AUTO, **options: Any) -> Model:
    wanted = desired(target, recovery=recovery, cores=options.pop("cores", 2), batch_size=20)
    return Model(wanted, **options).settle()


# What a running application gets.


@pytest.mark.parametrize(("kind", "code"), [(OOM, 137), (OOM, 0), (HEAP, 52), (MAYBE, 137)], ids=str)
def test_one_loss_brings_exactly_one_executor_with_one_task_at_a_time(kind: EndKind, code: int) -> None:
    model = _model().kill(2, kind=kind, code=code)
    assert model.created == {1: None, 2: None, 3: None, 4: None, 5: SINGLE}
    assert model.alive == [1, 3, 4, 5]


OTHER_ENDS: dict[str, PodState] = {
    "an error": failed(EndKind.ERROR, 1),
    "an eviction": EVICTED,
    "a deletion": failed(EndKind.DELETED, 143),
    "a deletion before it ran": Deleted(Ending(EndKind.DELETED, "deleted")),
    "a container that cannot start": failed(EndKind.NEVER_STARTED, 128),
    "going home": GONE_HOME,
}


@pytest.mark.parametrize("state", OTHER_ENDS.values(), ids=OTHER_ENDS.keys())
def test_another_end_brings_an_ordinary_executor(state: PodState) -> None:
    model = _model().end(2, state).settle()
    assert set(model.created.values()) == {None}
    assert len(model.alive) == 4


@pytest.mark.parametrize("recovery", [None, replace(AUTO, mode="off")], ids=["not set", "off"])
def test_without_recovery_everything_is_replaced_alike(recovery: RecoverySettings | None) -> None:
    model = _model(recovery=recovery).kill(1, 2, 3, 5, 6, 7)
    assert set(model.created.values()) == {None}
    assert len(model.alive) == 4


def test_with_recovery_from_the_start_every_executor_takes_one_task() -> None:
    model = _model(recovery=replace(AUTO, mode="on"))
    assert set(model.created.values()) == {SINGLE}
    assert model.kill(2).created[5] == GROWN
    assert model.end(1, EVICTED).settle().created[6] == SINGLE


def test_a_recovery_executor_that_is_lost_otherwise_is_replaced_by_its_like() -> None:
    model = _model(recovery=CALM).kill(2).end(5, EVICTED).settle()
    assert model.created[6] == SINGLE
    assert model.end(1, EVICTED).settle().created[7] is None


LADDERS: dict[str, tuple[list[tuple[EndKind, int]], Size]] = {
    "killed twice": ([(OOM, 137), (OOM, 137)], GROWN),
    "out of heap twice": ([(HEAP, 52), (HEAP, 52)], HEAP_GROWN),
    "killed, then out of heap": ([(OOM, 137), (HEAP, 52)], HEAP_GROWN),
    "perhaps killed twice": ([(MAYBE, 137), (MAYBE, 137)], GROWN),
    "killed, out of heap, killed": ([(OOM, 137), (HEAP, 52), (OOM, 137)], Size(3, 1, 1536, 576)),
}


@pytest.mark.parametrize(("ends", "size"), LADDERS.values(), ids=LADDERS.keys())
def test_a_recovery_executor_grows_by_what_ran_out(ends: list[tuple[EndKind, int]], size: Size) -> None:
    model = _model(recovery=replace(CALM, max_task_failures=100))
    number = 2
    for kind, code in ends:
        model.kill(number, kind=kind, code=code)
        number = max(model.created)
    assert model.created[number] == size
    assert sum(pod.size is not None for pod in model.pods.values()) == 1


def test_when_its_stage_has_finished_new_executors_are_ordinary_again() -> None:
    model = _model(recovery=CALM).kill(2)
    model.stages = {7: "COMPLETE", 8: "ACTIVE"}
    assert model.settle().alive == [1, 3, 4, 5], "one that is there stays"
    assert model.end(5, EVICTED).settle().created[6] is None
    assert model.lines.count("back to normal: stage 7 has finished") == 1


def test_a_sticky_recovery_outlives_its_stage() -> None:
    model = _model(recovery=replace(CALM, sticky=True)).kill(2)
    model.stages = {7: "COMPLETE", 8: "ACTIVE"}
    assert model.end(5, EVICTED).settle().created[6] == SINGLE


def test_a_stage_that_nobody_knows_is_never_over() -> None:
    model = _model(recovery=CALM)
    model.stages = {}
    model.kill(2)
    model.stages = {7: "COMPLETE", 8: "ACTIVE"}
    assert model.end(5, EVICTED).settle().created[6] == SINGLE


def test_a_loss_of_an_executor_from_an_older_stage_leaves_the_next_loss_its_answer() -> None:
    model = _model(recovery=CALM).kill(2)
    model.stages = {7: "COMPLETE", 8: "ACTIVE"}
    model.settle().kill(5)
    assert model.created[6] == GROWN
    assert model.kill(1).created[7] == SINGLE


# Draining.


def test_from_the_second_loss_on_the_other_executors_are_retired_one_after_the_other() -> None:
    model = _model(target=8)
    model.busy = {1, 3, 4, 5, 6, 8}
    model.lingering = True
    model.kill(2, kind=OOM).end(9, EVICTED).settle()
    model.kill(1)
    leaving = [number for number, pod in model.pods.items() if pod.leaving_seconds is not None]
    assert leaving == [3, 7], "a quarter of eight, idle ones first"
    assert "retiring executors 3, 7: single-task ones take over" in model.lines
    assert model.settle().alive == sorted(model.pods), "the next two wait until these are gone"
    model.lingering = False
    model.leave().settle(40)
    assert model.steps == [1] * 8
    assert max(len(plan.actions) for plan in model.plans) < 20


def test_the_next_ones_wait_until_the_replacements_have_registered() -> None:
    model = _model(target=8).kill(1)
    model.slow = set(range(10, 100))
    model.kill(2).settle(20)
    retired = [entry.executor_id for entry in model.history.entries.values() if entry.kind == "drained"]
    assert len(retired) == 2
    model.slow = set()
    assert model.settle(40).steps == [1] * 8


def test_where_the_driver_cannot_be_asked_running_replacements_are_enough() -> None:
    model = _model(target=4)
    model.answers = False
    model.kill(1).settle(30)
    model.kill(2).settle(200)
    assert model.steps == [1] * 4


def test_when_one_more_loss_may_be_the_last_all_go_at_once() -> None:
    model = _model(target=8, recovery=replace(AUTO, drain_fraction="1/8"))
    model.lingering = True
    model.kill(1, 2, 4)
    leaving = [number for number, pod in model.pods.items() if pod.leaving_seconds is not None]
    assert leaving == [3, 5, 6, 7, 8]
    assert model.leave().settle(10).steps == [1] * 8


def test_with_few_failures_allowed_the_first_loss_retires_all() -> None:
    assert _model(recovery=replace(AUTO, max_task_failures=2)).kill(1).settle(20).steps == [1] * 4


def test_draining_can_be_switched_off() -> None:
    assert _model(recovery=CALM).kill(1, 2, 3).steps == [0, 1, 1, 1]


def test_losses_that_had_to_make_room_go_on_to_drain() -> None:
    model = _model(recovery=replace(AUTO, sticky=True))
    model.history = replace(model.history, forgotten_losses=FORGOTTEN)
    assert model.settle(40).steps[0] == 1
    assert len(model.alive) == 4


def test_executors_that_take_one_task_anyway_are_not_drained() -> None:
    model = _model(recovery=replace(AUTO, task_cores=2)).kill(1, 2)
    assert model.settle(20).created == {
        1: None, 2: None, 3: None, 4: None, 5: Size(2, 2, 1024, 576), 6: Size(2, 2, 1024, 576)
    }  # fmt: skip


def test_an_executor_that_is_killed_for_memory_while_it_is_retired_counts() -> None:
    model = _model(target=8)
    model.lingering = True
    model.kill(1, 2)
    leaving = [number for number, pod in model.pods.items() if pod.leaving_seconds is not None]
    model.end(leaving[0], failed(OOM, 137)).end(leaving[1], failed(EndKind.DELETED, 143)).settle()
    kinds = [model.history.entries[number].kind for number in leaving]
    assert kinds == ["out of memory", "drained"]


def test_a_driver_that_does_not_answer_any_more_is_left_alone() -> None:
    model = _model().kill(1)
    model.end(2, failed(OOM, 137))
    before = model.view()
    silent = replace(before, spark=replace(before.spark, asked_at=model.now - 100))
    plan = model.story.look(silent)
    assert not any(entry.kind == "drained" for entry in model.history.entries.values())
    assert not any(isinstance(action, CreateExecutor) for action in plan.actions)


# Limits.


def test_after_the_last_step_nothing_of_that_stage_is_replaced() -> None:
    model = _model(recovery=replace(CALM, max_memory_steps=1)).kill(1, 5)
    assert model.created[6] == GROWN
    model.kill(6)
    assert model.settle(20).alive == [2, 3, 4]
    model.kill(2)
    assert model.settle(20).alive == [3, 4], "smaller ones come to the same end"
    assert model.end(3, EVICTED).settle(20).alive == [4, 7], "other losses are made up for"
    model.stages = {7: "FAILED", 8: "ACTIVE"}
    assert len(model.settle(20).alive) == 4, "another stage may need less"


def test_more_losses_than_the_window_allows_are_made_up_for_later() -> None:
    model = _model(recovery=replace(CALM, max_executor_ooms=2, window_seconds=600))
    model.kill(1, 2, 3)
    assert model.alive == [4, 5, 6]
    model.now += 400
    due = model.settle(2).plans[-1].requeue_after_seconds
    assert due is not None
    assert 100 < due < 200
    assert "memory budget spent: nothing replaces 3" in model.lines
    model.now += due
    assert len(model.settle().alive) == 4


def test_the_window_holds_whatever_becomes_of_the_stages() -> None:
    model = _model(recovery=replace(CALM, max_executor_ooms=1)).kill(1, 2)
    model.stages = {7: "COMPLETE", 8: "ACTIVE"}
    assert len(model.settle(20).alive) == 3


def test_no_loss_at_all_may_be_made_up_for() -> None:
    assert _model(recovery=replace(AUTO, max_executor_ooms=0)).kill(1).settle(10).alive == [2, 3, 4]


# The sum itself.


def _losses(*sizes: Size | None, kind: EndKind = OOM, stages: tuple[int, ...] = (7,)) -> History:
    entries = [
        EndedExecutor(number, "failed", "", 1000.0 + number, kind=kind.value, size=size, stages=stages)
        for number, size in enumerate(sizes, start=1)
    ]
    return History({entry.executor_id: entry for entry in entries})


def _recover(
    history: History, given: RecoverySettings = CALM, stages: dict[int, str] | None = None
) -> Recovery:
    settings = ControllerSettings(AllocationSettings(4), (4, 3, 0), executor_cores=2, recovery=given)
    found = recover(settings, history, {7: "ACTIVE"} if stages is None else stages, 1010.0)
    assert found is not None
    return found


DEMANDS: dict[str, tuple[tuple[Size | None, ...], dict[Size, int]]] = {
    "nothing": ((), {}),
    "one": ((None,), {SINGLE: 1}),
    "two": ((None, None), {SINGLE: 2}),
    "its replacement, too": ((None, SINGLE), {GROWN: 1}),
    "two and one replacement": ((None, None, SINGLE), {SINGLE: 1, GROWN: 1}),
    "a replacement of another stage": ((SINGLE, None), {GROWN: 1, SINGLE: 1}),
    "up two steps": ((None, SINGLE, GROWN), {Size(3, 1, 1024, 864): 1}),
}


@pytest.mark.parametrize(("sizes", "demand"), DEMANDS.values(), ids=DEMANDS.keys())
def test_what_losses_ask_for(sizes: tuple[Size | None, ...], demand: dict[Size, int]) -> None:
    assert _recover(_losses(*sizes)).demand == demand


def test_while_draining_single_task_executors_are_nothing_special() -> None:
    found = _recover(_losses(None, None, SINGLE), AUTO)
    assert (found.base, found.demand) == (SINGLE, {SINGLE: 2, GROWN: 1})
    assert found.sizes([None, SINGLE], [9, 7, 8]) == {7: GROWN, 8: SINGLE, 9: SINGLE}


def test_special_sizes_go_to_the_lowest_ids_and_live_ones_are_counted() -> None:
    found = _recover(_losses(None, None, None))
    assert found.sizes([SINGLE, None], [5, 6, 7, 8]) == {5: SINGLE, 6: SINGLE, 7: None, 8: None}
    assert found.sizes([SINGLE] * 9, [5]) == {5: None}


FORGOTTEN = (ForgottenLosses(None, OOM.value, 5), ForgottenLosses(SINGLE, OOM.value, 2))


def test_losses_that_had_to_make_room_count_if_nothing_says_that_they_are_over() -> None:
    history = replace(_losses(None), forgotten_losses=FORGOTTEN)
    assert _recover(history).demand == {SINGLE: 1}
    assert _recover(history, replace(CALM, sticky=True)).demand == {SINGLE: 4, GROWN: 2}
    assert _recover(history, stages={}).demand == {SINGLE: 4, GROWN: 2}
    assert _recover(history, AUTO, {}).drains
    assert not _recover(history, AUTO).drains


def test_of_several_stages_one_that_is_not_over_is_enough() -> None:
    history = _losses(None, stages=(6, 7))
    assert _recover(history, stages={6: "COMPLETE", 7: "ACTIVE"}).demand == {SINGLE: 1}
    over = _recover(history, stages={6: "COMPLETE", 7: "COMPLETE", 8: "ACTIVE"})
    assert (over.demand, len(over.past)) == ({}, 1)


# Whatever happens.

ENDS = st.sampled_from(
    [
        *(failed(kind, 52 if kind is HEAP else 137) for kind in sorted(MEMORY_KINDS)),
        *(failed(kind, 1) for kind in (EndKind.ERROR, EndKind.DISRUPTED, EndKind.DELETED)),
        GONE_HOME,
    ]
)
EVENTS = st.one_of(
    st.tuples(st.just("end"), st.integers(0, 9), ENDS),
    st.tuples(st.just("stage"), st.integers(0, 9), ENDS),
    st.tuples(st.just("controller"), st.integers(0, 9), ENDS),
    st.tuples(st.just("leave"), st.integers(0, 9), ENDS),
)
SETTINGS = st.builds(
    RecoverySettings,
    mode=st.sampled_from(["auto", "on"]),
    max_memory_steps=st.integers(0, 3),
    max_executor_ooms=st.integers(0, 6),
    drain_fraction=st.sampled_from(["0", "1/4", "1"]),
    sticky=st.booleans(),
    max_task_failures=st.integers(1, 5),
    max_executor_memory_mib=st.sampled_from([None, 1408, 2000]),
    heap_mib=st.just(1024),
    overhead_mib=st.just(384),
)


@settings(max_examples=60, deadline=None)
@given(
    given_settings=SETTINGS,
    target=st.integers(1, 5),
    lingering=st.booleans(),
    events=st.lists(EVENTS, max_size=12),
)
def test_whatever_happens_the_limits_hold(
    given_settings: RecoverySettings,
    target: int,
    lingering: bool,
    events: list[tuple[str, int, PodState]],
) -> None:
    model = _model(target, given_settings, lingering=lingering)
    for count, (what, number, state) in enumerate(events):
        _happen(model, count, what, number, state)
        for _ in range(6):
            model.tick()
            assert len(model.alive) <= target
            if model.plans[-1].finish or model.plans[-1].next_state.outcome:
                return
        _check(model, given_settings)


def _happen(model: Model, count: int, what: str, number: int, state: PodState) -> None:
    running = model.alive
    if what == "end" and running:
        model.end(running[number % len(running)], state)
    elif what == "stage":
        model.stages = {**dict.fromkeys(model.stages, "COMPLETE"), max(model.stages) + 1: "ACTIVE"}
    elif what == "controller":
        model.another_controller(f"controller-{count}")
    elif what == "leave":
        model.leave()


def _check(model: Model, given_settings: RecoverySettings) -> None:
    """Ids are never given out twice: the model itself refuses that."""
    highest = 1 + given_settings.max_memory_steps
    limit = given_settings.max_executor_memory_mib
    for size in filter(None, model.created.values()):
        assert size.step <= highest
        assert limit is None or size.heap_mib + size.overhead_mib <= limit
    recovery, cleaning = model.decided()
    assert cleaning.recovery == recovery
    lost = [entry for entry in model.history.entries.values() if entry.kind in MEMORY_KINDS]
    assert recovery is not None
    assert len(lost) - len(recovery.given_up) <= given_settings.max_executor_ooms


@settings(max_examples=40, deadline=None)
@given(
    target=st.integers(1, 5),
    events=st.lists(
        st.tuples(
            st.sampled_from(["end", "stage", "controller"]),
            st.integers(0, 9),
            st.sampled_from(list(OTHER_ENDS.values())),
        ),
        max_size=10,
    ),
)
def test_an_application_without_memory_trouble_is_looked_after_as_if_there_were_no_recovery(
    target: int, events: list[tuple[str, int, PodState]]
) -> None:
    plans: list[list[tuple[Action, ...]]] = []
    for recovery in (AUTO, replace(AUTO, mode="off"), None):
        model = _model(target, recovery)
        for count, event in enumerate(events):
            _happen(model, count, *event)
            model.settle(4)
        plans.append([acts(plan) for plan in model.plans])
    assert plans[0] == plans[1] == plans[2]
