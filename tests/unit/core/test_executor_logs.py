from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.actions import DeletePod, MarkDriver, ShowExecutorLog
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.pod_state import EndKind, PodState
from airflow_spark_k8s.core.reconcile import Plan
from airflow_spark_k8s.core.snapshot import Observed
from tests.fakes.scenes import (
    GONE_HOME,
    START,
    UNKNOWN,
    Story,
    desired,
    driver,
    executor,
    failed,
    observed,
    spark,
)


def _view(*states: PodState) -> Observed:
    pods = [executor(number, state) for number, state in enumerate(states, start=1)]
    return observed(*pods, drivers=(driver(marks=IdMarks(len(pods), len(pods), "x")),), spark=spark())


def _shown(plan: Plan) -> list[str]:
    return [action.pod_name for action in plan.actions if isinstance(action, ShowExecutorLog)]


@pytest.mark.parametrize("kind", list(EndKind), ids=str)
def test_the_last_words_of_executors_that_failed_by_themselves_are_shown(kind: EndKind) -> None:
    shown = _shown(Story(desired(target=1)).look(_view(failed(kind))))
    wanted = kind in (
        EndKind.ERROR,
        EndKind.OUT_OF_MEMORY,
        EndKind.HEAP_EXHAUSTED,
        EndKind.MAYBE_OUT_OF_MEMORY,
    )
    assert shown == (["d-1-exec-1"] if wanted else [])


def test_they_are_shown_once_and_before_the_pod_is_deleted() -> None:
    story, view = Story(desired(target=1)), _view(failed())
    first = story.look(view)
    assert first.actions[-1] == ShowExecutorLog("d-1-exec-1", "uid-d-1-exec-1")
    assert not any(isinstance(action, DeletePod) for action in first.actions)
    assert _shown(story.look(view, after=600)) == [], "the history could not be written, the log was shown"
    (marked,) = [action for action in first.actions if isinstance(action, MarkDriver)]
    assert marked.history is not None
    recorded = replace(view, drivers=(replace(view.drivers[0], history=marked.history),))
    assert any(isinstance(action, DeletePod) for action in story.look(recorded).actions)


def test_an_executor_that_went_home_said_nothing_of_interest() -> None:
    assert _shown(Story(desired(target=1)).look(_view(GONE_HOME))) == []


def test_an_executor_that_came_too_early_is_no_news() -> None:
    story, view = Story(desired(target=1)), replace(_view(failed(seconds=5)), spark=spark(**UNKNOWN))
    story.look(view)
    assert _shown(story.look(view, after=10)) == []


def test_only_a_few_are_shown_in_a_minute() -> None:
    story = Story(desired(target=1))
    assert _shown(story.look(_view(*[failed()] * 9))) == [f"d-1-exec-{number}" for number in range(1, 6)]
    later = replace(_view(*[failed()] * 9), spark=spark(asked_at=START + 59))
    assert _shown(story.look(later, after=59)) == []
    assert _shown(story.look(later, after=1)) == [f"d-1-exec-{number}" for number in range(6, 10)]


def test_what_was_shown_is_forgotten_with_the_pod() -> None:
    story = Story(desired(target=1))
    story.look(_view(failed()))
    assert story.look(_view(), after=59).next_state.shown
    assert not story.look(_view(), after=1).next_state.shown


def test_a_pod_that_is_gone_has_no_log() -> None:
    story = Story(desired(target=1))
    story.look(_view(failed(), GONE_HOME))
    gone = replace(_view(), departed=(executor(1, failed()),), spark=spark(asked_at=START + 1))
    assert _shown(story.look(gone, after=1)) == []
