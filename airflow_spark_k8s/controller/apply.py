"""Actions of a plan as calls to the cluster; every call is safe to make twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.actions import (
    Action,
    CreateExecutor,
    DeleteJob,
    DeletePod,
    FindExecutor,
    ListPods,
    MarkContinued,
    MarkDriver,
    Note,
    ReadEvents,
    RecordDrivers,
    RecordOutcome,
    RemoveByForce,
    Result,
    ShowDriverLog,
    ShowExecutorLog,
    StartAgain,
    Trouble,
)
from airflow_spark_k8s.core.allocation import CREATE_TIMEOUT_SECONDS
from airflow_spark_k8s.core.executor_pod import EXECUTOR_CONTAINER, executor_name, executor_pod
from airflow_spark_k8s.core.job_state import (
    ANNOTATION_CONTINUED_BY,
    STOPPED_DEADLINE_SECONDS,
    drivers_annotation,
    outcome_annotation,
)
from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.core.object_events import Account, object_events
from airflow_spark_k8s.core.pod_state import DRIVER_CONTAINER
from airflow_spark_k8s.core.recovery_pod import recovery_pod
from airflow_spark_k8s.core.spec import ApplicationReference, Manifest
from airflow_spark_k8s.exceptions import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Invalid,
    InvalidConfiguration,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from airflow_spark_k8s.kube.by_uid import delete
from airflow_spark_k8s.kube.cluster import JSON, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Cluster
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.kube.start_again import start_again
from airflow_spark_k8s.kube.watch import list_objects

CALL_TIMEOUT_SECONDS = 10.0
MAX_CALLS_AT_ONCE = 16
MAX_EVENTS = 500
"""How many events of one object are read."""
JOB_TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
"""Keeps a Job's pods until it has counted them, which needs their nodes to confirm that they ended."""

MAX_LINE_LENGTH = 1000
"""Characters of one line of a log: a query plan may be printed as a single line."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What it takes to carry out a plan."""

    cluster: Cluster
    world: World
    report: Callable[[str], None]
    now: Callable[[], float]  # seconds that pass evenly
    epoch_seconds: Callable[[], float]  # what the clock shows

    @property
    def reference(self) -> ApplicationReference:
        """The application."""
        return self.world.reference


async def apply(hands: Hands, actions: Sequence[Action]) -> tuple[Result, ...]:
    """
    The results of the actions other than notes, in order.

    Consecutive actions of one kind are carried out concurrently, a few at a time; everything else in order.
    Errors of the cluster are not raised; they are part of the results.
    """
    results: list[Result] = []
    for _, group in groupby(actions, key=type):
        batch = list(group)
        notes = [action.text for action in batch if isinstance(action, Note)]
        for text in notes:
            hands.report(text)
        if not notes:
            results += await _together(hands, batch)
    return tuple(results)


async def _together(hands: Hands, actions: list[Action]) -> list[Result]:
    """Results of one kind of action; after the first failure the rest is not tried."""
    slots = asyncio.Semaphore(MAX_CALLS_AT_ONCE)
    failed = asyncio.Event()

    async def one(action: Action) -> Result:
        async with slots:
            if failed.is_set():
                return Result(action, Trouble.CONFLICT, "not tried")
            result = await _attempt(hands, action)
            if result.trouble not in (Trouble.NONE, Trouble.ABSENT):
                failed.set()
            return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(action)) for action in actions]
    return [task.result() for task in tasks]


async def _attempt(hands: Hands, action: Action) -> Result:
    try:
        await _call(hands, action)
    except ClusterError as error:
        return Result(action, _trouble(error), str(error), error.retry_after_seconds or 0.0)
    except InvalidConfiguration as error:
        return Result(action, Trouble.REFUSED, str(error))
    return Result(action)


def _trouble(error: ClusterError) -> Trouble:
    if isinstance(error, Conflict):
        return Trouble.CONFLICT
    if isinstance(error, NotFound):
        return Trouble.ABSENT
    if isinstance(error, Forbidden | Unauthorized | Invalid | TooManyRequests):
        return Trouble.REFUSED
    return Trouble.UNCERTAIN


async def _call(hands: Hands, action: Action) -> None:
    match action:
        case CreateExecutor():
            await _create_executor(hands, action)
        case MarkDriver():
            await _mark_driver(hands, action)
        case DeletePod():
            path = _pod_path(hands, action.name)
            await _delete(hands, path, action.uid, grace_seconds=action.grace_seconds)
        case RemoveByForce():
            await _remove_by_force(hands, action)
        case RecordDrivers():
            await _patch_job(hands, action, drivers_annotation(action.uids))
        case RecordOutcome():
            spec = {"activeDeadlineSeconds": STOPPED_DEADLINE_SECONDS} if action.stop else {}
            await _patch_job(hands, action, outcome_annotation(action.outcome), spec)
        case DeleteJob():
            await _delete(hands, _job_path(hands, action.name), action.uid, action.propagation)
        case MarkContinued():
            await _patch_job(hands, action, {ANNOTATION_CONTINUED_BY: action.continued_by})
        case StartAgain():
            await _start_again(hands, action)
        case _:
            await _read(hands, action)


async def _read(hands: Hands, action: Action) -> None:
    match action:
        case FindExecutor():
            name = executor_name(action.driver_name, action.executor_id)
            await hands.cluster.request("GET", _pod_path(hands, name), timeout_seconds=CALL_TIMEOUT_SECONDS)
        case ListPods():
            await _list_pods(hands)
        case ShowDriverLog():
            await _show_log(hands, action.driver_name, DRIVER_CONTAINER, action.lines)
        case ShowExecutorLog():
            await _show_log(hands, action.pod_name, EXECUTOR_CONTAINER, action.lines)
        case ReadEvents():
            await _read_events(hands, action)


def _job_path(hands: Hands, name: str) -> str:
    return object_path("Job", hands.reference.namespace, name)


def _pod_path(hands: Hands, name: str) -> str:
    return object_path("Pod", hands.reference.namespace, name)


def _pods_path(hands: Hands) -> str:
    return collection_path("Pod", hands.reference.namespace)


async def _create_executor(hands: Hands, action: CreateExecutor) -> None:
    if hands.now() >= action.not_after:
        raise Conflict("the claim on the executor ids has run out")
    pod = executor_pod(
        _manifest(hands, action),
        driver_name=action.driver_name,
        driver_uid=action.driver_uid,
        driver_ip=action.driver_ip,
        executor_id=action.executor_id,
    )
    try:
        await hands.cluster.request(
            "POST", _pods_path(hands), body=pod, timeout_seconds=CREATE_TIMEOUT_SECONDS
        )
    except NotFound as error:
        raise Invalid(str(error), status=error.status, reason=error.reason) from error
    except AlreadyExists:
        return  # created by an earlier attempt, whose answer was lost, or by another controller


async def _list_pods(hands: Hands) -> None:
    selector, expected = f"{LABEL_APPLICATION}={hands.reference.application}", hands.world.driver_uids
    found = await list_objects(
        hands.cluster, _pods_path(hands), label_selector=selector, timeout_seconds=CALL_TIMEOUT_SECONDS
    )
    hands.world.found_pods(found.objects, expected)


def _manifest(hands: Hands, action: CreateExecutor) -> Manifest:
    manifest, settings = hands.world.manifest_of(action.executor_id), hands.world.settings
    if action.size is None or settings is None or settings.recovery is None:
        return manifest
    return recovery_pod(manifest, action.size, settings.recovery)


async def _mark_driver(hands: Hands, action: MarkDriver) -> None:
    annotations = action.marks.annotation() if action.marks else {}
    annotations |= action.history.annotation() if action.history else {}
    path = _pod_path(hands, action.driver_name)
    pod = await _patch(hands, path, action.resource_version, annotations)
    hands.world.wrote_driver(pod, action.resource_version)


async def _patch_job(
    hands: Hands,
    action: RecordDrivers | RecordOutcome | MarkContinued,
    annotations: dict[str, str],
    spec: Manifest | None = None,
) -> None:
    path = _job_path(hands, action.job_name)
    job = await _patch(hands, path, action.resource_version, annotations, spec)
    hands.world.wrote_job(job, action.resource_version)


async def _start_again(hands: Hands, action: StartAgain) -> None:
    try:
        job = await start_again(
            hands.cluster,
            hands.reference,
            action.job_name,
            action.job_uid,
            action.driver_uids,
            now=hands.epoch_seconds(),
            timeout_seconds=CALL_TIMEOUT_SECONDS,
        )
    except NotFound as error:
        raise Conflict(str(error), status=error.status, reason=error.reason) from error
    except (TooManyRequests, Unauthorized) as error:
        # These say nothing about the Job, and a refusal that lasts would end the application.
        raise ServerError(str(error), status=error.status, reason=error.reason) from error
    hands.world.made_job(job)


async def _patch(
    hands: Hands,
    path: str,
    resource_version: str,
    annotations: dict[str, str],
    spec: Manifest | None = None,
) -> JSON:
    body: Manifest = {"metadata": {"resourceVersion": resource_version, "annotations": annotations}}
    if spec:
        body["spec"] = spec
    try:
        return await hands.cluster.request(
            "PATCH", path, body=body, content_type=MERGE_PATCH, timeout_seconds=CALL_TIMEOUT_SECONDS
        )
    except NotFound as error:
        raise Conflict(str(error), status=error.status, reason=error.reason) from error


async def _delete(
    hands: Hands, path: str, uid: str, propagation: str = "Background", *, grace_seconds: int | None = None
) -> None:
    await delete(
        hands.cluster,
        path,
        uid,
        propagation=propagation,
        grace_seconds=grace_seconds,
        timeout_seconds=CALL_TIMEOUT_SECONDS,
    )


async def _remove_by_force(hands: Hands, action: RemoveByForce) -> None:
    path = _pod_path(hands, action.name)
    await _delete(hands, path, action.uid, grace_seconds=0)
    release = {"uid": action.uid, "$deleteFromPrimitiveList/finalizers": [JOB_TRACKING_FINALIZER]}
    with suppress(NotFound):
        await hands.cluster.request(
            "PATCH",
            path,
            body={"metadata": release},
            content_type=STRATEGIC_MERGE_PATCH,
            timeout_seconds=CALL_TIMEOUT_SECONDS,
        )


async def _show_log(hands: Hands, pod_name: str, container: str, lines: int) -> None:
    path = f"{_pod_path(hands, pod_name)}/log"
    params = {"container": container, "tailLines": str(lines)}
    text = await hands.cluster.text(path, params=params, timeout_seconds=CALL_TIMEOUT_SECONDS)
    for line in text.splitlines():
        hands.report(f"[{pod_name}] {line[:MAX_LINE_LENGTH]}")


async def _read_events(hands: Hands, action: ReadEvents) -> None:
    """Without the right to read events, or without an answer, what is known stays as it is."""
    asked_at = hands.now()
    try:
        items = await _events_of(hands, action)
    except ClusterError as error:
        if not action.uid:
            hands.world.see_events(action.name, ())
        elif isinstance(error, Forbidden):
            hands.world.refuse_events(action.uid, asked_at, str(error))
        else:
            hands.world.miss_account(action.uid, asked_at)
        return
    if action.uid:
        hands.world.see_account(action.uid, Account(asked_at, asked_at, object_events(items)))
    else:
        hands.world.see_events(action.name, tuple(str(event.get("reason") or "") for event in items))


async def _events_of(hands: Hands, action: ReadEvents) -> list[Manifest]:
    path = collection_path("Event", hands.reference.namespace)
    selector = f"involvedObject.kind={action.kind},involvedObject.name={action.name}"
    if action.uid:
        # Events outlive their objects, and a Job of an earlier try has the same name.
        selector += f",involvedObject.uid={action.uid}"
    params = {"fieldSelector": selector, "limit": str(MAX_EVENTS)}
    found = await hands.cluster.request("GET", path, params=params, timeout_seconds=CALL_TIMEOUT_SECONDS)
    return found.get("items") or []
