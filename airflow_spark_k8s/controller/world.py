"""The latest view of one application: observers write it, every look reads it as values."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from airflow_spark_k8s.core.job_state import JobState, job_state
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
    is_driver_of,
)
from airflow_spark_k8s.core.spec import ApplicationReference, Manifest
from airflow_spark_k8s.kube.watch import Changed, Listed, WatchUpdate


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
        self._job: JobState | None = None
        self._job_listed = False
        self._pods_listed = False
        self._drivers: dict[str, DriverPod] = {}
        self._gone_drivers: dict[str, DriverPod] = {}
        self._executors: dict[str, ExecutorPod] = {}
        self._departed: dict[str, ExecutorPod] = {}
        self._events: dict[str, tuple[str, ...]] = {}

    def observed(self) -> Observed:
        """The view as it is now; executors that went are told once."""
        departed, self._departed = self._departed, {}
        drivers = {**self._gone_drivers, **self._drivers}.values()
        return Observed(
            complete=self._job_listed and self._pods_listed,
            job=self._job,
            drivers=tuple(sorted(drivers, key=lambda driver: (driver.created, driver.name))),
            executors=tuple(self._executors.values()),
            departed=tuple(departed.values()),
            spark=self._spark,
            settings_problem=self._settings_problem,
            events=dict(self._events),
        )

    # Observers write here.

    def see_job(self, update: WatchUpdate) -> None:
        """Take in what the watch of the Job says."""
        if isinstance(update, Listed):
            ours = [job for job in update.objects if self._is_our_job(job)]
            self._job = job_state(ours[0]) if ours else self._gone_job(self._job)
            self._job_listed = True
        elif isinstance(update, Changed) and self._is_our_job(update.object):
            seen = job_state(update.object)
            self._job = self._gone_job(seen) if update.kind == "DELETED" else seen
        self.changed.set()

    def see_pods(self, update: WatchUpdate) -> None:
        """Take in what the watch of the application's pods says."""
        if isinstance(update, Listed):
            self._replace_pods(update.objects)
        elif isinstance(update, Changed) and update.kind == "DELETED":
            self._remove_pod(update.object)
        elif isinstance(update, Changed):
            self._put_pod(update.object)
        self.changed.set()

    def found_pods(self, pods: tuple[Manifest, ...]) -> None:
        """Take in pods that were asked for; of those that have ended the watch may know more."""
        for pod in pods:
            known = self._drivers.get(pod["metadata"]["uid"]) or self._executors.get(pod["metadata"]["uid"])
            if known is None or not known.ended:
                self._put_pod(pod)
        self.changed.set()

    def see_spark(self, view: SparkView) -> None:
        """Take in what the driver's REST interface said, or that it did not."""
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

    def miss_settings(self, problem: str) -> None:
        """Take in that the application's ConfigMap is of no use."""
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
        known = self._job
        if known is not None and known.resource_version == resource_version and not known.deleting:
            self._job = job_state(job)

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

    def _is_our_job(self, job: Manifest) -> bool:
        return bool(job["metadata"]["uid"] == self.reference.job_uid)

    @staticmethod
    def _gone_job(job: JobState | None) -> JobState | None:
        return None if job is None else replace(job, deleting=True)

    def _replace_pods(self, pods: tuple[Manifest, ...]) -> None:
        before, self._drivers, self._executors = self._drivers, {}, {}
        for pod in pods:
            self._put_pod(pod)
        for uid in before.keys() - self._drivers.keys():
            self._gone_drivers[uid] = departed_driver(before[uid])
        self._pods_listed = True

    def _put_pod(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if is_driver_of(pod, self.reference.job_uid):
            self._drivers[uid] = driver_pod(pod)
            return
        executor = executor_pod_of(pod)
        if executor is not None:
            self._executors[uid] = executor

    def _remove_pod(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if self._drivers.pop(uid, None) is not None:
            self._gone_drivers[uid] = departed_driver(driver_pod(pod))
        executor = executor_pod_of(pod)
        if self._executors.pop(uid, None) is not None and executor is not None:
            self._departed[uid] = executor
