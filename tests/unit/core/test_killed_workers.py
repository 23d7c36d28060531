"""Executors that live on although a process in them was killed: what is done about them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.actions import DeletePod, MarkDriver
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.killed_workers import WORKER_KILLED, lost_its_worker
from airflow_spark_k8s.core.pod_state import Ending, EndKind, Succeeded
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.snapshot import ExecutorPod, Observed
from airflow_spark_k8s.core.spec import RecoverySettings
from tests.fakes.scenes import START, Story, desired, driver, executor, failed, observed, says, spark

AUTO = RecoverySettings(heap_mib=1024, overhead_mib=384, drain_fraction="0")
SINGLE = Size(1, 1, 1024, 384)
LOST = EndedExecutor(
    1, "deleted", WORKER_KILLED, START, node="node-2", kind=EndKind.MAYBE_OUT_OF_MEMORY.value, stages=(7,)
)
CHILD_KILLED = Succeeded(Ending(EndKind.OUT_OF_MEMORY, "OOMKilled, exit code 0", 0, 100.0))


def _view(
    *killed: int, history: History | None = None, pods: tuple[ExecutorPod, ...] | None = None
) -> Observed:
    return observed(
        *(pods if pods is not None else (executor(1), executor(2))),
        drivers=(driver(marks=IdMarks(2, 2, "x"), history=history or History()),),
        spark=spark(1, 2, stages={7: "ACTIVE"}, killed_workers=frozenset(killed)),
    )


def _story(recovery: RecoverySettings | None = AUTO) -> Story:
    return Story(desired(target=2, recovery=recovery, cores=2))


def _written(story: Story, view: Observed) -> dict[int, EndedExecutor]:
    written = [action for action in story.look(view).actions if isinstance(action, MarkDriver)]
    return dict(written[0].history.entries) if written and written[0].history else {}


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        ("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\n\tat …", True),
        ("org.apache.spark.api.python.PythonException: Traceback …\nKeyError: 1", False),
        ("", False),
    ],
)
def test_what_says_that_a_worker_is_gone(error: str, lost: bool) -> None:
    assert lost_its_worker(error) is lost


def test_it_is_recorded_as_a_loss_perhaps_for_memory_and_then_removed_and_replaced() -> None:
    story = _story()
    plan = story.look(_view(1))
    (mark,) = (action for action in plan.actions if isinstance(action, MarkDriver))
    assert mark.history is not None
    assert mark.history.entries == {1: LOST}
    assert any(
        line.startswith(f"executor 1 deleted: {WORKER_KILLED} (on node-2, 2 cores") for line in says(plan)
    )
    recorded = History({1: LOST})
    plan = story.look(_view(1, history=recorded))
    assert [action.name for action in plan.actions if isinstance(action, DeletePod)] == ["d-1-exec-1"]
    assert not [action for action in plan.actions if isinstance(action, MarkDriver)]
    # Its place is free once it is gone.
    plan = story.look(_view(1, history=recorded, pods=(executor(2),)), after=60)
    assert [
        action.marks.reserved for action in plan.actions if isinstance(action, MarkDriver) and action.marks
    ] == [3]
    assert "executor 3 replaces 1: one task at a time" in " ".join(
        says(
            story.look(
                replace(
                    _view(1, pods=(executor(2),)),
                    drivers=(driver(marks=IdMarks(3, 2, "me-1"), history=recorded),),
                )
            )
        )
    )


def test_the_pods_own_word_corrects_it() -> None:
    story = _story()
    view = _view(1, history=History({1: LOST}))
    story.look(view)
    told = _written(
        story, _view(1, history=History({1: LOST}), pods=(executor(1, CHILD_KILLED), executor(2)))
    )
    assert (told[1].kind, told[1].reason) == (EndKind.OUT_OF_MEMORY, "OOMKilled, exit code 0")
    corrected = _view(1, history=History(told), pods=(executor(1, CHILD_KILLED), executor(2)))
    assert _written(story, corrected) == {}


def test_a_bare_kill_is_written_once() -> None:
    bare = executor(1, failed(EndKind.MAYBE_OUT_OF_MEMORY, 137))
    story = _story()
    told = _written(story, _view(pods=(bare, executor(2))))
    assert told[1].kind == EndKind.MAYBE_OUT_OF_MEMORY
    assert _written(story, _view(history=History(told), pods=(bare, executor(2)))) == {}


@pytest.mark.parametrize(
    ("recovery", "view"),
    [
        pytest.param(replace(AUTO, mode="off"), _view(1), id="recovery is off"),
        pytest.param(None, _view(1), id="there is no recovery"),
        pytest.param(replace(AUTO, max_executor_ooms=0), _view(1), id="the budget is spent"),
        pytest.param(
            replace(AUTO, max_memory_steps=0),
            _view(1, pods=(executor(1, size=SINGLE), executor(2))),
            id="nothing larger would replace it",
        ),
        pytest.param(AUTO, _view(3), id="the executor is gone already"),
        pytest.param(
            AUTO, _view(1, pods=(executor(1, leaving_seconds=30), executor(2))), id="it is leaving anyway"
        ),
    ],
)
def test_it_is_left_alone_if(recovery: RecoverySettings | None, view: Observed) -> None:
    assert _written(_story(recovery), view) == {}


def test_a_single_task_executor_is_replaced_by_one_with_more_memory() -> None:
    view = _view(1, pods=(executor(1, size=SINGLE), executor(2)))
    story = _story()
    lost = _written(story, view)[1]
    assert lost.size == SINGLE
    gone = replace(
        _view(1, pods=(executor(2),)),
        drivers=(driver(marks=IdMarks(3, 2, "me-1"), history=History({1: lost})),),
    )
    assert "executor 3 replaces 1: one task at a time, 1 core, heap 1024 MiB, overhead" in " ".join(
        says(story.look(gone))
    )
