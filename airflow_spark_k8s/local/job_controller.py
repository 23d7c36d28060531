"""The controller of Jobs: creates their pods, counts how they end, and says when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import find_condition, is_deleting, with_condition, without_finalizer
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.job_census import (
    TRACKING_FINALIZER,
    Census,
    Verdict,
    beyond_this_controller,
    counts_as_failed,
    decide,
    is_finished,
    missing_pods,
    seconds_to_deadline,
    take_census,
)
from airflow_spark_k8s.local.job_failure_policy import Action, judge
from airflow_spark_k8s.local.manifests import copy_manifest, is_terminal, key_of, timestamp
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.recorder import EventRecorder
from airflow_spark_k8s.local.resources import JOBS, PODS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue

BATCH_SECONDS = 1.0
"""How long changes of pods are collected before their Job is looked at. Source: syncJobBatchPeriod."""

FIRST_BACKOFF_SECONDS = 10.0
LONGEST_BACKOFF_SECONDS = 600.0
"""Source: DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff of the Job controller."""


@dataclass(slots=True)
class _Backoff:
    failures: int = 0  # in a row, since the last success
    last_failure: float = 0.0  # on the timers' clock


class JobController:
    """
    Runs every Job with completion mode NonIndexed.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._timers = timers
        self._events = EventRecorder(store, timers, store.now, "job-controller")
        self._queue: WorkQueue[Key] = WorkQueue(timers, self._sync)
        self._orphans: WorkQueue[Key] = WorkQueue(timers, self._release_orphan)
        self._backoff: dict[str, _Backoff] = {}
        store.subscribe(self._on_event)

    # what happened

    def _on_event(self, event: Event) -> None:
        if event.resource is JOBS:
            self._on_job(event)
        elif event.resource is PODS:
            self._on_pod(event)

    def _on_job(self, event: Event) -> None:
        job = event.object
        if event.type == "DELETED":
            self._backoff.pop(job["metadata"]["uid"], None)
            for pod in self._pods(job):
                self._orphans.add(key_of(pod))
            return
        spec_changed = event.previous is None or event.previous["spec"] != job["spec"]
        self._queue.add(key_of(job), 0.0 if spec_changed or is_deleting(job) else BATCH_SECONDS)

    def _on_pod(self, event: Event) -> None:
        pod = event.object
        owner = _controller(pod)
        namespace = pod["metadata"]["namespace"]
        job = self._store.peek(JOBS, namespace, owner["name"]) if owner else None
        if job is not None and owner is not None and job["metadata"]["uid"] == owner["uid"]:
            if event.type != "ADDED":
                self._queue.add(key_of(job), BATCH_SECONDS)
        elif TRACKING_FINALIZER in (pod["metadata"].get("finalizers") or ()) and event.type != "DELETED":
            self._orphans.add(key_of(pod))

    def _release_orphan(self, key: Key) -> None:
        pod = self._store.peek(PODS, *key)
        if pod is not None:
            self._release([pod])

    # one Job

    def _sync(self, key: Key) -> None:
        job = self._store.find(JOBS, *key)
        if job is None or is_finished(job):
            return
        unsupported = beyond_this_controller(job)
        if unsupported is not None:
            self._events.warning(
                job, "Unsupported", f"the local cluster does not run Jobs with {unsupported}"
            )
            return
        self._reconcile(job)

    def _reconcile(self, job: Manifest) -> None:
        status = job.setdefault("status", {})
        before = copy_manifest(status)
        self._start_or_suspend(job)
        census = take_census(job, self._pods(job))
        self._note_failures(job, census)
        now = self._store.now().timestamp()
        verdict = decide(job, census, now)
        active, terminating = self._steer(job, census, verdict)
        _count(status, active, census.ready if active else 0, terminating)
        if verdict is not None:
            self._announce(job, verdict)
        counted = self._newly_counted(job, census, verdict)
        job = self._write(job, before)
        self._settle(job, counted, verdict)
        left = seconds_to_deadline(job, now)
        if left is not None and left > 0 and verdict is None:
            self._queue.add(key_of(job), left)

    def _start_or_suspend(self, job: Manifest) -> None:
        status, suspended = job["status"], bool(job["spec"].get("suspend"))
        condition = find_condition(job, "Suspended")
        was_suspended = condition is not None and condition["status"] == "True"
        if suspended and not was_suspended:
            self._set(job, "Suspended", True, "JobSuspended", "Job suspended")
            status.pop("startTime", None)
            self._events.normal(job, "Suspended", "Job suspended")
        if suspended:
            return
        if was_suspended:
            self._set(job, "Suspended", False, "JobResumed", "Job resumed")
            self._events.normal(job, "Resumed", "Job resumed")
        if was_suspended or "startTime" not in status:
            status["startTime"] = timestamp(self._store.now())

    def _steer(self, job: Manifest, census: Census, verdict: Verdict | None) -> tuple[int, int]:
        """Create or delete pods; how many are active and how many terminating afterwards."""
        active, terminating = len(census.active), census.terminating
        if is_deleting(job):
            return active, terminating
        if verdict is not None or job["spec"].get("suspend"):
            surplus = list(census.active)
        else:
            missing = missing_pods(job, census)
            if missing > 0:
                return active + self._create(job, missing), terminating
            surplus = list(census.active)[len(census.active) + missing :]
        # A pod that the controller takes away itself is no failure: it is released before it is deleted.
        still_there = self._delete(job, surplus, release=verdict is None)
        return active - len(surplus), terminating + still_there

    def _create(self, job: Manifest, count: int) -> int:
        backoff = self._backoff.get(job["metadata"]["uid"])
        if backoff is not None and backoff.failures:
            delay = min(FIRST_BACKOFF_SECONDS * 2.0 ** (backoff.failures - 1), LONGEST_BACKOFF_SECONDS)
            left = backoff.last_failure + delay - self._timers.time()
            if left > 0:
                self._queue.add(key_of(job), left)
                return 0
        for created in range(count):
            try:
                pod = self._store.create(PODS, _new_pod(job))
            except ApiError as error:
                self._events.warning(job, "FailedCreate", f"Error creating: {error.message}")
                self._queue.retry(key_of(job))
                return created
            self._events.normal(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        self._queue.forget(key_of(job))
        return count

    def _delete(self, job: Manifest, pods: Iterable[Manifest], *, release: bool) -> int:
        still_there = 0
        for pod in pods:
            if release:
                self._release([pod])
            left = self._store.delete(PODS, *key_of(pod), uid=pod["metadata"]["uid"])
            still_there += self._store.is_stored(PODS, left) and not is_terminal(left)
            self._events.normal(job, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        return still_there

    def _announce(self, job: Manifest, verdict: Verdict) -> None:
        if find_condition(job, verdict.target) is None:
            self._set(job, verdict.target, True, verdict.reason, verdict.message)

    def _newly_counted(self, job: Manifest, census: Census, verdict: Verdict | None) -> list[Manifest]:
        """The pods that need no watching any more; their ends are noted in the Job's status first."""
        uncounted: dict[str, list[str]] = {}
        released = []
        policy = job["spec"].get("podFailurePolicy")
        for pod in census.tracked:
            succeeded = pod.get("status", {}).get("phase") == "Succeeded"
            failed = counts_as_failed(job, pod)
            if not (succeeded or failed or verdict is not None or is_deleting(job)):
                continue
            released.append(pod)
            # Once the Job has failed, every pod that still runs counts as failed.
            lost = failed or (verdict is not None and not verdict.success)
            if succeeded:
                uncounted.setdefault("succeeded", []).append(pod["metadata"]["uid"])
            elif lost and judge(policy, pod).action is not Action.IGNORE:
                uncounted.setdefault("failed", []).append(pod["metadata"]["uid"])
        job["status"]["uncountedTerminatedPods"] = uncounted
        return released

    def _settle(self, job: Manifest, counted: list[Manifest], verdict: Verdict | None) -> None:
        self._release(counted)
        before = copy_manifest(job["status"])
        status = job["status"]
        for outcome, uids in (status.get("uncountedTerminatedPods") or {}).items():
            status[outcome] = status.get(outcome, 0) + len(uids)
        status["uncountedTerminatedPods"] = {}
        if verdict is not None and not self._pods_end(job):
            self._conclude(job, verdict)
        self._write(job, before)

    def _pods_end(self, job: Manifest) -> bool:
        return bool(job["status"].get("terminating")) or is_deleting(job)

    def _conclude(self, job: Manifest, verdict: Verdict) -> None:
        self._set(job, verdict.final, True, verdict.reason, verdict.message)
        if verdict.success:
            job["status"]["completionTime"] = timestamp(self._store.now())
            self._events.normal(job, "Completed", "Job completed")
        else:
            self._events.warning(job, verdict.reason, verdict.message)

    # small steps

    def _note_failures(self, job: Manifest, census: Census) -> None:
        if not census.tracked:
            return
        backoff = self._backoff.setdefault(job["metadata"]["uid"], _Backoff())
        if census.succeeded > job["status"].get("succeeded", 0):
            backoff.failures = 0
        if census.new_failures:
            backoff.failures += census.new_failures
            backoff.last_failure = self._timers.time()

    def _pods(self, job: Manifest) -> list[Manifest]:
        uid = job["metadata"]["uid"]
        owned = self._store.owned_by(uid)
        return [o for resource, o in owned if resource is PODS and (_controller(o) or {}).get("uid") == uid]

    def _release(self, pods: Iterable[Manifest]) -> None:
        for pod in pods:
            if TRACKING_FINALIZER in (pod["metadata"].get("finalizers") or ()):
                self._edit_if_present(pod, lambda p: without_finalizer(p["metadata"], TRACKING_FINALIZER))

    def _edit_if_present(self, pod: Manifest, change: Callable[[Manifest], None]) -> None:
        try:
            self._store.edit(PODS, *key_of(pod), change)
        except ApiError as error:
            if error.code != 404:
                raise

    def _set(self, job: Manifest, condition_type: str, status: bool, reason: str, message: str) -> None:
        now = timestamp(self._store.now())
        condition = {
            "type": condition_type,
            "status": str(status),
            "lastProbeTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        job["status"]["conditions"] = with_condition(job["status"].get("conditions"), condition)

    def _write(self, job: Manifest, before: Manifest) -> Manifest:
        if job["status"] == before:
            return job
        self._store.update(JOBS, job, subresource="status")
        return self._store.get(JOBS, *key_of(job))


def _count(status: Manifest, active: int, ready: int, terminating: int) -> None:
    status.pop("active", None)
    if active:
        status["active"] = active
    status["ready"] = ready
    status["terminating"] = terminating


def _controller(pod: Manifest) -> Manifest | None:
    for reference in pod["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference["kind"] == "Job":
            return dict(reference)
    return None


def _new_pod(job: Manifest) -> Manifest:
    metadata, template = job["metadata"], copy_manifest(job["spec"]["template"])
    pod_metadata = template.get("metadata") or {}
    # Long names are cut so that the random suffix fits into a DNS label.
    prefix = f"{metadata['name']}-"[:58]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": prefix,
            "namespace": metadata["namespace"],
            **{key: pod_metadata[key] for key in ("labels", "annotations") if pod_metadata.get(key)},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "finalizers": [*(pod_metadata.get("finalizers") or ()), TRACKING_FINALIZER],
        },
        "spec": template["spec"],
    }
