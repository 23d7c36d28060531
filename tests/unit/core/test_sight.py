from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.snapshot import Observed
from tests.fakes.scenes import GONE_HOME, START, Story, acts, desired, driver, job, observed

AWAY = "connection refused"
SEEN, NEVER_SEEN = observed(blind=AWAY), Observed(blind=AWAY)


def _story(patience: float | None = 600.0, deadline: float | None = None) -> Story:
    return Story(replace(desired(deadline=deadline), patience_seconds=patience))


@pytest.mark.parametrize("view", [SEEN, NEVER_SEEN], ids=["seen before", "never seen"])
def test_a_cluster_that_is_away_for_too_long_ends_the_wait_and_nothing_is_done(view: Observed) -> None:
    story = _story()
    first = story.look(view)
    assert first.finish is None
    assert first.requeue_after_seconds is not None
    assert first.requeue_after_seconds <= 600
    assert story.look(view, after=599).finish is None
    last = story.look(view, after=1)
    assert last.finish is not None
    assert last.finish.verdict is Verdict.SIGHT_LOST
    assert last.finish.message.startswith(
        "the application could not be watched for 600 s: connection refused; "
    )
    assert "left alone" in last.finish.message
    assert acts(last) == ()


@pytest.mark.parametrize("view", [SEEN, NEVER_SEEN], ids=["seen before", "never seen"])
def test_without_a_limit_it_is_waited_for_ever(view: Observed) -> None:
    story = _story(patience=None)
    story.look(view)
    assert story.look(view, after=10**6).finish is None


def test_sight_in_between_begins_the_wait_anew() -> None:
    story = _story()
    story.look(SEEN)
    story.look(observed(), after=500)
    story.look(SEEN, after=100)
    assert story.look(SEEN, after=599).finish is None
    assert story.look(SEEN, after=1).finish is not None


def test_a_deadline_comes_before_a_longer_patience() -> None:
    story = _story(patience=7200, deadline=START + 60)
    story.look(NEVER_SEEN)
    plan = story.look(NEVER_SEEN, after=60 + 90)
    assert plan.finish is not None
    assert plan.finish.verdict is Verdict.TIMED_OUT


def test_an_outcome_that_is_known_is_not_lost_with_the_sight() -> None:
    view = observed(blind=AWAY, drivers=(driver(GONE_HOME),))
    story = _story()
    for _ in range(30):
        plan = story.look(view, after=40)
        if plan.finish is not None:
            break
    assert isinstance(plan.finish, Outcome)
    assert plan.finish.verdict is Verdict.SUCCEEDED
    recorded = replace(job(), outcome=plan.finish, stopped=True)
    assert _story().look(replace(view, job=recorded)).finish == plan.finish
