"""The observers of one application: Job, pods, settings and the driver's REST API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from fractions import Fraction

from airflow_spark_k8s.controller.clock import Clock
from airflow_spark_k8s.controller.complaints import Complaints
from airflow_spark_k8s.controller.killed_workers import with_killed_workers
from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.backoff import doubling
from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.core.memory_groups import higher
from airflow_spark_k8s.core.reconcile import AskSpark
from airflow_spark_k8s.core.settings import (
    EXECUTOR_KEY,
    PLAIN_EXECUTOR_KEY,
    SETTINGS_KEY,
    ControllerSettings,
    config_map_name,
)
from airflow_spark_k8s.core.snapshot import Reach, RegisteredExecutor, SparkView
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import ClusterError, Forbidden, InvalidConfiguration, NotFound
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.kube.spark_rest import Answered, NotYet, SparkExecutor, SparkRest, Unknown
from airflow_spark_k8s.kube.watch import Interrupted, WatchUpdate, watch_objects

LONGEST_PAUSE_SECONDS = 30.0
LONGEST_POLL_PAUSE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Observer:
    """What every observer of one application needs."""

    cluster: Cluster
    world: World
    clock: Clock
    complaints: Complaints
    now: Callable[[], float]  # seconds that pass evenly


async def watch_jobs(observer: Observer) -> None:
    """Watch the application's Jobs, for ever: another one may continue the one that it began in."""
    await _watch(observer, "Job", "Jobs", observer.world.see_job)


async def watch_pods(observer: Observer) -> None:
    """Watch driver and executor pods, for ever."""
    await _watch(observer, "Pod", "pods", observer.world.see_pods)


async def _watch(observer: Observer, kind: str, kinds: str, see: Callable[[WatchUpdate], None]) -> None:
    clock, reference = observer.clock, observer.world.reference
    what = f"watching {kinds} of {reference.application}"
    updates = watch_objects(
        observer.cluster,
        collection_path(kind, reference.namespace),
        sleep=clock.sleep,
        jitter=clock.jitter,
        label_selector=f"{LABEL_APPLICATION}={reference.application}",
    )
    async with aclosing(updates):
        async for update in updates:
            if isinstance(update, Interrupted):
                observer.complaints.failed(what, update.error)
            else:
                observer.complaints.works(what)
            see(update)


async def read_settings(observer: Observer) -> None:
    """Read the settings and the executors' manifests; return once that has succeeded."""
    reference, name = observer.world.reference, config_map_name(observer.world.reference.application)
    path, pause = object_path("ConfigMap", reference.namespace, name), 1.0
    while True:
        try:
            data = (await observer.cluster.request("GET", path)).get("data") or {}
            settings = ControllerSettings.from_json(data.get(SETTINGS_KEY, ""))
            executor = json.loads(data.get(EXECUTOR_KEY, ""))
            observer.world.see_settings(settings, executor, _plain_executor(settings, data))
            observer.complaints.works(f"reading ConfigMap {name}")
            return
        except (NotFound, Forbidden, InvalidConfiguration, ValueError) as error:
            observer.world.miss_settings(str(error))
        except ClusterError as error:
            observer.complaints.failed(f"reading ConfigMap {name}", error)
            observer.world.miss_settings(None)
            pause = max(pause, error.retry_after_seconds or 0.0)
        await observer.clock.sleep(pause * (1 + observer.clock.jitter() / 4))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _plain_executor(settings: ControllerSettings, data: Mapping[str, str]) -> Manifest | None:
    """The manifest of executors that do not burst; None if all are alike."""
    if settings.rollout is None or Fraction(settings.rollout.fraction) == 1:
        return None
    if PLAIN_EXECUTOR_KEY not in data:
        # No executor is better than one that bursts although it should not.
        raise InvalidConfiguration(PLAIN_EXECUTOR_KEY, None, "is missing; submit the application again")
    manifest: Manifest = json.loads(data[PLAIN_EXECUTOR_KEY])
    return manifest


async def poll_spark(observer: Observer) -> None:
    """Ask the driver's REST API as often as wanted, for ever; less often while it cannot be reached."""
    world, failures = observer.world, 0
    while True:
        world.ask_changed.clear()
        ask = world.ask
        if ask is None:
            await world.ask_changed.wait()
            continue
        view = await ask_spark(observer, ask)
        world.see_spark(view)
        failures = failures + 1 if view.reach is Reach.UNKNOWN else 0
        backoff = doubling(1.0, failures, LONGEST_POLL_PAUSE_SECONDS) * (1 + observer.clock.jitter() / 4)
        if view.retry_after_seconds > 0:
            await observer.clock.sleep(view.retry_after_seconds)
        await sleep_or_event(observer.clock, max(ask.every_seconds, backoff), world.ask_changed)


async def sleep_or_event(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Return after `seconds`, or when `event` is set, whichever comes first."""
    tasks = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(event.wait())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask_spark(observer: Observer, ask: AskSpark) -> SparkView:
    """The view of one driver after asking it once; earlier answers are kept."""
    before = observer.world.spark
    view = before if before.driver_uid == ask.driver_uid else SparkView(driver_uid=ask.driver_uid)
    view = replace(view, asked_at=observer.now())
    rest = _rest(observer, ask, ask.driver_name)
    if view.master is None or view.version is None:
        view = await _with_facts(rest, view)
        if view.reach is not Reach.YES:
            return view if view.application_id is None else await _with_foreign_facts(observer, ask, view)
    return await _with_progress(rest, view)


def _rest(observer: Observer, ask: AskSpark, application_id: str) -> SparkRest:
    namespace = observer.world.reference.namespace
    return SparkRest(observer.cluster, namespace, ask.driver_name, application_id, port=ask.port)


async def _with_facts(rest: SparkRest, view: SparkView) -> SparkView:
    """Version, master and number of executors: they do not change and are asked for once."""
    application = await rest.application()
    if isinstance(application, NotYet) and application.answers:
        return replace(_without(view, application), application_id=await _foreign_id(rest))
    if not isinstance(application, Answered):
        return _without(view, application)
    version = application.data.spark_version
    properties = await _properties(rest)
    return replace(
        view,
        reach=Reach.YES,
        why="",
        retry_after_seconds=0.0,
        application_id=None,
        version=version or view.version,
        master=properties.get("spark.master", view.master),
        instances=properties.get("spark.executor.instances", view.instances),
    )


async def _foreign_id(rest: SparkRest) -> str | None:
    """Id of an application that runs in the driver instead of ours; None if there is none yet."""
    known = await rest.applications()
    others = known.data if isinstance(known, Answered) else ()
    return next((other for other in others if other != rest.application_id), None)


async def _with_foreign_facts(observer: Observer, ask: AskSpark, view: SparkView) -> SparkView:
    """Master and number of executors of an application that the user's code has given an id of its own."""
    properties = await _properties(_rest(observer, ask, view.application_id or ""))
    return replace(
        view,
        master=properties.get("spark.master"),
        instances=properties.get("spark.executor.instances"),
    )


async def _properties(rest: SparkRest) -> dict[str, str]:
    environment = await rest.environment()
    return environment.data if isinstance(environment, Answered) else {}


async def _with_progress(rest: SparkRest, view: SparkView) -> SparkView:
    executors = await rest.executors()
    if not isinstance(executors, Answered):
        return _without(view, executors)
    view = replace(
        view, reach=Reach.YES, why="", retry_after_seconds=0.0, executors=_registered(executors.data, view)
    )
    tasks = await rest.tasks()
    if not isinstance(tasks, Answered):
        return view
    view = await with_killed_workers(rest, view, tasks.data)
    return replace(
        view,
        completed_tasks=tasks.data.complete_tasks,
        total_tasks=tasks.data.total_tasks,
        active_stages=tasks.data.active_stages,
        stages=tasks.data.stages,
    )


def _registered(executors: tuple[SparkExecutor, ...], before: SparkView) -> dict[int, RegisteredExecutor]:
    """The executors that the driver reports; each keeps the highest peak memory seen so far."""
    return {
        int(executor.executor_id): RegisteredExecutor(
            active=executor.is_active,
            cores=executor.total_cores,
            completed_tasks=executor.completed_tasks,
            failed_tasks=executor.failed_tasks,
            peak_memory_mib=higher(
                executor.peak_memory_mib, before.peak_memory_mib(int(executor.executor_id))
            ),
            active_tasks=executor.active_tasks,
            rdd_blocks=executor.rdd_blocks,
            remove_reason=executor.remove_reason,
        )
        for executor in executors
        if executor.executor_id.isdecimal()
    }


def _without(view: SparkView, answer: NotYet | Unknown) -> SparkView:
    if isinstance(answer, NotYet):
        return replace(view, reach=Reach.NO, why=answer.reason, retry_after_seconds=0.0)
    retry_after = answer.retry_after_seconds
    return replace(view, reach=Reach.UNKNOWN, why=answer.reason, retry_after_seconds=retry_after)
