"""What a Job's pods and spec say about it: counts, and whether it is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.conditions import find_condition, is_deleting, is_ready, is_true
from airflow_spark_k8s.local.job_failure_policy import Action, judge
from airflow_spark_k8s.local.manifests import is_terminal, parse_timestamp

TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
"""Keeps a Job's pods until the controller has counted them."""

REACHED = ("CompletionsReached", "Reached expected number of succeeded pods")
BACKOFF_LIMIT = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
DEADLINE = ("DeadlineExceeded", "Job was active longer than specified deadline")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a Job ends, once its pods are gone."""

    success: bool
    reason: str
    message: str

    @property
    def target(self) -> str:
        """Type of the condition that announces the end."""
        return "SuccessCriteriaMet" if self.success else "FailureTarget"

    @property
    def final(self) -> str:
        """Type of the condition that says it is over."""
        return "Complete" if self.success else "Failed"


@dataclass(frozen=True, slots=True)
class Census:
    """A Job's pods, sorted."""

    active: tuple[Manifest, ...]  # neither ended nor being deleted
    ready: int
    terminating: int  # being deleted and not ended
    tracked: tuple[Manifest, ...]  # not counted yet: they carry the finalizer
    succeeded: int  # counted before and now
    failed: int  # counted before and now, without those the policy ignores
    restarts: int  # of the containers of active pods
    new_failures: int  # ended badly since the last count, ignored or not
    fail_job: str | None  # message of a FailJob rule that matched; None: no rule did


def only_replaces_failed(job: Manifest) -> bool:
    """Whether a pod that is being deleted is replaced only once it has ended."""
    spec = job["spec"]
    return spec.get("podReplacementPolicy") == "Failed" or spec.get("podFailurePolicy") is not None


def counts_as_failed(job: Manifest, pod: Manifest) -> bool:
    """Whether a pod is lost to its Job, whatever the failure policy makes of it."""
    phase = pod.get("status", {}).get("phase")
    if phase == "Failed":
        return True
    return not only_replaces_failed(job) and is_deleting(pod) and phase != "Succeeded"


def take_census(job: Manifest, pods: Iterable[Manifest]) -> Census:
    """The pods of a Job, sorted and counted."""
    everyone = list(pods)
    status, policy = job.get("status", {}), job["spec"].get("podFailurePolicy")
    active = tuple(pod for pod in everyone if not is_terminal(pod) and not is_deleting(pod))
    tracked = tuple(p for p in everyone if TRACKING_FINALIZER in (p["metadata"].get("finalizers") or ()))
    lost = [pod for pod in tracked if counts_as_failed(job, pod)]
    verdicts = [judge(policy, pod) for pod in lost]
    return Census(
        active=active,
        ready=sum(is_ready(pod) for pod in active),
        terminating=sum(is_deleting(pod) and not is_terminal(pod) for pod in everyone),
        tracked=tracked,
        succeeded=status.get("succeeded", 0) + sum(_succeeded(pod) for pod in tracked),
        failed=status.get("failed", 0) + sum(each.action is not Action.IGNORE for each in verdicts),
        restarts=sum(_restarts(active)),
        new_failures=len(lost),
        fail_job=next((each.message for each in verdicts if each.action is Action.FAIL_JOB), None),
    )


def decide(job: Manifest, census: Census, now: float) -> Verdict | None:
    """
    How the Job ends; None if it goes on. What was announced once stays. `now` is in seconds since the epoch.

    Source: syncJob of the Job controller of kubernetes.
    """
    for condition_type in ("FailureTarget", "SuccessCriteriaMet"):
        if is_true(job, condition_type):
            found = find_condition(job, condition_type) or {}
            return Verdict(condition_type != "FailureTarget", found["reason"], found["message"])
    if census.fail_job is not None:
        return Verdict(False, "PodFailurePolicy", census.fail_job)
    if _past_backoff_limit(job, census):
        return Verdict(False, *BACKOFF_LIMIT)
    left = seconds_to_deadline(job, now)
    if left is not None and left <= 0:
        return Verdict(False, *DEADLINE)
    completions = job["spec"].get("completions")
    if completions is None:
        complete = census.succeeded > 0 and not census.active
    else:
        complete = census.succeeded >= completions
    return Verdict(True, *REACHED) if complete else None


def seconds_to_deadline(job: Manifest, now: float) -> float | None:
    """Seconds until `activeDeadlineSeconds` have passed; None: no deadline, or not started."""
    deadline, started = job["spec"].get("activeDeadlineSeconds"), job.get("status", {}).get("startTime")
    if deadline is None or started is None or job["spec"].get("suspend"):
        return None
    return float(deadline) - (now - parse_timestamp(started).timestamp())


def missing_pods(job: Manifest, census: Census) -> int:
    """How many pods are to be created; negative: how many are too many."""
    spec = job["spec"]
    parallelism, completions = spec.get("parallelism", 1), spec.get("completions")
    active = len(census.active)
    if completions is None:
        wanted = active if census.succeeded else parallelism
    else:
        wanted = min(parallelism, completions - census.succeeded)
    if active >= wanted:
        return int(wanted - active)
    held_back = census.terminating if only_replaces_failed(job) else 0
    return max(int(wanted - active - held_back), 0)


def is_finished(job: Manifest) -> bool:
    """Whether the Job has its final condition."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def beyond_this_controller(job: Manifest) -> str | None:
    """What the Job asks for that the local cluster does not have; None: it can be run."""
    spec = job["spec"]
    if spec.get("completionMode") == "Indexed":
        return "completionMode Indexed"
    rules = (spec.get("podFailurePolicy") or {}).get("rules") or ()
    if any(rule.get("action") == "FailIndex" for rule in rules):
        return "podFailurePolicy action FailIndex"
    return next((key for key in ("successPolicy", "managedBy") if spec.get(key) is not None), None)


def _past_backoff_limit(job: Manifest, census: Census) -> bool:
    limit = job["spec"].get("backoffLimit", 6)
    if job["spec"]["template"]["spec"].get("restartPolicy") == "OnFailure":
        return census.restarts > 0 and census.restarts >= limit
    return bool(census.failed > limit)


def _succeeded(pod: Manifest) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Succeeded")


def _restarts(pods: Iterable[Manifest]) -> Iterator[int]:
    for pod in pods:
        status = pod.get("status", {})
        for each in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
            yield each.get("restartCount", 0)
