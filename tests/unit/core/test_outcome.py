from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.memory_groups import MemoryGroup
from airflow_spark_k8s.core.memory_losses import Advice, MemoryLoss
from airflow_spark_k8s.core.outcome import ExecutorRecord, Outcome, Verdict
from airflow_spark_k8s.core.spec import ApplicationReference
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
BURST = MemoryGroup("burst", "1.2", 1000, 1200, 3, 1100, 1, 2)
PLAIN = MemoryGroup("plain", "1", 1200, 1200, 4)


def test_an_outcome_survives_json() -> None:
    assert Outcome.from_dict(json.loads(json.dumps(OUTCOME.as_dict()))) == OUTCOME


def test_memory_groups_survive_json() -> None:
    row = ExecutorRecord(
        1, "e", "failed", kind="disrupted", disruption="Evicted", peak_memory_mib=9, memory_group="burst"
    )
    outcome = replace(OUTCOME, executors=(row,), memory_groups=(BURST, PLAIN))
    values = json.loads(json.dumps(outcome.as_dict()))
    assert Outcome.from_dict(values) == outcome
    assert values["memory_groups"][0] == {
        "name": "burst",
        "burst_factor": "1.2",
        "request_mib": 1000,
        "limit_mib": 1200,
        "executors": 3,
        "peak_memory_mib": 1100,
        "out_of_memory_kills": 1,
        "evictions": 2,
    }
    assert BURST.shared_mib == 200


def test_losses_and_advice_survive_json() -> None:
    loss = MemoryLoss(4, "out of heap", "n", 52, 1, 1, 1024, 384, stages=(7, 8), peak_memory_mib=1300)
    advice = Advice("heap_mib", 1024, 1536, "executor 4 ran out of heap in stage 7")
    outcome = replace(OUTCOME, ooms=(loss,), advice=(advice,))
    values = json.loads(json.dumps(outcome.as_dict()))
    assert Outcome.from_dict(values) == outcome
    assert values["advice"] == [
        {
            "dimension": "heap_mib",
            "before": 1024,
            "after": 1536,
            "evidence": "executor 4 ran out of heap in stage 7",
        }
    ]
    values["ooms"][0]["newer"] = 1
    del values["ooms"][0]["stages"]
    assert Outcome.from_dict(values).ooms == (replace(loss, stages=()),)


def test_an_outcome_of_an_older_version_has_no_losses() -> None:
    values = OUTCOME.as_dict()
    del values["ooms"], values["advice"]
    assert Outcome.from_dict(values) == OUTCOME


def test_an_outcome_of_an_older_version_has_no_memory_groups() -> None:
    values = OUTCOME.as_dict()
    del values["memory_groups"]
    assert Outcome.from_dict(values).memory_groups == ()


def test_an_outcome_of_a_newer_version_is_understood() -> None:
    values = OUTCOME.as_dict() | {"new": 1}
    values["executors"][0]["newer"] = 2
    values["memory_groups"] = [
        {"name": "burst", "burst_factor": "2", "request_mib": 1, "limit_mib": 2, "x": 1}
    ]
    expected = replace(OUTCOME, memory_groups=(MemoryGroup("burst", "2", 1, 2),))
    assert Outcome.from_dict(values) == expected


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"verdict": "unheard of"},
        {"verdict": "succeeded"},
        {"verdict": "succeeded", "executors": [3]},
        {**OUTCOME.as_dict(), "memory_groups": [{}]},
        {**OUTCOME.as_dict(), "ooms": [{}]},
        {**OUTCOME.as_dict(), "advice": [3]},
    ],
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


def test_an_outcome_names_the_job_that_the_application_ended_in() -> None:
    reference = ApplicationReference("spark", "app", "app-r0", "uid-0", "ti-1")
    ended = replace(OUTCOME, job_name="app-r2", job_uid="uid-2")
    assert ended.job_of(reference) == replace(reference, job_name="app-r2", job_uid="uid-2")
    assert OUTCOME.job_of(reference) == reference, "recorded by an earlier version"
