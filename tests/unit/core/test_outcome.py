from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_spark_k8s.core.outcome import ExecutorRecord, Outcome, Verdict
from airflow_spark_k8s.exceptions import ApplicationFailed, DriverOutOfMemory

OUTCOME = Outcome(
    Verdict.DRIVER_OUT_OF_MEMORY,
    "driver pod d: OOMKilled",
    "spark",
    "app",
    "app-r0",
    driver_pod="d",
    application_id="d",
    exit_code=137,
    executors=(ExecutorRecord(1, "d-exec-1", "running", node="n"),),
    executor_counts={"running": 1},
)


def test_an_outcome_survives_json() -> None:
    assert Outcome.from_dict(json.loads(json.dumps(OUTCOME.as_dict()))) == OUTCOME


def test_an_outcome_of_a_newer_version_is_understood() -> None:
    values = OUTCOME.as_dict() | {"new": 1}
    values["executors"][0]["newer"] = 2
    assert Outcome.from_dict(values) == OUTCOME


@pytest.mark.parametrize(
    "values",
    [{}, {"verdict": "unheard of"}, {"verdict": "succeeded"}, {"verdict": "succeeded", "executors": [3]}],
)
def test_anything_else_is_no_outcome(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Outcome.from_dict(values)


def test_only_a_success_succeeded() -> None:
    success = Outcome(Verdict.SUCCEEDED, "", "spark", "app", "app-r0")
    assert success.succeeded
    assert success.error() is None
    assert not OUTCOME.succeeded


def test_a_failure_is_an_error_with_its_summary() -> None:
    error = OUTCOME.error()
    assert isinstance(error, DriverOutOfMemory)
    assert str(error) == "driver pod d: OOMKilled"
    assert error.summary == OUTCOME.as_dict()


def test_every_failure_has_an_error_of_its_own() -> None:
    failures = [verdict for verdict in Verdict if verdict is not Verdict.SUCCEEDED]
    errors = [Outcome(verdict, "", "", "", "").error() for verdict in failures]
    assert all(isinstance(error, ApplicationFailed) for error in errors)
    assert len({type(error) for error in errors}) == len(failures)
