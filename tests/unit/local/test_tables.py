from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_spark_k8s.local.pod_table import pod_state
from airflow_spark_k8s.local.resources import JOBS, SERVICE_ACCOUNTS
from airflow_spark_k8s.local.tables import human_duration, table

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def pod(
    *states: dict[str, Any], phase: str = "Running", deleted: bool = False, init: list[Any] | None = None
) -> Any:
    metadata = {"name": "p"} | ({"deletionTimestamp": "x"} if deleted else {})
    statuses = [{"state": each, "ready": "running" in each} for each in states]
    status: dict[str, Any] = {"phase": phase, "containerStatuses": statuses}
    spec: dict[str, Any] = {"containers": [{}] * len(states)}
    if init is not None:
        spec["initContainers"] = [{}] * len(init)
        status["initContainerStatuses"] = [{"state": each} for each in init]
    return {"metadata": metadata, "spec": spec, "status": status}


RUNNING: dict[str, Any] = {"running": {}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


@pytest.mark.parametrize(
    ("given", "state"),
    [
        pytest.param(pod(RUNNING), "Running", id="runs"),
        pytest.param(
            pod({"waiting": {"reason": "ImagePullBackOff"}}, phase="Pending"), "ImagePullBackOff", id="waits"
        ),
        pytest.param(
            pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), "OOMKilled", id="out of memory"
        ),
        pytest.param(pod({"terminated": {"exitCode": 3}}), "ExitCode:3", id="no reason but a code"),
        pytest.param(
            pod({"terminated": {"exitCode": 1, "signal": 9}}), "Signal:9", id="no reason but a signal"
        ),
        pytest.param(pod(DONE, RUNNING), "Running", id="one container is done, one runs"),
        pytest.param(pod(RUNNING, deleted=True), "Terminating", id="deleted while it runs"),
        pytest.param(pod(DONE, phase="Succeeded", deleted=True), "Completed", id="deleted when it was done"),
        pytest.param(
            pod(RUNNING, phase="Pending", init=[DONE, RUNNING]), "Init:1/2", id="the second init container"
        ),
        pytest.param(
            pod(RUNNING, phase="Pending", init=[{"terminated": {"exitCode": 1, "reason": "Error"}}]),
            "Init:Error",
            id="an init container failed",
        ),
        pytest.param(pod(phase="Pending"), "Pending", id="nothing yet"),
    ],
)
def test_the_state_of_a_pod_in_a_word(given: Any, state: str) -> None:
    assert pod_state(given) == state


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0, "0s"),
        (119.9, "119s"),
        (120, "2m"),
        (335, "5m35s"),
        (3600, "60m"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (50 * 3600, "2d2h"),
        (10 * 86400, "10d"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_a_row_carries_its_metadata() -> None:
    account = {"metadata": {"name": "robot", "creationTimestamp": "2026-11-22T11:59:00Z"}}
    made = table(SERVICE_ACCOUNTS, [account], {"resourceVersion": "1"}, NOW)
    assert [each["name"] for each in made["columnDefinitions"]] == ["Name", "Age"]
    assert made["rows"][0]["cells"] == ["robot", "60s"]
    assert made["rows"][0]["object"]["metadata"] == account["metadata"]
    later = table(SERVICE_ACCOUNTS, [account], {}, NOW, headed=False, include="None")
    assert later["columnDefinitions"] is None
    assert "object" not in later["rows"][0]


@pytest.mark.parametrize(
    ("status", "cells"),
    [
        pytest.param(
            {"startTime": "2026-11-22T11:50:00Z", "active": 1}, ["Running", "0/1", "10m"], id="runs"
        ),
        pytest.param(
            {
                "startTime": "2026-11-22T11:50:00Z",
                "completionTime": "2026-11-22T11:50:05Z",
                "succeeded": 1,
                "conditions": [{"type": "Complete", "status": "True"}],
            },
            ["Complete", "1/1", "5s"],
            id="is done",
        ),
        pytest.param(
            {"conditions": [{"type": "Suspended", "status": "True"}]}, ["Suspended", "0/1", ""], id="waits"
        ),
    ],
)
def test_the_row_of_a_job(status: dict[str, Any], cells: list[str]) -> None:
    spec = {"completions": 1, "parallelism": 1, "template": {"spec": {"containers": []}}}
    job = {"metadata": {"name": "j"}, "spec": spec, "status": status}
    assert table(JOBS, [job], {}, NOW)["rows"][0]["cells"][1:4] == cells
