"""Calls that recovery adds: executors of their own size, the ends of logs, and events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_spark_k8s.controller.apply import MAX_LINE_LENGTH, Hands, apply
from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.actions import (
    Action,
    CreateExecutor,
    ReadEvents,
    Result,
    ShowExecutorLog,
    Trouble,
)
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.spec import AllocationSettings, RecoverySettings
from airflow_spark_k8s.exceptions import ClusterError, ClusterUnreachable, Forbidden
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import EXECUTOR
from tests.fakes.spark import PODS, REFERENCE
from tests.unit.controller.harness import in_virtual_time

AUTO = RecoverySettings(heap_mib=1024, overhead_mib=384, priority_class="high")
MANIFEST: dict[str, Any] = {
    "spec": {"containers": [{"name": EXECUTOR, "resources": {"limits": {"memory": "1408Mi"}}}]}
}
SIZE = Size(2, 1, 1024, 576)
EVENTS = "/api/v1/namespaces/spark/events"


class Eventful(FakeCluster):
    """A cluster with events."""

    asked: dict[str, str]

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        if path != EVENTS or self._fault(method, path) is not None:
            return await super().request(method, path, **options)
        self.asked = dict(options["params"])
        return {"items": [{"reason": "Scheduled"}, {"reason": "Killing"}, {"message": "no reason at all"}]}


def _apply(
    *actions: Action, cluster: FakeCluster, recovery: RecoverySettings | None = AUTO
) -> tuple[World, tuple[Result, ...], list[str]]:
    async def main() -> tuple[World, tuple[Result, ...], list[str]]:
        world = World(REFERENCE)
        settings = ControllerSettings(AllocationSettings(2), (4, 3, 0), recovery=recovery)
        world.see_settings(settings, MANIFEST)
        world.changed.clear()
        lines: list[str] = []
        hands = Hands(cluster, world, lines.append, asyncio.get_running_loop().time, time.time)
        return world, await apply(hands, actions), lines

    return in_virtual_time(main())


@pytest.mark.parametrize(
    ("size", "recovery", "memory"),
    [
        pytest.param(SIZE, AUTO, "1600Mi", id="a size of its own"),
        pytest.param(None, AUTO, "1408Mi", id="an ordinary one"),
        pytest.param(SIZE, None, "1408Mi", id="settings that know nothing of it"),
    ],
)
def test_an_executor_is_created_with(
    size: Size | None, recovery: RecoverySettings | None, memory: str
) -> None:
    cluster = FakeCluster()
    _apply(CreateExecutor(4, "d", "uid-of-d", "10.0.0.1", 1000.0, size), cluster=cluster, recovery=recovery)
    (pod,) = cluster.named("pods")
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == memory
    special = size is not None and recovery is not None
    assert ("airflow-spark-k8s/recovery" in pod["metadata"]["labels"]) is special
    assert pod["spec"].get("priorityClassName") == ("high" if special else None)
    assert MANIFEST["spec"]["containers"][0]["resources"] == {"limits": {"memory": "1408Mi"}}


def test_the_end_of_an_executors_log_is_said_line_by_line() -> None:
    asked: list[Mapping[str, str]] = []
    cluster = FakeCluster()
    cluster.texts[f"{PODS}/d-exec-4/log"] = lambda params: asked.append(params) or "one\n" + "x" * 5000
    _, _, lines = _apply(ShowExecutorLog("d-exec-4", "uid", 20), cluster=cluster)
    assert lines == ["[d-exec-4] one", "[d-exec-4] " + "x" * MAX_LINE_LENGTH]
    assert asked == [{"container": EXECUTOR, "tailLines": "20"}]


def test_a_log_that_is_gone_is_no_trouble() -> None:
    _, results, lines = _apply(ShowExecutorLog("d-exec-4", "uid"), cluster=FakeCluster())
    assert ([result.trouble for result in results], lines) == ([Trouble.ABSENT], [])


def test_the_events_of_a_pod_are_read_by_its_name() -> None:
    cluster = Eventful()
    world, _, _ = _apply(ReadEvents("d-exec-4"), cluster=cluster)
    assert world.observed().events == {"d-exec-4": ("Scheduled", "Killing", "")}
    assert cluster.asked["fieldSelector"] == "involvedObject.kind=Pod,involvedObject.name=d-exec-4"
    assert world.changed.is_set()


def test_the_events_of_what_waits_are_read_by_its_uid() -> None:
    cluster = Eventful()
    world, _, _ = _apply(ReadEvents("app-r0", "Job", "uid-of-job"), cluster=cluster)
    selector = "involvedObject.kind=Job,involvedObject.name=app-r0,involvedObject.uid=uid-of-job"
    assert cluster.asked["fieldSelector"] == selector
    account = world.observed().accounts["uid-of-job"]
    assert [event.reason for event in account.events] == ["Scheduled", "Killing", ""]
    assert account.asked_at == account.read_at
    assert world.observed().events == {}


def test_no_right_to_read_events_is_remembered() -> None:
    cluster = FakeCluster(faults=[Fault(lambda *_: True, lambda: Forbidden("cannot list"), times=9)])
    world, results, _ = _apply(ReadEvents("app-r0", "Job", "uid-of-job"), cluster=cluster)
    assert world.observed().events_refused == "cannot list"
    assert world.observed().accounts["uid-of-job"].events == ()
    world.see_account("uid-of-job", world.observed().accounts["uid-of-job"])
    assert world.observed().events_refused is None
    assert [result.trouble for result in results] == [Trouble.NONE]


def test_no_answer_to_a_question_for_events_leaves_what_is_known() -> None:
    world, _, _ = _apply(ReadEvents("app-r0", "Job", "uid-of-job"), cluster=Eventful())
    known = world.observed().accounts["uid-of-job"]
    world.miss_account("uid-of-job", known.asked_at + 30)
    missed = world.observed().accounts["uid-of-job"]
    assert (missed.events, missed.read_at, missed.asked_at) == (
        known.events,
        known.read_at,
        known.asked_at + 30,
    )
    cluster = FakeCluster(faults=[Fault(lambda *_: True, lambda: ClusterUnreachable("no"), times=9)])
    world, _, _ = _apply(ReadEvents("app-r0", "Job", "uid-of-job"), cluster=cluster)
    unread = world.observed().accounts["uid-of-job"]
    assert (unread.events, unread.read_at < unread.asked_at) == ((), True)


@pytest.mark.parametrize("error", [Forbidden("no"), ClusterUnreachable("no")], ids=["no right", "no answer"])
def test_events_that_cannot_be_read_say_nothing(error: ClusterError) -> None:
    cluster = FakeCluster(faults=[Fault(lambda *_: True, lambda: error, times=9)])
    world, results, _ = _apply(ReadEvents("d-exec-4"), cluster=cluster)
    assert world.observed().events == {"d-exec-4": ()}
    assert [result.trouble for result in results] == [Trouble.NONE]
