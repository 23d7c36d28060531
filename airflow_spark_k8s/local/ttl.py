"""Removing finished Jobs after their `ttlSecondsAfterFinished`."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import find_condition, is_deleting, is_true
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import key_of, parse_timestamp
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.resources import JOBS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue


class TtlController:
    """Deletes Jobs, with their pods first, once their time to live after the end has passed."""

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._queue: WorkQueue[Key] = WorkQueue(timers, self._check)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is JOBS and event.type != "DELETED":
            job = event.object
            if job["spec"].get("ttlSecondsAfterFinished") is not None and finish_time(job) is not None:
                self._queue.add(key_of(job))

    def _check(self, key: Key) -> None:
        job = self._store.peek(JOBS, *key)
        if job is None or is_deleting(job):
            return
        ttl, finished = job["spec"].get("ttlSecondsAfterFinished"), finish_time(job)
        if ttl is None or finished is None:
            return
        left = ttl - (self._store.now().timestamp() - finished)
        if left > 0:
            self._queue.add(key, left)
            return
        try:
            self._store.delete(JOBS, *key, propagation="Foreground", uid=job["metadata"]["uid"])
        except ApiError as error:
            if error.code != 404:
                raise


def finish_time(job: Manifest) -> float | None:
    """When a Job completed or failed, in seconds since the epoch; None if it has not."""
    for condition_type in ("Complete", "Failed"):
        if is_true(job, condition_type):
            condition = find_condition(job, condition_type) or {}
            return parse_timestamp(condition["lastTransitionTime"]).timestamp()
    return None
