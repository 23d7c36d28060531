"""What an Airflow deployment has in a namespace, by application, and its removal."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from airflow_spark_k8s.core.job_state import job_state
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
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import ClusterError, Conflict, Forbidden, NotFound
from airflow_spark_k8s.kube.access import Right
from airflow_spark_k8s.kube.by_uid import delete
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.paths import collection_path, object_path

LISTING_RIGHTS = (
    Right("list", "configmaps", "gc: finds ConfigMaps whose Job is gone", required=False),
    Right("list", "secrets", "gc: finds Secrets whose Job is gone", required=False),
)
"""What is asked in addition to `access.RIGHTS`."""

PAGE_SIZE = 500
MAX_CALLS_AT_ONCE = 8
TIMEOUT_SECONDS = 15.0
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class TaskKey:
    """A task instance, whatever its try."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int  # -1: not mapped


@dataclass(frozen=True, slots=True)
class Piece:
    """One object to delete, with what it owns."""

    kind: str
    name: str
    uid: str
    resource_version: str
    ti_id: str  # of the try that has it
    owner_uids: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class FoundApplication:
    """One application of the deployment, or what is left of it."""

    name: str
    pieces: tuple[Piece, ...]  # its Jobs, oldest first; without one every object that nothing owns any more
    has_job: bool
    task: TaskKey | None  # None: its annotations do not tell
    ti_id: str
    try_number: int | None  # None: its label does not tell
    created_epoch_seconds: float  # of the youngest object
    deleting: bool = False
    finished: bool = False
    removed_at_epoch_seconds: float | None = None  # when Kubernetes does it by itself; None: not known to


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that was found, oldest first, and what could not be looked at."""

    applications: tuple[FoundApplication, ...]
    unlisted: tuple[str, ...]  # one sentence each


@dataclass(frozen=True, slots=True)
class Removal:
    """What came of the removal of one object."""

    piece: Piece
    removed: bool  # False without an error: it is gone already, or somebody else has it by now
    error: str | None = None


async def find_applications(cluster: Cluster, namespace: str, deployment: str) -> Inventory:
    """
    Every application in the namespace that carries the deployment's label.

    Objects whose owner is there belong to it, and are no leftovers.

    :raises ClusterError: Jobs or pods cannot be listed.
    """
    unlisted: list[str] = []
    dependents: list[Manifest] = []
    # Owners last: what was created meanwhile must not look as if it had none.
    for kind in ("Secret", "ConfigMap", "Pod"):
        try:
            dependents += await _listed(cluster, kind, namespace, deployment)
        except Forbidden as error:
            if kind == "Pod":
                raise
            unlisted.append(f"{kind}s without a Job are not looked for: {error}")
    jobs = await _listed(cluster, "Job", namespace, deployment)
    found = [_of_jobs(of_one) for of_one in _by_application(jobs)] + _ownerless(dependents, jobs)
    return Inventory(tuple(sorted(found, key=_age_and_name)), tuple(unlisted))


async def remove(
    cluster: Cluster, namespace: str, applications: Iterable[FoundApplication]
) -> tuple[Removal, ...]:
    """
    What came of each object of `applications`, in their order; no error is raised.

    An object that another try or another Job has taken over since it was found stays.
    """
    slots = asyncio.Semaphore(MAX_CALLS_AT_ONCE)

    async def one(piece: Piece) -> Removal:
        try:
            return Removal(piece, await _remove(cluster, namespace, piece))
        except ClusterError as error:
            return Removal(piece, removed=False, error=str(error))

    async def all_of(application: FoundApplication) -> list[Removal]:
        async with slots:
            # One after the other: a Job is not started once the one that it continues is gone.
            return [await one(piece) for piece in application.pieces]

    removals = await asyncio.gather(*map(all_of, applications))
    return tuple(removal for of_one in removals for removal in of_one)


async def _remove(cluster: Cluster, namespace: str, found: Piece) -> bool:
    """Whether these calls deleted it; False if it is gone, or belongs to somebody else by now."""
    path, now = object_path(found.kind, namespace, found.name), found
    for _ in range(_ATTEMPTS):
        # Bound to what was read: it could be adopted between two calls.
        if await delete(
            cluster,
            path,
            now.uid,
            resource_version=now.resource_version,
            timeout_seconds=TIMEOUT_SECONDS,
        ):
            return True
        try:
            item = await cluster.request("GET", path, timeout_seconds=TIMEOUT_SECONDS)
        except NotFound:
            return False
        now = _piece({**item, "kind": found.kind})
        if replace(now, resource_version=found.resource_version) != found:
            return False
    raise Conflict(f"{found} changes too often to be deleted; try again")


async def _listed(cluster: Cluster, kind: str, namespace: str, deployment: str) -> list[Manifest]:
    params = {"labelSelector": f"{LABEL_DEPLOYMENT}={deployment}", "limit": str(PAGE_SIZE)}
    items: list[Manifest] = []
    while True:
        page = await cluster.request(
            "GET", collection_path(kind, namespace), params=params, timeout_seconds=TIMEOUT_SECONDS
        )
        # The items of a list come without a kind; of Secrets nothing but metadata is kept.
        items += [{**item, "kind": kind, "data": None} for item in page.get("items") or ()]
        params["continue"] = (page.get("metadata") or {}).get("continue") or ""
        if not params["continue"]:
            return items


def _ownerless(dependents: Sequence[Manifest], jobs: Sequence[Manifest]) -> list[FoundApplication]:
    """What is left of applications that have no Job any more."""
    with_job = {_label(job, LABEL_APPLICATION) for job in jobs}
    there = {item["metadata"]["uid"] for item in (*dependents, *jobs)}
    left: dict[str, list[Manifest]] = defaultdict(list)
    for item in dependents:
        name, owned = _label(item, LABEL_APPLICATION), not there.isdisjoint(_piece(item).owner_uids)
        if name not in with_job and not owned and not item["metadata"].get("deletionTimestamp"):
            left[name].append(item)
    return [_of_pieces(name, items) for name, items in left.items()]


def _by_application(jobs: Sequence[Manifest]) -> list[list[Manifest]]:
    """The Jobs of each application, oldest first; several if one continues another."""
    applications: dict[str, list[Manifest]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: len(job_state(job).earlier_uids)):
        applications[_label(job, LABEL_APPLICATION)].append(job)
    return list(applications.values())


def _of_jobs(jobs: Sequence[Manifest]) -> FoundApplication:
    """The application; what its newest Job says counts, and it is not over while another one may follow."""
    job, pieces = jobs[-1], tuple(map(_piece, jobs))
    state, finished_at = job_state(job), _finished_at(job)
    over = state.continued_by is None
    ttl_seconds = job["spec"].get("ttlSecondsAfterFinished") if over else None
    return FoundApplication(
        name=_label(job, LABEL_APPLICATION),
        pieces=pieces,
        has_job=True,
        task=_task(job),
        ti_id=_label(job, LABEL_TI_ID),
        try_number=_try_number(job),
        created_epoch_seconds=_created(job),
        deleting=state.deleting,
        finished=state.finished and over,
        removed_at_epoch_seconds=(
            None if ttl_seconds is None or finished_at is None else finished_at + ttl_seconds
        ),
    )


def _of_pieces(name: str, items: Sequence[Manifest]) -> FoundApplication:
    youngest = max(items, key=_created)
    return FoundApplication(
        name=name,
        pieces=tuple(_piece(item) for item in items),
        has_job=False,
        task=_task(youngest),
        ti_id=_label(youngest, LABEL_TI_ID),
        try_number=_try_number(youngest),
        created_epoch_seconds=_created(youngest),
    )


def _piece(item: Manifest) -> Piece:
    metadata = item["metadata"]
    return Piece(
        kind=item["kind"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        ti_id=_label(item, LABEL_TI_ID),
        owner_uids=tuple(owner["uid"] for owner in metadata.get("ownerReferences") or ()),
    )


def _task(item: Manifest) -> TaskKey | None:
    annotations = item["metadata"].get("annotations") or {}
    try:
        return TaskKey(
            dag_id=annotations[ANNOTATION_DAG_ID],
            task_id=annotations[ANNOTATION_TASK_ID],
            run_id=annotations[ANNOTATION_RUN_ID],
            map_index=int(annotations[ANNOTATION_MAP_INDEX]),
        )
    except (KeyError, ValueError):
        return None


def _label(item: Manifest, key: str) -> str:
    return str((item["metadata"].get("labels") or {}).get(key, ""))


def _try_number(item: Manifest) -> int | None:
    text = _label(item, LABEL_TRY)
    return int(text) if text.isdecimal() else None


def _created(item: Manifest) -> float:
    return _epoch_seconds(item["metadata"]["creationTimestamp"])


def _finished_at(job: Manifest) -> float | None:
    """When the Job's last condition, Complete or Failed, became true; None: it has not finished."""
    times = [
        _epoch_seconds(entry["lastTransitionTime"])
        for entry in (job.get("status") or {}).get("conditions") or ()
        if entry["type"] in ("Complete", "Failed") and entry["status"] == "True"
    ]
    return max(times, default=None)


def _epoch_seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _age_and_name(application: FoundApplication) -> tuple[float, str, str]:
    return application.created_epoch_seconds, application.name, application.pieces[0].name
