from __future__ import annotations

import argparse
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from airflow_spark_k8s.commands import demo
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.labels import ANNOTATION_EXECUTOR_IDS, LABEL_APPLICATION
from airflow_spark_k8s.exceptions import ClusterUnreachable
from airflow_spark_k8s.local.demo_scenarios import SCENARIOS
from airflow_spark_k8s.local.demo_view import ExecutorRow, View, look, told
from tests.fakes.cluster import FakeCluster

DRIVER = "app-r0-abcde"


def pod(name: str, role: str, container: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    labels = {LABEL_APPLICATION: "app", "spark-role": role, **metadata.pop("labels", {})}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels,
            **metadata,
        },
        "spec": {"containers": [container]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": container["name"], "state": {"running": {}}}],
        },
    }


def driver(*ended: EndedExecutor) -> dict[str, Any]:
    history = History().with_ended(ended)
    annotations = {ANNOTATION_EXECUTOR_IDS: '{"reserved": 3, "settled": 2}', **history.annotation()}
    return pod(DRIVER, "driver", {"name": "spark-kubernetes-driver"}, annotations=annotations)


def executor(number: int, cores: int, memory: str) -> dict[str, Any]:
    container = {
        "name": "spark-kubernetes-executor",
        "env": [{"name": "SPARK_EXECUTOR_CORES", "value": str(cores)}],
        "resources": {"limits": {"memory": memory}},
    }
    owner = [{"kind": "Pod", "name": DRIVER, "uid": f"uid-{DRIVER}", "controller": True}]
    return pod(
        f"{DRIVER}-exec-{number}",
        "executor",
        container,
        labels={"spark-exec-id": str(number)},
        ownerReferences=owner,
    )


class Pods(FakeCluster):
    """A cluster that has these pods, and whose driver does not answer."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        super().__init__()
        self.pods = list(pods)

    async def request(self, method: str, path: str, **_: Any) -> Any:
        return {"items": self.pods}

    async def text(self, path: str, **_: Any) -> str:
        raise ClusterUnreachable("nobody is there")


def shown(view: View) -> str:
    console = Console(file=StringIO(), width=120)
    console.print(view.panel("oom_recovery", "deferred", 12.0))
    file: Any = console.file
    return str(file.getvalue())


async def test_an_executor_that_was_killed_stays_in_sight() -> None:
    both = await look(Pods(driver(), executor(1, 2, "1536Mi"), executor(2, 2, "1536Mi")), "default", View())
    assert [row.state for row in both.executors] == ["running", "running"]
    killed = EndedExecutor(1, "failed", "OOMKilled, exit code 137", 0.0, 137)
    after = await look(
        Pods(driver(killed), executor(2, 2, "1536Mi"), executor(3, 1, "2048Mi")), "default", both
    )
    assert after.executors == (
        ExecutorRow(1, "2", "1536Mi", "OOMKilled, exit code 137", "red"),
        ExecutorRow(2, "2", "1536Mi", "running", "green"),
        ExecutorRow(3, "1", "2048Mi", "running", "green"),
    )
    panel = shown(after)
    assert "oom_recovery  12 s" in panel
    assert "OOMKilled, exit code 137" in panel
    assert "3  1 core   2048Mi  running" in panel


async def test_without_a_driver_the_view_stays() -> None:
    before = View(requested=2)
    assert await look(Pods(), "default", before) is before


def test_only_the_first_line_of_an_executors_log_is_told_of() -> None:
    lines = ["up", "[app-r0-x-exec-12] one", "[app-r0-x-exec-12] two", "executor 13 replaces 12", "up"]
    assert told(lines) == [
        "up",
        "(the task's log has the last lines of executor 12)",
        "executor 13 replaces 12",
        "up",
    ]


@pytest.mark.parametrize("name", ["pi", "oom", "heap"])
def test_every_scenario_can_be_chosen(name: str) -> None:
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    assert parser.parse_args(["--scenario", name]).scenario == name
    assert SCENARIOS[name].about in " ".join(parser.format_help().split())
    assert parser.parse_args([]).scenario == "pi"
