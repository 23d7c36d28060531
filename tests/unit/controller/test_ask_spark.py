"""What one question to a driver's REST API gives, if the driver does not run what it should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.complaints import Complaints
from airflow_spark_k8s.controller.observe import Observer, ask_spark
from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.reconcile import AskSpark
from airflow_spark_k8s.core.snapshot import Reach
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import NotFound
from tests.fakes.scenes import spark

ROOT = "/api/v1/namespaces/spark/pods/d-1:4040/proxy/api/v1/applications"
ASK = AskSpark("d-1", "uid-d-1", 4040, 1.0)


class Pages:
    """A cluster behind whose pod proxy there are only these pages."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self._pages = pages

    async def text(self, path: str, **options: Any) -> str:
        page = self._pages.get(path)
        if page is None:
            raise NotFound("404 page not found", status=404)
        return json.dumps(page)


def observer(pages: Mapping[str, Any]) -> Observer:
    cluster: Any = Pages(pages)
    world = World(ApplicationReference("spark", "app", "app-r0", "uid-of-job", "ti"))
    clock = SystemClock()
    return Observer(cluster, world, clock, Complaints(clock, print), lambda: 0.0)


@pytest.mark.parametrize("application", ["local-1700000000000", "chosen-by-the-code"])
async def test_an_application_under_another_id_is_asked_for_its_master(application: str) -> None:
    properties = {"sparkProperties": [["spark.master", "local[*]"], ["spark.executor.instances", "0"]]}
    pages = {ROOT: [{"id": application}], f"{ROOT}/{application}/environment": properties}
    view = await ask_spark(observer(pages), ASK)
    assert (view.reach, view.application_id, view.master, view.instances) == (
        Reach.NO,
        application,
        "local[*]",
        "0",
    )


@pytest.mark.parametrize("listed", [[], [{"id": "d-1"}]], ids=["none yet", "ours, a moment later"])
async def test_a_driver_without_another_application_starts(listed: list[dict[str, str]]) -> None:
    view = await ask_spark(observer({ROOT: listed}), ASK)
    assert (view.reach, view.application_id, view.master) == (Reach.NO, None, None)


def _told(*peaks_mib: int | None) -> dict[str, Any]:
    executors = [
        {"id": str(number), "isActive": True, "peakMemoryMetrics": {"ProcessTreeJVMRSSMemory": mib * 2**20}}
        if mib is not None
        else {"id": str(number), "isActive": True}
        for number, mib in enumerate(peaks_mib, start=1)
    ]
    return {f"{ROOT}/d-1": {"id": "d-1", "name": "x"}, f"{ROOT}/d-1/allexecutors": executors}


async def test_what_executors_do_and_which_stages_there_are_is_known() -> None:
    told = {"activeTasks": 2, "rddBlocks": 3, "removeReason": "exit code 137"}
    stage = {"stageId": 7, "attemptId": 0, "status": "ACTIVE", "numTasks": 4, "numActiveTasks": 2}
    root = f"{ROOT}/d-1"
    pages = {
        root: {"id": "d-1"},
        f"{root}/allexecutors": [{"id": "1", "isActive": False, **told}, {"id": "2", "isActive": True}],
        f"{root}/stages": [stage],
    }
    view = await ask_spark(observer(pages), ASK)
    first, second = view.executors[1], view.executors[2]
    assert (first.active_tasks, first.rdd_blocks, first.remove_reason) == (2, 3, "exit code 137")
    assert (first.idle, second.idle) == (False, True)
    assert view.stages == {7: "ACTIVE"}


CRASHED = "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)\n\tat org.apache…"


async def test_executors_whose_python_workers_are_gone_are_known_and_asked_about_once() -> None:
    root, stage = f"{ROOT}/d-1", {"stageId": 7, "attemptId": 0, "status": "ACTIVE"}
    counts = {"numTasks": 4, "numActiveTasks": 2}
    failed = [
        {"executorId": "1", "errorMessage": CRASHED},
        {"executorId": "2", "errorMessage": "KeyError: 1"},
    ]
    pages = {
        root: {"id": "d-1"},
        f"{root}/allexecutors": [{"id": "1", "isActive": True}, {"id": "2", "isActive": True}],
        f"{root}/stages": [{**stage, **counts, "numFailedTasks": 2}],
        f"{root}/stages/7/0/taskList": failed,
    }
    watcher = observer(pages)
    view = await ask_spark(watcher, ASK)
    assert (view.killed_workers, view.failed_tasks) == ({1}, {(7, 0): 2})
    watcher.world.see_spark(view)
    del pages[f"{root}/stages/7/0/taskList"]
    assert (await ask_spark(watcher, ASK)).killed_workers == {1}
    # What could not be read is asked for again.
    pages[f"{root}/stages"] = [{**stage, **counts, "numFailedTasks": 3}]
    assert (await ask_spark(watcher, ASK)).failed_tasks == {(7, 0): 2}
    pages[f"{root}/stages/7/0/taskList"] = [*failed, {"executorId": "2", "errorMessage": CRASHED}]
    assert (await ask_spark(watcher, ASK)).killed_workers == {1, 2}


async def test_what_an_executor_used_most_stays_known() -> None:
    pages = _told(700, None, 300)
    watcher = observer(pages)
    for executors in (_told(500, 400, None), _told(None, 450, 310)):
        watcher.world.see_spark(await ask_spark(watcher, ASK))
        pages.update(executors)
    view = await ask_spark(watcher, ASK)
    assert [view.peak_memory_mib(number) for number in (1, 2, 3)] == [700, 450, 310]


async def test_peaks_are_kept_when_the_driver_answers_no_more() -> None:
    pages = _told(700)
    watcher = observer(pages)
    watcher.world.see_spark(await ask_spark(watcher, ASK))
    pages.clear()
    view = await ask_spark(watcher, ASK)
    assert (view.reach, view.peak_memory_mib(1)) == (Reach.NO, 700)


async def test_another_driver_starts_without_peaks() -> None:
    watcher = observer(_told(None))
    watcher.world.see_spark(spark(1, of="d-0", peaks={1: 700}))
    assert (await ask_spark(watcher, ASK)).peak_memory_mib(1) is None
