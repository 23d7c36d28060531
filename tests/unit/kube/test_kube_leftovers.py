"""What is found and removed while others change it."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_spark_k8s.core.labels import (
    ANNOTATION_DAG_ID,
    ANNOTATION_MAP_INDEX,
    ANNOTATION_RUN_ID,
    ANNOTATION_TASK_ID,
    LABEL_APPLICATION,
    LABEL_DEPLOYMENT,
    LABEL_TI_ID,
    LABEL_TRY,
)
from airflow_spark_k8s.exceptions import ServerError
from airflow_spark_k8s.kube import leftovers
from airflow_spark_k8s.kube.cluster import MERGE_PATCH
from airflow_spark_k8s.kube.leftovers import FoundApplication, TaskKey, find_applications, remove
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.store import Store

NAMESPACE = "default"
LABELS = {LABEL_APPLICATION: "app", LABEL_DEPLOYMENT: "ours", LABEL_TI_ID: "ti-1", LABEL_TRY: "2"}
ANNOTATIONS = {
    ANNOTATION_DAG_ID: "dag",
    ANNOTATION_TASK_ID: "task",
    ANNOTATION_RUN_ID: "run",
    ANNOTATION_MAP_INDEX: "3",
}
POD_SPEC = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
SPECS: dict[str, Any] = {
    "Job": {"spec": {"template": {"spec": POD_SPEC}}},
    "Pod": {"spec": POD_SPEC},
    "ConfigMap": {},
    "Secret": {"data": {"password": "c2VjcmV0"}},
}

Mischief = Callable[[], Awaitable[None]]


class Cluster(InProcessCluster):
    """A store without controllers; something may happen before each deletion and after each list."""

    def __init__(self) -> None:
        store = Store(wall_clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), chance=random.Random(1))
        super().__init__(Api(store))
        self.before_deletion: list[Mischief] = []
        self.after_list: dict[str, Mischief] = {}
        self.deletions = 0

    async def request(self, method: str, path: str, **options: Any) -> Any:
        if method == "DELETE":
            self.deletions += 1
            if self.before_deletion:
                await self.before_deletion.pop(0)()
        answer = await super().request(method, path, **options)
        if method == "GET" and path.rsplit("/", 1)[-1] in self.after_list:
            await self.after_list.pop(path.rsplit("/", 1)[-1])()
        return answer

    async def make(self, kind: str, name: str, *owners: Any, **labels: str) -> Any:
        references = [{"name": "x", **owner} for owner in owners]
        metadata = {"name": name, "labels": {**LABELS, **labels}, "annotations": ANNOTATIONS}
        body = {**SPECS[kind], "metadata": {**metadata, "ownerReferences": references}}
        made = await self.request("POST", collection_path(kind, NAMESPACE), body=body)
        api_version = "batch/v1" if kind == "Job" else "v1"
        return {"apiVersion": api_version, "kind": kind, "uid": made["metadata"]["uid"]}

    async def change(self, kind: str, name: str, **metadata: Any) -> None:
        path = object_path(kind, NAMESPACE, name)
        await self.request("PATCH", path, body={"metadata": metadata}, content_type=MERGE_PATCH)

    async def found(self) -> tuple[FoundApplication, ...]:
        return (await find_applications(self, NAMESPACE, "ours")).applications

    async def names(self, kind: str) -> list[str]:
        answer = await self.request("GET", collection_path(kind, NAMESPACE))
        return [item["metadata"]["name"] for item in answer["items"]]


async def test_what_a_job_owns_is_no_leftover() -> None:
    cluster = Cluster()
    job = await cluster.make("Job", "app-r0")
    driver = await cluster.make("Pod", "driver", job)
    await cluster.make("Pod", "executor", driver)
    await cluster.make("Secret", "app-conf", job)
    (found,) = await cluster.found()
    assert [str(piece) for piece in found.pieces] == ["Job app-r0"]
    assert found.task == TaskKey("dag", "task", "run", 3)
    assert (found.ti_id, found.try_number, found.has_job) == ("ti-1", 2, True)


async def test_what_only_pods_own_that_nobody_owns_goes_with_them() -> None:
    cluster = Cluster()
    driver = await cluster.make("Pod", "driver")
    await cluster.make("Pod", "executor", driver)
    await cluster.make("ConfigMap", "app-app", {"apiVersion": "batch/v1", "kind": "Job", "uid": "gone"})
    (found,) = await cluster.found()
    assert sorted(str(piece) for piece in found.pieces) == ["ConfigMap app-app", "Pod driver"]
    assert not found.has_job


async def test_an_application_whose_next_job_is_there_already_has_no_leftovers() -> None:
    """A driver that is started again has another Job; what it uses may be handed over at this moment."""
    cluster = Cluster()
    await cluster.make("Job", "app-r1")
    await cluster.make("Secret", "app-conf")
    assert [str(piece) for found in await cluster.found() for piece in found.pieces] == ["Job app-r1"]


async def test_what_is_created_while_objects_are_listed_is_no_leftover() -> None:
    cluster = Cluster()

    async def submit() -> None:
        await cluster.make("Pod", "driver", await cluster.make("Job", "app-r0"))

    cluster.after_list["configmaps"] = submit
    assert [found.has_job for found in await cluster.found()] == [True]


async def test_long_lists_come_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAGE_SIZE", 2)
    cluster = Cluster()
    for number in range(5):
        await cluster.make("Job", f"app-{number}", **{LABEL_APPLICATION: f"app-{number}"})
    assert [found.name for found in await cluster.found()] == [f"app-{number}" for number in range(5)]


async def test_labels_and_annotations_that_somebody_broke_are_no_error() -> None:
    cluster = Cluster()
    await cluster.make("Job", "app-r0", **{LABEL_TRY: "x"})
    await cluster.change("Job", "app-r0", annotations={ANNOTATION_MAP_INDEX: "many"})
    (found,) = await cluster.found()
    assert (found.task, found.try_number) == (None, None)


async def test_a_job_that_a_later_try_adopts_meanwhile_stays() -> None:
    cluster = Cluster()
    await cluster.make("Job", "app-r0")
    found = await cluster.found()

    async def adopt() -> None:
        await cluster.change("Job", "app-r0", labels={LABEL_TI_ID: "ti-2"})

    cluster.before_deletion.append(adopt)
    (removal,) = await remove(cluster, NAMESPACE, found)
    assert (removal.removed, removal.error) == (False, None)
    assert await cluster.names("Job") == ["app-r0"]


async def test_a_secret_that_gets_an_owner_meanwhile_stays() -> None:
    cluster = Cluster()
    await cluster.make("Secret", "app-conf")
    found = await cluster.found()
    job = {**await cluster.make("Job", "app-r1"), "name": "app-r1"}
    await cluster.change("Secret", "app-conf", ownerReferences=[job])
    (removal,) = await remove(cluster, NAMESPACE, found)
    assert not removal.removed
    assert await cluster.names("Secret") == ["app-conf"]


async def test_a_job_that_merely_changes_is_removed_all_the_same() -> None:
    cluster = Cluster()
    await cluster.make("Job", "app-r0")
    found = await cluster.found()

    async def note() -> None:
        await cluster.change("Job", "app-r0", annotations={"noted": str(cluster.deletions)})

    cluster.before_deletion += [note, note]
    (removal,) = await remove(cluster, NAMESPACE, found)
    assert removal.removed
    assert await cluster.names("Job") == []

    await cluster.make("Job", "app-r0")
    cluster.before_deletion += [note] * 10
    (removal,) = await remove(cluster, NAMESPACE, await cluster.found())
    assert removal.error == "Job app-r0 changes too often to be deleted; try again"


async def test_one_that_is_gone_or_another_of_its_name_is_no_error() -> None:
    cluster = Cluster()
    await cluster.make("Job", "app-r0")
    await cluster.make("Job", "other-r0", **{LABEL_APPLICATION: "other"})
    found = await cluster.found()
    for name in ("app-r0", "other-r0"):
        path, options = object_path("Job", NAMESPACE, name), {"propagationPolicy": "Background"}
        await cluster.request("DELETE", path, body=options)
    await cluster.make("Job", "other-r0", **{LABEL_APPLICATION: "other"})
    removals = await remove(cluster, NAMESPACE, found)
    assert [(removal.removed, removal.error) for removal in removals] == [(False, None)] * 2
    assert await cluster.names("Job") == ["other-r0"]


async def test_an_error_of_one_object_is_told_and_the_others_go() -> None:
    cluster = Cluster()
    for number in range(3):
        await cluster.make("Job", f"app-{number}", **{LABEL_APPLICATION: f"app-{number}"})

    async def fail() -> None:
        raise ServerError("etcdserver: request timed out", status=500)

    cluster.before_deletion.append(fail)
    removals = await remove(cluster, NAMESPACE, await cluster.found())
    assert [removal.error for removal in removals] == ["etcdserver: request timed out", None, None]
    assert await cluster.names("Job") == ["app-0"]


async def _with_a_following_job(cluster: Cluster) -> None:
    """Two Jobs of one application: the second continues the first, which has failed."""
    first = await cluster.make("Job", "app-r0")
    await cluster.change("Job", "app-r0", annotations={"airflow-spark-k8s/continued-by": "app-r1"})
    await cluster.make("Job", "app-r1")
    earlier = {"airflow-spark-k8s/earlier-jobs": json.dumps([first["uid"]])}
    await cluster.change("Job", "app-r1", annotations=earlier)


async def test_jobs_that_go_on_for_one_another_are_one_application_and_the_oldest_goes_first() -> None:
    cluster = Cluster()
    await _with_a_following_job(cluster)
    (found,) = (await find_applications(cluster, NAMESPACE, "ours")).applications
    assert [piece.name for piece in found.pieces] == ["app-r0", "app-r1"]
    removals = await remove(cluster, NAMESPACE, [found])
    assert [removal.piece.name for removal in removals if removal.removed] == ["app-r0", "app-r1"]
    assert (await find_applications(cluster, NAMESPACE, "ours")).applications == ()


async def test_a_failed_job_that_another_one_is_to_follow_is_not_over() -> None:
    cluster = Cluster()
    await cluster.make("Job", "app-r0")
    failed = {"type": "Failed", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    path = object_path("Job", NAMESPACE, "app-r0")
    for body, place in (
        ({"spec": {"ttlSecondsAfterFinished": 600}}, path),
        ({"status": {"conditions": [failed]}}, f"{path}/status"),
    ):
        await cluster.request("PATCH", place, body=body, content_type=MERGE_PATCH)
    (found,) = (await find_applications(cluster, NAMESPACE, "ours")).applications
    assert found.finished
    assert found.removed_at_epoch_seconds is not None
    await cluster.change("Job", "app-r0", annotations={"airflow-spark-k8s/continued-by": "app-r1"})
    (found,) = (await find_applications(cluster, NAMESPACE, "ours")).applications
    assert (found.finished, found.removed_at_epoch_seconds) == (False, None)
