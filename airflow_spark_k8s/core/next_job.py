"""The Job that continues one whose driver was deleted, made from the old one as the API server shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_spark_k8s.core.job_chain import next_job_name
from airflow_spark_k8s.core.job_state import (
    ANNOTATION_CONTINUED_BY,
    drivers_annotation,
    earlier_annotation,
    job_state,
)
from airflow_spark_k8s.core.labels import ANNOTATION_OUTCOME, ANNOTATION_SPEC_HASH, LABEL_APPLICATION
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import InvalidConfiguration

LEAST_DEADLINE_SECONDS = 60
"""The least that the next Job gets, however little the one before it had left."""

_OF_ONE_JOB = (
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
)
_OF_THE_PAST = (
    ANNOTATION_CONTINUED_BY,
    ANNOTATION_OUTCOME,
    "kubectl.kubernetes.io/last-applied-configuration",
)
_SET_BY_THE_SERVER = ("selector", "manualSelector")


def next_job(job: Manifest, driver_uids: tuple[str, ...], now: float) -> Manifest:
    """
    A suspended Job with the next ordinal, owned by `job` until it is resumed.

    It gets what is left of the deadline of `job`.

    :param driver_uids: of all driver pods so far.
    :param now: seconds since the epoch.
    :raises InvalidConfiguration: there is no ordinal left.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector
    """
    metadata, state = job["metadata"], job_state(job)
    name = next_job_name(metadata["name"])
    if name is None:
        raise InvalidConfiguration("job_name", metadata["name"], "no Job can follow this one")
    annotations = _without(metadata.get("annotations"), _OF_THE_PAST)
    annotations |= earlier_annotation((*state.earlier_uids, state.uid)) | drivers_annotation(driver_uids)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": _without(metadata.get("labels"), _OF_ONE_JOB),
            "annotations": annotations,
            "ownerReferences": [owner_reference(metadata)],
        },
        "spec": _spec(job, now),
    }


def continues(candidate: Manifest, job: Manifest) -> bool:
    """Whether `candidate` was made to continue `job`, by this controller or another one."""
    return (
        job["metadata"]["uid"] in job_state(candidate).earlier_uids
        and _mark(candidate, "labels", LABEL_APPLICATION) == _mark(job, "labels", LABEL_APPLICATION)
        and _mark(candidate, "annotations", ANNOTATION_SPEC_HASH)
        == _mark(job, "annotations", ANNOTATION_SPEC_HASH)
    )


def owner_reference(metadata: Mapping[str, Any]) -> Manifest:
    """The owner reference to the Job with this metadata, as one of possibly several owners."""
    return {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}


def _spec(job: Manifest, now: float) -> Manifest:
    spec = _without(job["spec"], _SET_BY_THE_SERVER)
    template = spec["template"]
    pod = template.get("metadata") or {}
    kept = {
        "labels": _without(pod.get("labels"), _OF_ONE_JOB),
        "annotations": dict(pod.get("annotations") or {}),
    }
    spec |= {"suspend": True, "template": {**template, "metadata": kept}}
    if spec.get("activeDeadlineSeconds") is not None:
        spec["activeDeadlineSeconds"] = _deadline_left(job, now)
    return spec


def _deadline_left(job: Manifest, now: float) -> int:
    given, started = int(job["spec"]["activeDeadlineSeconds"]), (job.get("status") or {}).get("startTime")
    spent = 0.0 if started is None else max(now - datetime.fromisoformat(started).timestamp(), 0.0)
    return max(int(given - spent), min(given, LEAST_DEADLINE_SECONDS))


def _without(given: Mapping[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in (given or {}).items() if name not in names}


def _mark(job: Manifest, kind: str, key: str) -> str | None:
    value: str | None = (job["metadata"].get(kind) or {}).get(key)
    return value
