from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.actions import MarkDriver
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.pod_state import Pending, Running
from airflow_spark_k8s.core.snapshot import DriverPod, SparkView
from tests.fakes.scenes import (
    GONE_HOME,
    NOT_YET,
    READY,
    UNKNOWN,
    Story,
    desired,
    driver,
    executor,
    observed,
    spark,
)

BEGUN = driver(marks=IdMarks(3, 3, "x"))

OPENINGS: dict[str, tuple[DriverPod, SparkView, float, bool]] = {
    "the application is visible": (driver(), spark(), 0, True),
    "the application is visible before the probe": (driver(Running()), spark(), 0, True),
    "the driver is pending": (driver(Pending()), spark(), 0, False),
    "the driver has no address": (driver(ip=""), spark(), 0, False),
    "the driver is being removed": (driver(deleting=True), spark(), 0, False),
    "the port is open, the application is not visible": (driver(), spark(**NOT_YET), 59, False),
    "… for a minute": (driver(), spark(**NOT_YET), 60, True),
    "the driver cannot be asked": (driver(), spark(**UNKNOWN), 9, False),
    "… and has been ready for a while": (driver(), spark(**UNKNOWN), 10, True),
    "… and is not ready": (driver(Running()), spark(**UNKNOWN), 3600, False),
    "the answer is of another driver": (driver(), spark(of="d-0"), 9, False),
    "executors have been created before": (BEGUN, spark(**NOT_YET), 1, True),
}


@pytest.mark.parametrize(("pod", "answer", "seconds", "opened"), OPENINGS.values(), ids=OPENINGS.keys())
def test_executors_are_created_once(pod: DriverPod, answer: SparkView, seconds: float, opened: bool) -> None:
    view = observed(drivers=(pod,), spark=answer)
    story = Story(desired(target=4))
    first = story.look(view)
    plan = story.look(view, after=seconds) if seconds else first
    assert any(isinstance(action, MarkDriver) for action in plan.actions) == opened


def test_the_controller_looks_again_when_the_gate_may_open() -> None:
    plan = Story().look(observed(spark=spark(**UNKNOWN)))
    assert plan.requeue_after_seconds == 10


AFTER_AN_END: dict[str, tuple[DriverPod, SparkView, float, bool]] = {
    "the driver has answered since": (driver(), spark(asked_at=1000), 0, True),
    "the driver has not answered since": (driver(), spark(asked_at=999), 300, False),
    "the driver's interface is closed": (driver(), spark(**NOT_YET), 59, False),
    "… but it goes on for a minute": (driver(), spark(**NOT_YET), 60, True),
    "… and its RPC port is closed, too": (driver(Running()), spark(**NOT_YET), 3600, False),
    "the driver cannot be asked just now": (driver(), spark(**UNKNOWN), 9, False),
    "… for a while": (driver(), spark(**UNKNOWN), 10, True),
    "… and is not ready": (driver(Running()), spark(**UNKNOWN), 3600, False),
}


@pytest.mark.parametrize(
    ("pod", "answer", "seconds", "wanted"), AFTER_AN_END.values(), ids=AFTER_AN_END.keys()
)
def test_an_executor_that_ended_is_replaced(
    pod: DriverPod, answer: SparkView, seconds: float, wanted: bool
) -> None:
    marked = replace(pod, marks=IdMarks(2, 2, "x"))
    view = observed(executor(1, GONE_HOME), executor(2, READY), drivers=(marked,), spark=answer)
    story = Story(desired(target=2))
    first = story.look(view)
    plan = story.look(view, after=seconds) if seconds else first
    assert any(isinstance(action, MarkDriver) for action in plan.actions) == wanted
