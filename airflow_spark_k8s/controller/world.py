"""The latest view of one application: observers write it, each look reads it as immutable values."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from airflow_spark_k8s.core.job_chain import JobChain, job_chain
from airflow_spark_k8s.core.job_state import JobState, job_state
from airflow_spark_k8s.core.object_events import Account
from airflow_spark_k8s.core.reconcile import AskSpark
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import (
    NOTHING_ASKED,
    DriverPod,
    ExecutorPod,
    Observed,
    SparkView,
    departed_driver,
    driver_pod,
    executor_pod_of,
    is_driver,
)
from airflow_spark_k8s.core.spec import ApplicationReference, Manifest
from airflow_spark_k8s.kube.watch import Changed, Interrupted, Listed, WatchUpdate

PodT = TypeVar("PodT", DriverPod, ExecutorPod)


class World:
    """Everything known of one application; nothing here outlives the objects in the cluster."""

    def __init__(self, reference: ApplicationReference) -> None:
        self.reference = reference
        self.changed = asyncio.Event()
        self.ask_changed = asyncio.Event()
        self.settings: ControllerSettings | None = None
        self.executor_manifest: Manifest = {}
        self.plain_executor_manifest: Manifest | None = None  # None: executors are all alike
        self._settings_problem: str | None = None
        self._ask: AskSpark | None = None
        self._spark: SparkView = NOTHING_ASKED
        self._jobs: dict[str, JobState] = {}  # by uid; one that counted and is gone stays, as being deleted
        self._job_listed = False
        self._pods_listed = False
        self._drivers: dict[str, DriverPod] = {}
        self._gone_drivers: dict[str, DriverPod] = {}
        self._certainly_gone: set[str] = set()  # uids of drivers about which outdated events may still arrive
        self._executors: dict[str, ExecutorPod] = {}
        self._departed: dict[str, ExecutorPod] = {}
        self._events: dict[str, tuple[str, ...]] = {}
        self._accounts: dict[str, Account] = {}
        self._blind: dict[str, str] = {}  # what cannot be watched -> why
        self._events_refused: str | None = None

    def observed(self) -> Observed:
        """The view as it is now; executors whose pods are gone are in it once."""
        departed, self._departed = self._departed, {}
        chain = self._chain
        return Observed(
            complete=self._job_listed and self._pods_listed,
            job=chain.job,
            next_job=chain.next_job,
            earlier_jobs=chain.earlier_jobs,
            drivers=self._drivers_of(chain),
            executors=tuple(self._executors.values()),
            departed=tuple(departed.values()),
            spark=self._spark,
            settings_problem=self._settings_problem,
            events=dict(self._events),
            accounts=dict(self._accounts),
            events_refused=self._events_refused,
            blind=next(iter(self._blind.values()), None),
        )

    # Observers write here.

    def see_job(self, update: WatchUpdate) -> None:
        """Take in what the watch of the application's Jobs says."""
        self._see("jobs", update)
        if isinstance(update, Listed):
            self._replace_jobs(update.objects)
        elif isinstance(update, Changed) and update.kind == "DELETED":
            self._remove_job(job_state(update.object))
        elif isinstance(update, Changed):
            self._put_job(update.object)
        self.changed.set()

    def see_pods(self, update: WatchUpdate) -> None:
        """Take in what the watch of the application's pods says."""
        self._see("pods", update)
        if isinstance(update, Listed):
            self._replace_pods(update.objects)
        elif isinstance(update, Changed) and update.kind == "DELETED":
            self._remove_pod(update.object)
        elif isinstance(update, Changed):
            self._put_pod(update.object)
        self.changed.set()

    @property
    def driver_uids(self) -> frozenset[str]:
        """Uids of the driver pods that are in sight."""
        return frozenset(self._drivers)

    def found_pods(self, pods: tuple[Manifest, ...], expected: Collection[str] = ()) -> None:
        """
        Take in pods from a list of their own; what the watch knows about those that have ended is kept.

        :param expected: uids of drivers that were in sight before: those that are not among `pods` are gone.
        """
        for uid in set(expected) - {pod["metadata"]["uid"] for pod in pods}:
            if uid in self._drivers:
                self._gone_drivers[uid] = departed_driver(self._drivers.pop(uid))
                self._certainly_gone.add(uid)
        for pod in pods:
            known = self._drivers.get(pod["metadata"]["uid"]) or self._executors.get(pod["metadata"]["uid"])
            if known is None or not known.ended:
                self._put_pod(pod)
        self.changed.set()

    def see_spark(self, view: SparkView) -> None:
        """Take in what the driver's REST API answered, or that it did not answer."""
        self._spark = view
        self.changed.set()

    def see_settings(
        self,
        settings: ControllerSettings,
        executor_manifest: Manifest,
        plain_executor_manifest: Manifest | None = None,
    ) -> None:
        """Take in what the application's ConfigMap says."""
        self.settings, self.executor_manifest = settings, executor_manifest
        self.plain_executor_manifest = plain_executor_manifest
        self._settings_problem = None
        self.changed.set()

    def see_events(self, pod_name: str, reasons: tuple[str, ...]) -> None:
        """Take in what the cluster's events say about a pod; nothing, if they cannot be read."""
        self._events[pod_name] = reasons
        self.changed.set()

    def see_account(self, uid: str, account: Account) -> None:
        """Take in the events of an object that waits."""
        self._accounts[uid] = account
        self._events_refused = None
        self.changed.set()

    def miss_account(self, uid: str, asked_at: float) -> None:
        """Take in that reading the events failed: what is known stays, and the next attempt waits."""
        known = self._accounts.get(uid, Account(asked_at))
        self._accounts[uid] = replace(known, asked_at=asked_at)
        self.changed.set()

    def refuse_events(self, uid: str, asked_at: float, why: str) -> None:
        """Take in that the right to read events is missing."""
        self._events_refused = why
        self.miss_account(uid, asked_at)

    def miss_settings(self, problem: str | None) -> None:
        """Take in why the application's ConfigMap cannot be used; None: nobody knows whether it can."""
        self._settings_problem = problem
        self.changed.set()

    def manifest_of(self, executor_id: int) -> Manifest:
        """The manifest of the executor with this id: some may burst and others not."""
        rollout = None if self.settings is None else self.settings.rollout
        if self.plain_executor_manifest is None or rollout is None or rollout.bursts(executor_id):
            return self.executor_manifest
        return self.plain_executor_manifest

    # What this controller wrote itself is known before a watch tells it.

    def wrote_driver(self, pod: Manifest, resource_version: str) -> None:
        """Take in the answer to a write on a driver pod, unless the watch is ahead of it."""
        known = self._drivers.get(pod["metadata"]["uid"])
        if known is not None and known.resource_version == resource_version:
            self._put_pod(pod)

    def wrote_job(self, job: Manifest, resource_version: str) -> None:
        """Take in the answer to a write on the Job, unless the watch is ahead of it."""
        known = self._jobs.get(job["metadata"]["uid"])
        if known is not None and known.resource_version == resource_version and not known.deleting:
            self._put_job(job)

    def made_job(self, job: Manifest) -> None:
        """Take in the Job that continues another one, unless the watch has seen it in a later state."""
        known = self._jobs.get(job["metadata"]["uid"])
        if known is None or known.in_the_making:
            self._put_job(job)
        self.changed.set()

    # Whom the REST poller should ask.

    @property
    def ask(self) -> AskSpark | None:
        """The driver to ask; None if there is none."""
        return self._ask

    @property
    def spark(self) -> SparkView:
        """What the driver said last."""
        return self._spark

    def want(self, ask: AskSpark | None) -> None:
        """Set whom to ask from now on."""
        if ask != self._ask:
            self._ask = ask
            self.ask_changed.set()

    @property
    def _chain(self) -> JobChain:
        return job_chain(self._jobs.values(), self.reference.job_uid)

    def _see(self, what: str, update: WatchUpdate) -> None:
        self._blind.pop(what, None)
        if isinstance(update, Interrupted):
            self._blind[what] = str(update.error)

    def _drivers_of(self, chain: JobChain) -> tuple[DriverPod, ...]:
        """Driver pods of the Job that counts and of those before it, oldest first."""
        owners = {self.reference.job_uid}
        if chain.job is not None:
            owners |= {chain.job.uid, *chain.job.earlier_uids}
        pods = [pod for pod in {**self._gone_drivers, **self._drivers}.values() if pod.job_uid in owners]
        return tuple(sorted(pods, key=lambda pod: (pod.created, pod.name)))

    def _replace_jobs(self, jobs: tuple[Manifest, ...]) -> None:
        listed = {job["metadata"]["uid"] for job in jobs}
        for known in [job for job in self._jobs.values() if job.uid not in listed]:
            self._remove_job(known)
        for job in jobs:
            self._put_job(job)
        self._job_listed = True

    def _put_job(self, job: Manifest) -> None:
        self._jobs[job["metadata"]["uid"]] = job_state(job)

    def _remove_job(self, job: JobState) -> None:
        """The Job that counts is remembered as being deleted, since its removal ends the application."""
        self._jobs[job.uid] = replace(job, deleting=True)
        counted = self._chain.job
        if counted is None or counted.uid != job.uid:
            del self._jobs[job.uid]

    def _replace_pods(self, pods: tuple[Manifest, ...]) -> None:
        before, self._drivers = self._drivers, {}
        executors, self._executors = self._executors, {}
        for pod in pods:
            self._put_pod(pod)
        # A list may be older than what is known by now.
        self._drivers = {uid: _newer(before.get(uid), seen) for uid, seen in self._drivers.items()}
        self._executors = {uid: _newer(executors.get(uid), seen) for uid, seen in self._executors.items()}
        for uid in before.keys() - self._drivers.keys():
            self._gone_drivers[uid] = departed_driver(before[uid])
        self._pods_listed = True

    def _put_pod(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if is_driver(pod):
            if uid not in self._certainly_gone:
                self._drivers[uid] = _newer(self._drivers.get(uid), driver_pod(pod))
            return
        executor = executor_pod_of(pod)
        if executor is not None:
            self._executors[uid] = _newer(self._executors.get(uid), executor)

    def _remove_pod(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if self._drivers.pop(uid, None) is not None:
            self._gone_drivers[uid] = departed_driver(driver_pod(pod))
        executor = executor_pod_of(pod)
        if self._executors.pop(uid, None) is not None and executor is not None:
            self._departed[uid] = executor


def _newer(known: PodT | None, seen: PodT) -> PodT:
    """`seen`, unless the pod is known to have ended: an outdated event must not undo that."""
    return known if known is not None and known.ended and not seen.ended else seen
