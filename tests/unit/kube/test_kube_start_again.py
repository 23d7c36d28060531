"""The next Job of an application: whoever dies or interferes, and when, at most one runs."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_spark_k8s.core.job_state import ANNOTATION_CONTINUED_BY, JobState, job_state, outcome_annotation
from airflow_spark_k8s.core.labels import ANNOTATION_SPEC_HASH, LABEL_APPLICATION
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Invalid,
    InvalidConfiguration,
)
from airflow_spark_k8s.kube.cluster import JSON_PATCH, MERGE_PATCH
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.kube.start_again import start_again
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.store import Store
from tests.unit.kube.fake_api import Died

NAMESPACE = "default"
NEEDED = (("ConfigMap", "app-app"), ("ConfigMap", "app-files"), ("Secret", "app-conf"))
POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
ANNOTATIONS = {ANNOTATION_SPEC_HASH: "hash", ANNOTATION_CONTINUED_BY: "app-r1"}

Mischief = Callable[[], Awaitable[None]]


class World(InProcessCluster):
    """A store without controllers, with one failed Job; something may happen around each request."""

    def __init__(self) -> None:
        super().__init__(
            Api(Store(wall_clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), chance=random.Random(1)))
        )
        self.before: dict[int, Mischief] = {}  # number of a request -> what happens before it
        self.after: dict[int, Mischief] = {}
        self.requests: list[str] = []
        self.counting = False
        self.reference = ApplicationReference(NAMESPACE, "app", "app-r0", "", "ti-1")

    async def request(self, method: str, path: str, **options: Any) -> Any:
        if not self.counting:
            return await super().request(method, path, **options)
        number = len(self.requests)
        self.requests.append(f"{method} {path.rpartition('/')[2]}")
        self.counting = False
        try:
            if number in self.before:
                await self.before[number]()
            answer = await super().request(method, path, **options)
            if number in self.after:
                await self.after[number]()
            return answer
        finally:
            self.counting = True

    @classmethod
    async def make(cls, *, without: str = "") -> World:
        world = cls()
        job = {
            "metadata": {"name": "app-r0", "labels": {LABEL_APPLICATION: "app"}, "annotations": ANNOTATIONS},
            "spec": {"template": {"spec": POD}},
        }
        made = await world.request("POST", collection_path("Job", NAMESPACE), body=job)
        world.uid = made["metadata"]["uid"]
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": "app-r0",
            "uid": world.uid,
            "controller": True,
        }
        for kind, name in NEEDED:
            if name != without:
                body = {"metadata": {"name": name, "ownerReferences": [owner]}}
                await world.request("POST", collection_path(kind, NAMESPACE), body=body)
        return world

    async def start(self) -> Any:
        self.counting = True
        try:
            return await start_again(
                self, self.reference, "app-r0", self.uid, ("pod-1",), now=0.0, timeout_seconds=5.0
            )
        finally:
            self.counting = False

    async def job(self, name: str) -> JobState:
        return job_state(await self.request("GET", object_path("Job", NAMESPACE, name)))

    async def jobs(self) -> list[str]:
        found = await self.request("GET", collection_path("Job", NAMESPACE))
        return [job["metadata"]["name"] for job in found["items"]]

    async def owners(self) -> list[list[str]]:
        found = [await self.request("GET", object_path(kind, NAMESPACE, name)) for kind, name in NEEDED]
        return [sorted(owner["name"] for owner in each["metadata"]["ownerReferences"]) for each in found]

    async def remove(self, name: str = "app-r0") -> None:
        path = object_path("Job", NAMESPACE, name)
        await self.request("DELETE", path, body={"propagationPolicy": "Background"})

    async def annotate(self, **annotations: str) -> None:
        path = object_path("Job", NAMESPACE, "app-r0")
        body = {"metadata": {"annotations": annotations}}
        await self.request("PATCH", path, body=body, content_type=MERGE_PATCH)


async def test_the_new_job_runs_and_owns_what_the_application_needs() -> None:
    world = await World.make()
    new = job_state(await world.start())
    assert world.requests == [
        "GET app-r0",
        "POST jobs",
        "PATCH app-app",
        "PATCH app-files",
        "PATCH app-conf",
        "GET app-r0",
        "PATCH app-r1",
    ]
    assert new == await world.job("app-r1")
    assert (new.earlier_uids, new.driver_uids, new.in_the_making) == ((world.uid,), ("pod-1",), False)
    assert new.phase == "active"
    assert await world.owners() == [["app-r0", "app-r1"]] * 3


@pytest.mark.parametrize("effect", ["before", "after"])
@pytest.mark.parametrize("step", range(7))
async def test_whoever_comes_after_a_crash_completes_it(step: int, effect: str) -> None:
    world = await World.make()

    async def die() -> None:
        raise Died

    getattr(world, effect)[step] = die
    with pytest.raises(Died):
        await world.start()
    resumed = step == 6 and effect == "after"
    if "app-r1" in await world.jobs():
        assert (await world.job("app-r1")).in_the_making != resumed
    world.before, world.after = {}, {}
    await world.start()
    assert not (await world.job("app-r1")).in_the_making
    assert await world.owners() == [["app-r0", "app-r1"]] * 3
    assert await world.jobs() == ["app-r0", "app-r1"]


@pytest.mark.parametrize("step", range(7))
async def test_two_at_once_make_one_job(step: int) -> None:
    world = await World.make()

    async def twin() -> None:
        uid = world.uid
        await start_again(world, world.reference, "app-r0", uid, ("pod-1",), now=9.0, timeout_seconds=5.0)

    world.before[step] = twin
    new = job_state(await world.start())
    assert new.uid == (await world.job("app-r1")).uid
    assert not new.in_the_making
    assert await world.jobs() == ["app-r0", "app-r1"]
    assert await world.owners() == [["app-r0", "app-r1"]] * 3


OUTCOME = outcome_annotation(Outcome(Verdict.DRIVER_LOST, "gone", "spark", "app", "app-r0"))


@pytest.mark.parametrize("end", ["removed", "judged"])
@pytest.mark.parametrize("step", range(6))
async def test_nothing_starts_after_the_old_job_has_come_to_an_end(step: int, end: str) -> None:
    world = await World.make()

    async def finish() -> None:
        await (world.remove() if end == "removed" else world.annotate(**OUTCOME))

    world.before[step] = finish
    with pytest.raises(Conflict):
        await world.start()
    assert "app-r1" not in await world.jobs(), "what was half made is removed as well"


async def test_who_ends_the_old_job_after_the_last_look_finds_the_new_one() -> None:
    world = await World.make()

    async def kill() -> None:
        await world.remove()
        assert await world.jobs() == ["app-r1"]
        await world.remove("app-r1")

    world.before[6] = kill
    with pytest.raises(Conflict, match="was removed or replaced before it started"):
        await world.start()
    assert await world.jobs() == []


async def test_a_job_that_was_replaced_before_it_started_is_left_alone() -> None:
    world = await World.make()

    async def replace() -> None:
        await world.remove("app-r1")
        body = {"metadata": {"name": "app-r1"}, "spec": {"suspend": True, "template": {"spec": POD}}}
        await world.request("POST", collection_path("Job", NAMESPACE), body=body)

    world.before[6] = replace
    with pytest.raises(Conflict, match="was removed or replaced before it started"):
        await world.start()
    assert (await world.job("app-r1")).phase == "suspended"


async def test_a_change_that_is_refused_is_told_as_it_is() -> None:
    world = await World.make()

    async def refuse() -> None:
        raise Invalid("Job.batch is invalid", status=422, reason="Invalid")

    world.before[6] = refuse
    with pytest.raises(Invalid, match="is invalid"):
        await world.start()


async def test_without_a_mark_nothing_starts() -> None:
    world = await World.make()
    path = object_path("Job", NAMESPACE, "app-r0")
    gone = [{"op": "remove", "path": "/metadata/annotations"}]
    await world.request("PATCH", path, body=gone, content_type=JSON_PATCH)
    with pytest.raises(Conflict, match="has an outcome or is not marked as continued"):
        await world.start()
    assert await world.jobs() == ["app-r0"]


async def test_another_job_under_the_old_name_is_not_continued() -> None:
    world = await World.make()
    world.uid = "another"
    with pytest.raises(Conflict, match="was removed"):
        await world.start()
    assert await world.jobs() == ["app-r0"]


async def test_a_name_that_is_taken_is_a_clear_error() -> None:
    world = await World.make()
    body = {"metadata": {"name": "app-r1"}, "spec": {"suspend": True, "template": {"spec": POD}}}
    await world.request("POST", collection_path("Job", NAMESPACE), body=body)
    with pytest.raises(InvalidConfiguration, match=r"app-r1.*has this name"):
        await world.start()


async def test_a_job_on_its_way_out_is_waited_for() -> None:
    world = await World.make()
    finalized = {"name": "app-r1", "finalizers": ["example.com/hold"]}
    body = {"metadata": finalized, "spec": {"suspend": True, "template": {"spec": POD}}}
    await world.request("POST", collection_path("Job", NAMESPACE), body=body)
    await world.remove("app-r1")
    with pytest.raises(Conflict, match="is being removed"):
        await world.start()


async def test_a_job_that_goes_between_two_calls_is_looked_for_again() -> None:
    world = await World.make()
    body = {"metadata": {"name": "app-r1"}, "spec": {"suspend": True, "template": {"spec": POD}}}
    await world.request("POST", collection_path("Job", NAMESPACE), body=body)

    async def go() -> None:
        await world.remove("app-r1")

    world.before[2] = go
    with pytest.raises(Conflict):
        await world.start()


@pytest.mark.parametrize("name", ["app-app", "app-conf"])
async def test_what_the_application_cannot_do_without_must_be_there(name: str) -> None:
    world = await World.make(without=name)
    with pytest.raises(Invalid, match=f"{name} is gone"):
        await world.start()
    assert (await world.job("app-r1")).in_the_making, "it goes with the old Job"


async def test_an_application_without_a_file_of_its_own_has_no_config_map_for_it() -> None:
    world = await World.make(without="app-files")
    assert not job_state(await world.start()).in_the_making


@pytest.mark.parametrize("step", range(7))
async def test_a_server_that_does_not_answer_is_told_as_it_is(step: int) -> None:
    world = await World.make()

    async def fail() -> None:
        raise ClusterUnreachable("timed out")

    world.after[step] = fail
    with pytest.raises(ClusterError, match="timed out"):
        await world.start()
