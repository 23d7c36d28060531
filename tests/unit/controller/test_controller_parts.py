from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.controller.apply import Hands, apply
from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.complaints import Complaints
from airflow_spark_k8s.controller.observe import Observer, read_settings
from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.actions import (
    Action,
    CreateExecutor,
    DeleteJob,
    DeletePod,
    FindExecutor,
    MarkDriver,
    Note,
    RecordDrivers,
    Result,
    ShowDriverLog,
    Trouble,
)
from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.pod_state import Failed
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.spec import AllocationSettings, Manifest
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
)
from airflow_spark_k8s.kube.watch import Changed, Listed, WatchUpdate
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import DRIVER, DRIVER_LABELS, EXECUTOR, job, pod, status, terminated
from tests.fakes.spark import CONFIG_MAP, JOB, PODS, REFERENCE
from tests.unit.controller.harness import LoopClock, in_virtual_time

EXECUTOR_MANIFEST = {"metadata": {"labels": {}}, "spec": {"containers": [{"name": EXECUTOR}]}}


def _apply(
    *actions: Action,
    cluster: FakeCluster | None = None,
    manifest: dict[str, Any] | None = None,
    lines: list[str] | None = None,
) -> tuple[Result, ...]:
    async def main() -> tuple[Result, ...]:
        world = World(REFERENCE)
        world.executor_manifest = manifest or EXECUTOR_MANIFEST
        report = (lines if lines is not None else []).append
        hands = Hands(cluster or FakeCluster(), world, report, asyncio.get_running_loop().time, time.time)
        return await apply(hands, actions)

    return in_virtual_time(main())


def _create(number: int = 1, not_after: float = 1000.0) -> CreateExecutor:
    return CreateExecutor(number, "d", "uid-of-d", "10.0.0.1", not_after)


def _failing(error: Callable[[], ClusterError]) -> FakeCluster:
    return FakeCluster(faults=[Fault(lambda *_: True, error, times=100)])


TROUBLES: dict[str, tuple[Callable[[], ClusterError], Trouble]] = {
    "no right": (lambda: Forbidden("no"), Trouble.REFUSED),
    "an object that is refused": (lambda: Invalid("no"), Trouble.REFUSED),
    "too many requests": (lambda: TooManyRequests("slow down", retry_after_seconds=9), Trouble.REFUSED),
    "no such namespace": (lambda: NotFound("no"), Trouble.REFUSED),
    "no answer": (lambda: ClusterUnreachable("no"), Trouble.UNCERTAIN),
    "a server that breaks down": (lambda: ServerError("no"), Trouble.UNCERTAIN),
}


@pytest.mark.parametrize(("error", "trouble"), TROUBLES.values(), ids=TROUBLES.keys())
def test_a_creation_meets(error: Callable[[], ClusterError], trouble: Trouble) -> None:
    (result,) = _apply(_create(), cluster=_failing(error))
    assert result.trouble is trouble
    assert result.retry_after_seconds == (9 if "slow" in result.message else 0)


def test_a_pod_that_exists_counts_as_created() -> None:
    cluster = FakeCluster()
    assert [result.trouble for result in _apply(_create(), _create(), cluster=cluster)] == [Trouble.NONE] * 2
    assert len(cluster.created) == 1


def test_nothing_is_created_after_the_claim_has_run_out() -> None:
    cluster = FakeCluster()
    (result,) = _apply(_create(not_after=0.0), cluster=cluster)
    assert result.trouble is Trouble.CONFLICT
    assert cluster.calls == []


def test_after_a_failure_the_rest_of_a_batch_is_not_tried() -> None:
    cluster = _failing(lambda: ClusterUnreachable("no"))
    results = _apply(*[_create(number) for number in range(1, 41)], cluster=cluster)
    assert [result.trouble for result in results].count(Trouble.UNCERTAIN) == 16
    assert [result.message for result in results].count("not tried") == 24


def test_an_executor_manifest_without_its_container_is_refused() -> None:
    (result,) = _apply(_create(), manifest={"spec": {"containers": [{"name": "other"}]}})
    assert result.trouble is Trouble.REFUSED
    assert EXECUTOR in result.message


ALLOCATION = AllocationSettings(target=4)
ROLLOUT = Rollout(factor="1.2", fraction="1/4", request_mib=1308, limit_mib=1408)


def _settings(rollout: Rollout | None) -> ControllerSettings:
    return ControllerSettings(ALLOCATION, (4, 3, 0), rollout=rollout)


def _manifest(group: str) -> dict[str, Any]:
    return {**EXECUTOR_MANIFEST, "metadata": {"labels": {"airflow-spark-k8s/memory": group}}}


@pytest.mark.parametrize(
    ("rollout", "plain", "groups"),
    [
        pytest.param(
            ROLLOUT, _manifest("plain"), ["burst", "plain", "plain", "plain"] * 2, id="every fourth bursts"
        ),
        pytest.param(replace(ROLLOUT, fraction="1"), None, ["burst"] * 8, id="all of them burst"),
        pytest.param(None, None, ["burst"] * 8, id="all are alike"),
    ],
)
def test_an_executors_id_tells_which_manifest_it_is_made_from(
    rollout: Rollout | None, plain: dict[str, Any] | None, groups: list[str]
) -> None:
    cluster = FakeCluster()

    async def main() -> None:
        world = World(REFERENCE)
        world.see_settings(_settings(rollout), _manifest("burst"), plain)
        hands = Hands(cluster, world, lambda line: None, asyncio.get_running_loop().time, time.time)
        await apply(hands, [_create(number) for number in range(1, 9)])

    in_virtual_time(main())
    made = [cluster.objects[f"{PODS}/d-exec-{number}"]["metadata"]["labels"] for number in range(1, 9)]
    assert [labels["airflow-spark-k8s/memory"] for labels in made] == groups


def _read(data: dict[str, str]) -> World:
    """What is known after half an hour of reading a ConfigMap."""

    async def main() -> World:
        cluster, world, clock = FakeCluster(), World(REFERENCE), LoopClock()
        cluster.put(CONFIG_MAP, {"metadata": {"name": "app-app"}, "data": data})
        observer = Observer(cluster, world, clock, Complaints(clock, lambda line: None), clock.now)
        with suppress(TimeoutError):
            await asyncio.wait_for(read_settings(observer), 1800)
        return world

    return in_virtual_time(main())


def test_both_manifests_are_read() -> None:
    world = _read(
        {
            "settings.json": _settings(ROLLOUT).to_json(),
            "executor.json": json.dumps(_manifest("burst")),
            "executor-plain.json": json.dumps(_manifest("plain")),
        }
    )
    assert world.observed().settings_problem is None
    assert world.manifest_of(1) == _manifest("burst")
    assert world.manifest_of(2) == _manifest("plain")


@pytest.mark.parametrize(
    ("rollout", "plain"),
    [
        pytest.param(ROLLOUT, {}, id="the manifest is missing"),
        pytest.param(ROLLOUT, {"executor-plain.json": "{"}, id="the manifest is broken"),
        pytest.param(
            replace(ROLLOUT, fraction="some"), {"executor-plain.json": "{}"}, id="the fraction is broken"
        ),
    ],
)
def test_no_executor_bursts_only_because_the_other_manifest_is_of_no_use(
    rollout: Rollout, plain: dict[str, str]
) -> None:
    settings = {"settings.json": _settings(rollout).to_json(), "executor.json": "{}"}
    world = _read({**settings, **plain})
    assert world.observed().settings_problem
    assert world.settings is None


def test_every_pod_is_looked_for_though_the_first_is_absent() -> None:
    cluster = FakeCluster()
    cluster.put(f"{PODS}/d-exec-2", pod("d-exec-2"))
    results = _apply(*[FindExecutor(number, "d", "u") for number in (1, 2, 3)], cluster=cluster)
    assert [result.trouble for result in results] == [Trouble.ABSENT, Trouble.NONE, Trouble.ABSENT]


@pytest.mark.parametrize(
    ("there", "trouble"),
    [("uid-of-p", Trouble.CONFLICT), ("another", Trouble.NONE), (None, Trouble.NONE)],
    ids=["the same", "another", "none"],
)
def test_a_conflict_is_no_deletion_as_long_as_the_object_is_there(
    there: str | None, trouble: Trouble
) -> None:
    cluster = FakeCluster()
    cluster.faults.append(
        Fault(lambda method, path: method == "DELETE", lambda: Conflict("changed", status=409), 1)
    )
    if there is not None:
        cluster.put(f"{PODS}/p", pod("p", uid=there))
    assert [r.trouble for r in _apply(DeletePod("p", "uid-of-p"), cluster=cluster)] == [trouble]


def test_pods_that_are_asked_for_are_taken_in_unless_more_is_known() -> None:
    world = World(REFERENCE)
    running = pod("d", owner=REFERENCE.job_uid, labels=DRIVER_LABELS, status=status("Running"))
    world.found_pods((running,))
    ended = {**running, "status": status("Failed", DRIVER, terminated(3))}
    world.found_pods((ended,))
    world.found_pods((running,))
    assert [driver.ended for driver in world.observed().drivers] == [True]


def test_a_driver_that_is_gone_does_not_come_back_with_an_older_event() -> None:
    # Simulation, seed 13685: then its Job had failed for no known reason, and the verdict was "driver lost".
    world = World(REFERENCE)
    running = pod("d", owner=REFERENCE.job_uid, labels=DRIVER_LABELS, status=status("Running"))
    world.see_pods(Listed((running,), "1"))
    world.found_pods((), world.driver_uids)
    world.see_pods(Changed("MODIFIED", running))
    (driver,) = world.observed().drivers
    assert (driver.gone, driver.ended) == (True, True)


LATE: dict[str, Callable[[Manifest], WatchUpdate]] = {
    "event": lambda pod: Changed("MODIFIED", pod),
    "list": lambda pod: Listed((pod,), "1"),
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE.keys())
def test_an_end_is_not_undone_by_an_older_view_that_comes_late(
    late: Callable[[Manifest], WatchUpdate],
) -> None:
    # Simulation, seed 85: then the driver's exit code was unknown, and the verdict "driver lost".
    world = World(REFERENCE)
    running = pod("d", owner=REFERENCE.job_uid, labels=DRIVER_LABELS, status=status("Running"))
    world.see_pods(Listed((running,), "1"))
    world.found_pods(({**running, "status": status("Failed", DRIVER, terminated(3))},))
    world.see_pods(late(running))
    (driver,) = world.observed().drivers
    assert isinstance(driver.state, Failed)
    assert driver.state.ending.exit_code == 3


def test_a_deletion_says_which_pod_and_how_much_grace() -> None:
    cluster = FakeCluster()
    cluster.put(f"{PODS}/p", pod("p"))
    cluster.put(f"{PODS}/q", pod("q"))
    _apply(DeletePod("p", "uid-of-p", grace_seconds=0), DeletePod("q", "uid-of-q"), cluster=cluster)
    first, second = cluster.deletions
    assert {"preconditions": {"uid": "uid-of-p"}, "gracePeriodSeconds": 0}.items() <= first.items()
    assert second["preconditions"] == {"uid": "uid-of-q"}
    assert "gracePeriodSeconds" not in second


@pytest.mark.parametrize(
    "action",
    [DeletePod("p", "another"), DeletePod("q", "u"), DeleteJob("app-r0", "another")],
    ids=["uid", "gone", "job"],
)
def test_an_object_that_is_gone_or_another_one_counts_as_deleted(action: Action) -> None:
    cluster = FakeCluster()
    cluster.put(f"{PODS}/p", pod("p"))
    cluster.put(JOB, job())
    assert [result.trouble for result in _apply(action, cluster=cluster)] == [Trouble.NONE]
    assert len(cluster.objects) == 2


def test_a_write_on_an_object_that_changed_or_went_is_a_conflict() -> None:
    cluster = FakeCluster()
    cluster.put(JOB, job())
    mark = MarkDriver("gone", "u", "1", IdMarks(1, 0, "me"))
    results = _apply(RecordDrivers("app-r0", "no such version", ("u",)), mark, cluster=cluster)
    assert [result.trouble for result in results] == [Trouble.CONFLICT] * 2


def test_notes_are_said_in_order_and_have_no_result() -> None:
    lines: list[str] = []
    assert _apply(Note("one"), Note("two"), lines=lines) == ()
    assert lines == ["one", "two"]


def test_the_log_of_a_driver_is_said_line_by_line() -> None:
    cluster, lines = FakeCluster(), []  # type: ignore[var-annotated]
    cluster.texts[f"{PODS}/d/log"] = lambda params: f"last {params['tailLines']}\nlines"
    assert [result.trouble for result in _apply(ShowDriverLog("d", 7), cluster=cluster, lines=lines)] == [
        Trouble.NONE
    ]
    assert lines == ["[d] last 7", "[d] lines"]


def test_complaints_come_once_a_minute_and_end_with_a_word() -> None:
    async def main() -> list[str]:
        lines: list[str] = []
        complaints = Complaints(LoopClock(), lines.append)
        complaints.works("it")
        for _ in range(4):
            complaints.failed("it", ServerError("no"))
            await asyncio.sleep(30)
        complaints.works("it")
        return lines

    assert in_virtual_time(main()) == ["it: no; trying again"] * 2 + ["the API server: works again"]


def test_an_outage_is_one_complaint_whatever_suffers_from_it() -> None:
    async def main() -> list[str]:
        lines: list[str] = []
        complaints = Complaints(LoopClock(), lines.append)
        complaints.failed("one", ServerError("no"))
        complaints.failed("two", ServerError("no"))
        complaints.failed("two", Forbidden("you may not", status=403))
        complaints.works("one")
        complaints.works("two")
        return lines

    assert in_virtual_time(main()) == [
        "one: no; trying again",
        "two: you may not; trying again",
        "two: works again",
        "the API server: works again",
    ]


def _driver(version: int = 1, **parts: Any) -> dict[str, Any]:
    return pod("d", owner="uid-of-job", labels=DRIVER_LABELS, version=version, **parts)


def test_pods_of_somebody_else_are_not_seen() -> None:
    world = World(REFERENCE)
    stranger = pod("x", owner="another-job", labels=DRIVER_LABELS)
    world.see_pods(Listed((stranger, pod("y"), _driver()), "1"))
    world.see_pods(Changed("DELETED", stranger))
    assert [driver.name for driver in world.observed().drivers] == ["d"]
    assert world.observed().executors == ()


def test_a_driver_that_a_new_list_does_not_have_is_gone() -> None:
    world = World(REFERENCE)
    world.see_pods(Listed((_driver(),), "1"))
    world.see_pods(Listed((), "2"))
    (driver,) = world.observed().drivers
    assert driver.ended


def test_an_answer_does_not_overwrite_what_a_watch_has_seen_since() -> None:
    world = World(REFERENCE)
    world.see_pods(Listed((_driver(1),), "1"))
    world.wrote_driver(_driver(5, annotations=IdMarks(1, 0, "me").annotation()), "1")
    assert world.observed().drivers[0].marks.reserved == 1
    world.see_pods(Changed("MODIFIED", _driver(9)))
    world.wrote_driver(_driver(7, annotations=IdMarks(4, 0, "me").annotation()), "5")
    assert world.observed().drivers[0].resource_version == "9"


def test_an_answer_about_a_job_that_is_gone_brings_it_not_back() -> None:
    world = World(REFERENCE)
    world.see_job(Listed((job(version=1),), "1"))
    world.see_job(Changed("DELETED", job(version=1)))
    world.wrote_job(job(version=2), "1")
    seen = world.observed().job
    assert seen is not None
    assert seen.deleting


def test_the_system_clock_follows_the_running_loop() -> None:
    async def main() -> None:
        clock = SystemClock(seed=1)
        before = clock.monotonic()
        await clock.sleep(1000)
        assert clock.monotonic() - before >= 1000
        assert clock.now() > 1_700_000_000
        assert 0 <= clock.jitter() < 1
        assert SystemClock(seed=1).jitter() == SystemClock(seed=1).jitter()

    in_virtual_time(main())
