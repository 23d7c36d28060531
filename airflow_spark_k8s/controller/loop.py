"""One application, from whatever state it is found in to its outcome: observe, reconcile, apply."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace

from airflow_spark_k8s.controller.apply import CALL_TIMEOUT_SECONDS, Hands, apply
from airflow_spark_k8s.controller.clock import Clock, EvenTime
from airflow_spark_k8s.controller.complaints import Complaints
from airflow_spark_k8s.controller.observe import (
    Observer,
    poll_spark,
    read_settings,
    sleep_or_event,
    watch_jobs,
    watch_pods,
)
from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.job_chain import jobs_of_chain
from airflow_spark_k8s.core.job_state import job_state
from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.core.progress import Progress
from airflow_spark_k8s.core.reconcile import Plan, reconcile
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.core.state import Desired, State, absorb
from airflow_spark_k8s.exceptions import Conflict, WrongCluster
from airflow_spark_k8s.kube.by_uid import delete
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.kube.watch import list_objects

PAUSE_SECONDS = 0.05
"""Events that come within this time are looked at together."""

KILL_ATTEMPTS = 5


async def run(
    cluster: Cluster,
    reference: ApplicationReference,
    *,
    clock: Clock,
    report: Callable[[str], None],
    deadline_epoch_seconds: float | None,
    patience_seconds: float | None = None,
    hold_seconds: float = 0,
    on_progress: Callable[[Progress], None] | None = None,
    holder: str | None = None,
) -> Outcome:
    """
    The outcome of one application, after everything that has to be done for it was done.

    Two of these may be alive for one application, and each may be cancelled at any moment: what counts is in
    the cluster, and whoever looks next goes on from there. Of the cluster's errors only WrongCluster is
    raised: the connection leads to another one.

    :param report: is given one line for every change of state.
    :param deadline_epoch_seconds: when the application is timed out; None: never.
    :param patience_seconds: how long the cluster may be out of sight; None: for ever.
    :param hold_seconds: no outcome before this many seconds since the start.
    :param on_progress: is given the numbers whenever they change.
    :param holder: name on the executor ids, which no other controller may ever have; None: a random one.
    """
    started_at = clock.monotonic()
    time = EvenTime(clock)
    world = World(reference)
    complaints = Complaints(clock, report)
    observer = Observer(cluster, world, clock, complaints, time.now)
    hands = Hands(cluster, world, report, time.now, clock.now)
    state = State(holder=holder or uuid.uuid4().hex[:12])
    desired = Desired(reference, None, deadline_epoch_seconds, patience_seconds)
    controller = _Controller(hands, clock, time, state, on_progress, desired)
    try:
        outcome = await _watched(observer, controller)
    except BaseExceptionGroup as group:
        # Every observer that asked at that moment raises it.
        wrong = group.subgroup(WrongCluster)
        if wrong is None:
            raise
        raise WrongCluster(_message(wrong)) from group
    await clock.sleep(max(started_at + hold_seconds - clock.monotonic(), 0))
    return outcome


async def _watched(observer: Observer, controller: _Controller) -> Outcome:
    async with asyncio.TaskGroup() as group:
        observers = [
            group.create_task(observe(observer))
            for observe in (watch_jobs, watch_pods, read_settings, poll_spark)
        ]
        outcome = await controller.until_outcome()
        for task in observers:
            task.cancel()
    return outcome


async def kill(cluster: Cluster, reference: ApplicationReference) -> None:
    """
    Delete the application's Jobs and all they own; Jobs of others with the same names are left alone.

    Raises:
        ClusterError: the API server refuses or does not answer, or new Jobs keep appearing.

    """
    jobs = collection_path("Job", reference.namespace)
    selector = f"{LABEL_APPLICATION}={reference.application}"
    for _ in range(KILL_ATTEMPTS):
        found = await list_objects(cluster, jobs, label_selector=selector)
        left = jobs_of_chain(map(job_state, found.objects), reference.job_uid)
        if not left:
            return
        # The oldest first: before a Job is resumed, the one that it continues must still be there.
        for job in left:
            path = object_path("Job", reference.namespace, job.name)
            await delete(cluster, path, job.uid, timeout_seconds=CALL_TIMEOUT_SECONDS)
    raise Conflict(f"Jobs of application {reference.application} keep being created")


def _message(group: BaseExceptionGroup[WrongCluster]) -> str:
    first = group.exceptions[0]
    return _message(first) if isinstance(first, BaseExceptionGroup) else str(first)


class _Controller:
    """Looks, decides and acts, again and again; what it remembers in between is a value, `State`."""

    def __init__(
        self,
        hands: Hands,
        clock: Clock,
        time: EvenTime,
        state: State,
        on_progress: Callable[[Progress], None] | None,
        desired: Desired,
    ) -> None:
        self._hands = hands
        self._clock = clock
        self._time = time
        self._on_progress = on_progress
        self._desired = desired
        self._told: Progress | None = None
        self._state = state

    async def until_outcome(self) -> Outcome:
        """The outcome, once a plan leaves nothing to do."""
        world = self._hands.world
        while True:
            world.changed.clear()
            plan = self._look()
            acted = await self._act(plan)
            if plan.finish is not None:
                return plan.finish
            await self._clock.sleep(PAUSE_SECONDS)
            if not acted and not world.changed.is_set():
                await self._wait(plan.requeue_after_seconds)

    def _look(self) -> Plan:
        world = self._hands.world
        desired = replace(self._desired, settings=world.settings)
        observed = replace(world.observed(), clock_jump_seconds=self._time.jump_seconds)
        plan = reconcile(desired, observed, self._state, self._time.now())
        world.want(plan.ask)
        self._tell(plan.progress)
        return plan

    async def _act(self, plan: Plan) -> bool:
        """Whether any call was made."""
        sent_at = self._time.now()
        results = await apply(self._hands, plan.actions)
        jitter = self._clock.jitter()
        self._state = absorb(plan.next_state, results, sent_at=sent_at, now=self._time.now(), jitter=jitter)
        return bool(results)

    async def _wait(self, seconds: float | None) -> None:
        changed = self._hands.world.changed
        if seconds is None:
            await changed.wait()
        else:
            await sleep_or_event(self._clock, seconds, changed)

    def _tell(self, progress: Progress | None) -> None:
        if progress is not None and progress != self._told and self._on_progress is not None:
            self._told = progress
            self._on_progress(progress)
