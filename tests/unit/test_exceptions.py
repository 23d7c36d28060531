"""The tree of errors: as it is drawn, and as retry policies see it."""

from __future__ import annotations

import pickle
import re

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from airflow_spark_k8s import exceptions
from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.outcome import Outcome, Verdict

_LINE = re.compile(
    r"^(?P<branch>(?:│   |    )*[├└]── )?(?P<name>[A-Z]\w+)(?: \((?P<also>\w+)\))?(?:\s{2,}|$)"
)


def _drawn() -> dict[str, set[str]]:
    """Name -> names of the classes it stands under, and of those in brackets."""
    path: list[str] = []
    found: dict[str, set[str]] = {}
    for line in (exceptions.__doc__ or "").splitlines():
        match = _LINE.match(line)
        if match is None or line.startswith("Every"):
            continue
        depth = len(match["branch"] or "") // 4
        path = [*path[:depth], match["name"]]
        found[match["name"]] = {*path[depth - 1 : depth], *filter(None, [match["also"]])}
    return found


def test_the_tree_is_drawn_as_it_is() -> None:
    classes = {
        name: {base.__name__ for base in value.__bases__} - {"Exception"}
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert _drawn() == classes


ENDS: list[tuple[Verdict, str | None, str]] = [
    (Verdict.DRIVER_FAILED, None, "DriverFailed"),
    (Verdict.DRIVER_OUT_OF_MEMORY, None, "DriverOutOfMemory"),
    (Verdict.DRIVER_LOST, None, "DriverLost"),
    (Verdict.DRIVER_START_FAILED, None, "DriverStartFailed"),
    (Verdict.DRIVER_START_FAILED, Cause.IMAGE, "ImagePullFailed"),
    (Verdict.DRIVER_START_FAILED, Cause.CONFIGURATION, "DriverMisconfigured"),
    (Verdict.DRIVER_START_FAILED, Cause.REFUSED, "DriverRefused"),
    (Verdict.EXECUTOR_START_FAILED, Cause.IMAGE, "ExecutorStartFailed"),
    (Verdict.EXECUTOR_MEMORY_SPENT, None, "ExecutorMemorySpent"),
    (Verdict.TIMED_OUT, None, "ApplicationTimedOut"),
    (Verdict.TIMED_OUT, Cause.VOLUME, "ApplicationTimedOut"),
    (Verdict.TIMED_OUT, Cause.UNSCHEDULABLE, "Unschedulable"),
    (Verdict.TIMED_OUT, Cause.QUOTA, "QuotaUsedUp"),
    (Verdict.SIGHT_LOST, None, "SightLost"),
]


@pytest.mark.parametrize(("verdict", "cause", "name"), ENDS, ids=[f"{v}, {c}" for v, c, _ in ENDS])
def test_a_retry_policy_tells_verdicts_apart_by_class(verdict: Verdict, cause: str | None, name: str) -> None:
    error = Outcome(verdict, "why", "n", "a", "a-r0", cause=cause).error()
    assert error is not None
    exact = RetryRule(
        exception=f"airflow_spark_k8s.exceptions.{name}", action=RetryAction.FAIL, match_subclasses=False
    )
    assert ExceptionRetryPolicy(rules=[exact]).evaluate(error, 1, 3).action is RetryAction.FAIL
    wide = RetryRule(exception="airflow_spark_k8s.exceptions.ApplicationFailed", action=RetryAction.FAIL)
    assert ExceptionRetryPolicy(rules=[wide]).evaluate(error, 1, 3).action is RetryAction.FAIL
    assert str(pickle.loads(pickle.dumps(error))) == "why"
