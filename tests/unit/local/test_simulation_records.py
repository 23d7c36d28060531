"""What simulations check beside the cluster: records that Airflow keeps, and what is left in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, PODS
from airflow_spark_k8s.local.simulation import requests
from airflow_spark_k8s.local.simulation.event_loop import SimulationLoop
from airflow_spark_k8s.local.simulation.leftovers import check_leftovers
from airflow_spark_k8s.local.simulation.mishaps import befall
from airflow_spark_k8s.local.simulation.scenario import Mishap, Planned, draw
from airflow_spark_k8s.local.simulation.stage import Stage
from airflow_spark_k8s.local.simulation.trace import Trace

T = TypeVar("T")


def _run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=lambda: SimulationLoop(random.Random(1))) as runner:
        return runner.run(main)


RECORDS = {
    "a log line": lambda stage: stage.log("trigger-1", f"conf: {requests.PASSWORD}"),
    "a payload": lambda stage: stage.check_record("the outcome", f'["{requests.AUTH_SECRET.decode()}"]'),
}


@pytest.mark.parametrize("leak", RECORDS.values(), ids=RECORDS.keys())
def test_a_secret_in_a_record_is_a_problem(leak: Callable[[Stage], None]) -> None:
    async def main() -> list[str]:
        stage = _stage()
        stage.log("trigger-1", "nothing special")
        assert stage.problems == []
        leak(stage)
        return stage.problems

    problems = _run(main())
    assert len(problems) == 1
    assert problems[0].startswith("a secret is in ")


def _stage() -> Stage:
    loop: Any = asyncio.get_running_loop()
    return Stage.build(draw(1), Trace(loop.time))


def _pod(stage: Stage, name: str, owner: dict[str, str], phase: str = "Succeeded") -> None:
    """A pod whose owner may not be there, as the garbage collector would not leave it."""
    metadata = {"name": name, "namespace": "default", "ownerReferences": [owner]}
    spec = {"containers": [{"name": "main", "image": "image"}], "nodeName": "gone", "restartPolicy": "Never"}
    stage.cluster.store.create(PODS, {"metadata": metadata, "spec": spec})
    stage.cluster.store.edit(
        PODS, "default", name, lambda pod: pod.update(status={"phase": phase}), subresource="status"
    )


def _job(stage: Stage, *, suspend: bool = False) -> dict[str, str]:
    template = {"spec": {"containers": [{"name": "main", "image": "image"}], "restartPolicy": "Never"}}
    spec = {"suspend": suspend, "template": template}
    job = stage.cluster.store.create(
        JOBS, {"metadata": {"name": "job", "namespace": "default"}, "spec": spec}
    )
    return {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": job["metadata"]["uid"]}


def _pod_of_nobody(stage: Stage) -> None:
    _pod(stage, "pod", {"apiVersion": "v1", "kind": "Pod", "name": "driver", "uid": "uid"})


def _pod_of_another_job(stage: Stage) -> None:
    _pod(stage, "pod", {**_job(stage), "uid": "uid"})


def _live_pod(stage: Stage) -> None:
    _pod(stage, "pod", _job(stage), "Running")


def _retained_job(stage: Stage) -> None:
    stage.retained.append(_job(stage)["uid"])


LEFTOVERS: dict[str, tuple[Callable[[Stage], object], str]] = {
    "nothing": (lambda stage: None, ""),
    "a pod that has ended with its Job": (lambda stage: _pod(stage, "pod", _job(stage)), ""),
    "a pod that lives": (_live_pod, "pod pod is left behind and lives"),
    "a pod without an owner": (_pod_of_nobody, "pod pod is left behind without an owner"),
    "a pod of an older Job": (_pod_of_another_job, "pod pod is left behind without an owner"),
    "a Job that nobody resumes": (
        lambda stage: _job(stage, suspend=True),
        "Job job is left suspended for ever",
    ),
    "a Job beyond its retention": (_retained_job, "Job job is left longer than its retention"),
}


@pytest.mark.parametrize(("leave", "problem"), LEFTOVERS.values(), ids=LEFTOVERS.keys())
def test_what_is_left_behind_is_noticed(leave: Callable[[Stage], object], problem: str) -> None:
    async def main() -> list[str]:
        stage = _stage()
        leave(stage)
        check_leftovers(stage, None)
        return stage.problems

    assert _run(main())[:1] == ([problem] if problem else [])


def test_what_is_left_of_a_killed_application_is_noticed() -> None:
    async def main() -> list[str]:
        stage = _stage()
        metadata = {"name": "map", "namespace": "default", "labels": {LABEL_APPLICATION: "app"}}
        stage.cluster.store.create(CONFIG_MAPS, {"metadata": metadata})
        check_leftovers(stage, "app")
        return stage.problems

    assert _run(main()) == ["after the kill there is ConfigMap map"]


@pytest.mark.parametrize("mishap", [Mishap.SILENT_NODE, Mishap.LOST_NODE, Mishap.DRAINED_NODE])
def test_no_node_is_struck_where_none_is_left(mishap: Mishap) -> None:
    async def main() -> Stage:
        stage = _stage()
        for kubelet in stage.cluster.kubelets.values():
            kubelet.stop()
        stage.cluster.kubelets.clear()
        await befall(stage, Planned(mishap, 0.0, 1.0, 7))
        return stage

    assert _run(main()).trace.counts == {}
