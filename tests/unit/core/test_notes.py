from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.actions import CreateExecutor, Trouble
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.notes import Line, speak
from airflow_spark_k8s.core.pod_state import EndKind, Pending, Unknown
from airflow_spark_k8s.core.snapshot import Observed
from tests.fakes.scenes import (
    NOT_YET,
    UNKNOWN,
    Story,
    desired,
    driver,
    executor,
    failed,
    job,
    observed,
    says,
    spark,
)

MARKED = driver(marks=IdMarks(3, 3, "x"))

LINES: dict[str, tuple[Observed, str]] = {
    "a Job without a pod": (observed(drivers=()), "Job app-r0 has no driver pod yet"),
    "a suspended Job": (observed(job=job(JobPhase.SUSPENDED)), "Job app-r0 is suspended"),
    "settings that are missing": (observed(settings_problem="not found"), "settings not readable: not found"),
    "a driver that runs": (observed(), "driver pod d-1 is running on node-1"),
    "a driver that leaves": (
        observed(drivers=(driver(deleting=True),)),
        "driver pod d-1 is running on node-1, being removed (deleted)",
    ),
    "a driver that is evicted": (
        observed(drivers=(driver(deleting=True, disruption="EvictionByEvictionAPI"),)),
        "driver pod d-1 is running on node-1, being removed (EvictionByEvictionAPI)",
    ),
    "a driver that waits": (observed(drivers=(driver(Pending(), node=None),)), "driver pod d-1 is pending"),
    "a driver that says why": (
        observed(drivers=(driver(Pending("Unschedulable", "0/1 nodes"), node=None),)),
        "driver pod d-1 is pending: Unschedulable: 0/1 nodes",
    ),
    "a driver on a silent node": (
        observed(drivers=(driver(Unknown()),)),
        "driver pod d-1 is unknown on node-1",
    ),
    "a driver that was evicted": (
        observed(drivers=(driver(failed(EndKind.DISRUPTED)),)),
        "driver pod d-1 failed: disrupted, exit code 1",
    ),
    "an application that is up": (observed(), "application d-1 is up, Spark 4.3.0"),
    "an application of an unknown version": (observed(spark=spark(version=None)), "application d-1 is up"),
    "executors": (
        observed(executor(1), executor(2, Pending()), drivers=(MARKED,), spark=spark(1)),
        "executors: 3 expected, 0 requested, 1 pending, 1 running, 1 registered",
    ),
    "a round of several": (
        observed(executor(1), drivers=(driver(marks=IdMarks(3, 1, "x")),)),
        "new round: asking for executors 2 to 3",
    ),
    "a round of one": (
        observed(executor(1), drivers=(driver(marks=IdMarks(2, 1, "x")),)),
        "new round: asking for executor 2",
    ),
    "executors that cannot be counted": (
        observed(executor(1), drivers=(MARKED,), spark=spark(**UNKNOWN)),
        "executors: 3 expected, 0 requested, 0 pending, 1 running, unknown registered",
    ),
    "executors that ended": (
        observed(executor(1, failed()), drivers=(MARKED,)),
        "executors: 3 expected, 0 requested, 0 pending, 0 running, 0 registered, 1 ended",
    ),
    "executors that wait": (
        observed(
            executor(1, Pending("ImagePullBackOff", "Back-off")),
            executor(2, Pending("ImagePullBackOff", "Back-off")),
            drivers=(MARKED,),
        ),
        "executors wait: ImagePullBackOff: Back-off (2 of them)",
    ),
    "executors that wait without a word": (
        observed(executor(1, Pending("Strange")), drivers=(MARKED,)),
        "executors wait: Strange (1 of them)",
    ),
}


@pytest.mark.parametrize(("view", "line"), LINES.values(), ids=LINES.keys())
def test_what_is_said_about(view: Observed, line: str) -> None:
    assert line in says(Story().look(view))


SILENT: dict[str, tuple[Observed, str]] = {
    "a driver that could not be asked once": (observed(spark=spark(**UNKNOWN)), "cannot ask"),
    "a driver whose interface is not up yet": (observed(spark=spark(**NOT_YET)), "UI port"),
    "executors before the first round": (observed(spark=spark(**NOT_YET)), "executors:"),
    "executors in their ordinary course": (
        observed(executor(1, Pending("ContainerCreating")), executor(2, Pending()), drivers=(MARKED,)),
        "executors wait",
    ),
    "executors of a driver that is over": (
        observed(executor(1), drivers=(replace(MARKED, state=failed(EndKind.DISRUPTED)),)),
        "executors:",
    ),
}


@pytest.mark.parametrize(("view", "text"), SILENT.values(), ids=SILENT.keys())
def test_nothing_is_said_about(view: Observed, text: str) -> None:
    assert not any(text in line for line in says(Story().look(view)))


def test_a_driver_that_cannot_be_asked_is_said_once_whatever_the_cause_is_called() -> None:
    story = Story()
    view = observed(spark=spark(**UNKNOWN))
    story.look(view)
    assert "cannot ask the driver about registered executors: no right to the pod proxy" in says(
        story.look(view, after=10)
    )
    other = observed(spark=spark(**{**UNKNOWN, "why": "timed out"}))
    assert says(story.look(other, after=1000)) == []


def test_nothing_is_said_twice() -> None:
    story, view = Story(desired(target=1)), observed(executor(1), drivers=(MARKED,), spark=spark(1))
    assert says(story.look(view)) != []
    assert says(story.look(view, after=10)) == []


def test_counts_come_every_two_seconds_at_most() -> None:
    story = Story(desired(target=3))
    view = observed(executor(1), drivers=(MARKED,), spark=spark(1))
    story.look(view)
    more = replace(view, executors=(executor(1), executor(2), executor(3)))
    held = story.look(more, after=0.5)
    assert says(held) == []
    assert held.requeue_after_seconds == 1.5
    assert len(says(story.look(more, after=1.5))) == 1


def test_creation_trouble_is_repeated_once_a_minute_and_forgotten_when_it_is_over() -> None:
    refuse = lambda action: Trouble.REFUSED if isinstance(action, CreateExecutor) else Trouble.NONE  # noqa: E731
    story = Story(desired(target=1), fails=refuse)
    story.look(observed())
    view = observed(drivers=(driver(marks=IdMarks(1, 0, "me-1")),))
    story.look(view)
    trouble = "executors cannot be created: as the server says; trying again"
    assert trouble in says(story.look(view))
    assert trouble not in says(story.look(view, after=59))
    assert trouble in says(story.look(view, after=1))


def _speak(said: Any, *lines: Line, now: float = 0.0) -> Any:
    return speak(said, iter(lines), now)


def test_a_topic_that_is_over_may_be_said_again() -> None:
    first = _speak({}, Line("a", "x"))
    gone = _speak(first.said, now=1)
    assert [note.text for note in _speak(gone.said, Line("a", "x"), now=2).notes] == ["x"]
