"""What the driver's Job is doing, from its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_spark_k8s.core.labels import ANNOTATION_OUTCOME, PREFIX
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.core.spec import Manifest

ANNOTATION_DRIVER_PODS = PREFIX + "driver-pods"
"""Uids of every driver pod that a controller has seen, as a JSON list: how restarts are counted."""

ANNOTATION_EARLIER_JOBS = PREFIX + "earlier-jobs"
"""Uids of the Jobs that this one continues, oldest first, as a JSON list."""

ANNOTATION_CONTINUED_BY = PREFIX + "continued-by"
"""Name of the Job that continues this one, which gets no verdict of its own any more."""

DEADLINE_EXCEEDED = "DeadlineExceeded"
"""Reason of a Job that ran longer than its activeDeadlineSeconds."""

BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
"""Reason of a Job whose pod failed, or was deleted without being disrupted."""

DEFAULT_GRACE_SECONDS = 30
"""Of a pod whose Job does not say how long it may take to end."""

STOPPED_DEADLINE_SECONDS = 1
"""The activeDeadlineSeconds that a controller gives a Job to end it without removing it."""


class JobPhase(StrEnum):
    """Where a Job stands."""

    SUSPENDED = "suspended"
    ACTIVE = "active"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JobState:
    """One Job, as far as control needs it."""

    uid: str
    resource_version: str
    phase: JobPhase
    finished: bool  # no pod of it runs any more: Complete or Failed, not only about to be
    deleting: bool = False
    reason: str | None = None  # of a failure
    message: str | None = None
    stopped: bool = False  # a controller has ended it
    driver_uids: tuple[str, ...] = ()  # driver pods seen so far, oldest first, also those of earlier Jobs
    outcome: Outcome | None = None  # recorded by a controller
    name: str = ""
    earlier_uids: tuple[str, ...] = ()  # Jobs that it continues, oldest first
    continued_by: str | None = None  # name of the Job that continues it; None: it still counts
    in_the_making: bool = False  # not resumed yet, and bound to the Job before it
    grace_seconds: int = DEFAULT_GRACE_SECONDS  # that its pods have to end

    @property
    def settled(self) -> bool:
        """Whether its end is known; one that failed without a verdict may be continued by another Job."""
        return self.finished and (self.phase is JobPhase.COMPLETE or self.outcome is not None)


def job_state(job: Mapping[str, Any]) -> JobState:
    """
    The state of a Job manifest; a failure or success that is decided but not yet final counts already.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
    """
    metadata, spec = job["metadata"], job.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    conditions = {
        entry["type"]: entry
        for entry in (job.get("status") or {}).get("conditions") or []
        if entry.get("status") == "True"
    }
    failure = conditions.get("Failed") or conditions.get("FailureTarget") or {}
    earlier = _uids(annotations.get(ANNOTATION_EARLIER_JOBS))
    return JobState(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        phase=_phase(conditions, suspended=bool(spec.get("suspend"))),
        finished="Complete" in conditions or "Failed" in conditions,
        deleting=metadata.get("deletionTimestamp") is not None,
        reason=failure.get("reason"),
        message=failure.get("message"),
        stopped=spec.get("activeDeadlineSeconds") == STOPPED_DEADLINE_SECONDS,
        driver_uids=_uids(annotations.get(ANNOTATION_DRIVER_PODS)),
        outcome=_outcome(annotations.get(ANNOTATION_OUTCOME)),
        name=metadata.get("name") or "",
        earlier_uids=earlier,
        continued_by=annotations.get(ANNOTATION_CONTINUED_BY),
        in_the_making=any(owner["uid"] in earlier for owner in metadata.get("ownerReferences") or ()),
        grace_seconds=_grace_seconds(spec),
    )


def drivers_annotation(uids: tuple[str, ...]) -> dict[str, str]:
    """The Job annotation that `job_state` reads as `driver_uids`."""
    return {ANNOTATION_DRIVER_PODS: json.dumps(uids)}


def earlier_annotation(uids: tuple[str, ...]) -> dict[str, str]:
    """The Job annotation that `job_state` reads as `earlier_uids`."""
    return {ANNOTATION_EARLIER_JOBS: json.dumps(uids)}


def outcome_annotation(outcome: Outcome) -> dict[str, str]:
    """The Job annotation that `job_state` reads as `outcome`."""
    return {ANNOTATION_OUTCOME: json.dumps(outcome.as_dict(), sort_keys=True)}


def _phase(conditions: Mapping[str, Manifest], *, suspended: bool) -> JobPhase:
    if "Complete" in conditions or "SuccessCriteriaMet" in conditions:
        return JobPhase.COMPLETE
    if "Failed" in conditions or "FailureTarget" in conditions:
        return JobPhase.FAILED
    return JobPhase.SUSPENDED if suspended else JobPhase.ACTIVE


def _grace_seconds(spec: Mapping[str, Any]) -> int:
    pod = (spec.get("template") or {}).get("spec") or {}
    seconds = pod.get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_SECONDS if seconds is None else int(seconds)


def _uids(text: str | None) -> tuple[str, ...]:
    try:
        values = json.loads(text or "[]")
        return tuple(str(value) for value in values)
    except (ValueError, TypeError):
        return ()


def _outcome(text: str | None) -> Outcome | None:
    try:
        return None if text is None else Outcome.from_dict(json.loads(text))
    except ValueError:
        return None
