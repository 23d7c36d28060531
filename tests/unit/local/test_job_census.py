from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.local.job_census import TRACKING_FINALIZER, decide, missing_pods, take_census
from airflow_spark_k8s.local.job_failure_policy import Action, judge
from airflow_spark_k8s.local.manifests import timestamp
from airflow_spark_k8s.local.timers import EPOCH

NOW = EPOCH.timestamp() + 100.0


def pod(phase: str = "Running", *, deleting: bool = False, code: int | None = None, **more: Any) -> Any:
    metadata: dict[str, Any] = {"name": "p", "namespace": "ns", "finalizers": [TRACKING_FINALIZER]}
    if deleting:
        metadata["deletionTimestamp"] = timestamp(EPOCH)
    status: dict[str, Any] = {"phase": phase, **more}
    if code is not None:
        status["containerStatuses"] = [{"name": "main", "state": {"terminated": {"exitCode": code}}}]
    return {"metadata": metadata, "status": status}


def job(status: dict[str, Any] | None = None, **spec: Any) -> Any:
    spec = {"parallelism": 1, "completions": 1, "backoffLimit": 0, "template": {"spec": {}}, **spec}
    return {"metadata": {"name": "j", "namespace": "ns"}, "spec": spec, "status": status or {}}


DISRUPTED = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}
IGNORE = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}

DECISIONS = {
    "a running pod: goes on": (job(), [pod()], None),
    "no pod yet: goes on": (job(), [], None),
    "one success of one": (job(), [pod("Succeeded")], "CompletionsReached"),
    "one success of two: goes on": (job(completions=2), [pod("Succeeded")], None),
    "the second success of two": (
        job({"succeeded": 1}, completions=2),
        [pod("Succeeded")],
        "CompletionsReached",
    ),
    "any success is enough without a number of completions": (
        job(completions=None),
        [pod("Succeeded")],
        "CompletionsReached",
    ),
    "but the others are waited for": (job(completions=None), [pod("Succeeded"), pod()], None),
    "a failure beyond the limit": (job(), [pod("Failed", code=1)], "BackoffLimitExceeded"),
    "a failure within the limit: goes on": (job(backoffLimit=1), [pod("Failed", code=1)], None),
    "a pod that is being deleted counts as failed at once": (
        job(),
        [pod(deleting=True)],
        "BackoffLimitExceeded",
    ),
    "unless only failed pods are replaced": (job(podReplacementPolicy="Failed"), [pod(deleting=True)], None),
    "a disruption that the policy ignores": (
        job(podFailurePolicy=IGNORE),
        [pod("Failed", **DISRUPTED)],
        None,
    ),
    "the same without a policy": (job(), [pod("Failed", **DISRUPTED)], "BackoffLimitExceeded"),
    "restarts within the pod count where it restarts": (
        job(template={"spec": {"restartPolicy": "OnFailure"}}, backoffLimit=2),
        [pod(containerStatuses=[{"name": "main", "state": {}, "restartCount": 2}])],
        "BackoffLimitExceeded",
    ),
    "the deadline has passed": (
        job({"startTime": timestamp(EPOCH)}, activeDeadlineSeconds=100),
        [pod()],
        "DeadlineExceeded",
    ),
    "the deadline has not passed: goes on": (
        job({"startTime": timestamp(EPOCH)}, activeDeadlineSeconds=101),
        [pod()],
        None,
    ),
    "the deadline of a suspended Job does not run": (
        job({"startTime": timestamp(EPOCH)}, activeDeadlineSeconds=1, suspend=True),
        [],
        None,
    ),
    "what was announced stays, whatever happens": (
        job({"conditions": [{"type": "FailureTarget", "status": "True", "reason": "X", "message": "m"}]}),
        [pod("Succeeded")],
        "X",
    ),
}


@pytest.mark.parametrize(("manifest", "pods", "reason"), DECISIONS.values(), ids=DECISIONS)
def test_how_a_job_ends(manifest: Any, pods: list[Any], reason: str | None) -> None:
    verdict = decide(manifest, take_census(manifest, pods), NOW)

    assert (verdict.reason if verdict else None) == reason


NEEDS = {
    "a first pod": (job(), [], 1),
    "nothing while one is active": (job(), [pod()], 0),
    "as many as run at a time": (job(parallelism=3, completions=5), [], 3),
    "no more than are left to complete": (job({"succeeded": 4}, parallelism=3, completions=5), [], 1),
    "too many after parallelism was lowered": (job(parallelism=1, completions=5), [pod(), pod()], -1),
    "a replacement for one that is being deleted": (job(backoffLimit=9), [pod(deleting=True)], 1),
    "no replacement before it has ended": (job(podReplacementPolicy="Failed"), [pod(deleting=True)], 0),
    "a failure policy waits, too": (job(podFailurePolicy=IGNORE), [pod(deleting=True)], 0),
}


@pytest.mark.parametrize(("manifest", "pods", "missing"), NEEDS.values(), ids=NEEDS)
def test_how_many_pods_a_job_needs(manifest: Any, pods: list[Any], missing: int) -> None:
    assert missing_pods(manifest, take_census(manifest, pods)) == missing


def rule(action: str, **requirement: Any) -> dict[str, Any]:
    return {"rules": [{"action": action, **requirement}]}


VERDICTS = {
    "no policy counts": (None, pod("Failed", code=1), Action.COUNT),
    "a code in the list": (
        rule("FailJob", onExitCodes={"operator": "In", "values": [42]}),
        pod("Failed", code=42),
        Action.FAIL_JOB,
    ),
    "a code that is not in the list": (
        rule("FailJob", onExitCodes={"operator": "In", "values": [42]}),
        pod("Failed", code=1),
        Action.COUNT,
    ),
    "a code that must not be in the list": (
        rule("Ignore", onExitCodes={"operator": "NotIn", "values": [1]}),
        pod("Failed", code=2),
        Action.IGNORE,
    ),
    "a container that ended well matches no code": (
        rule("FailJob", onExitCodes={"operator": "NotIn", "values": [1]}),
        pod("Failed", code=0),
        Action.COUNT,
    ),
    "another container's code": (
        rule("FailJob", onExitCodes={"operator": "In", "values": [1], "containerName": "other"}),
        pod("Failed", code=1),
        Action.COUNT,
    ),
    "a condition": (IGNORE, pod("Failed", **DISRUPTED), Action.IGNORE),
    "a condition that is not true": (
        IGNORE,
        pod("Failed", conditions=[{"type": "DisruptionTarget", "status": "False"}]),
        Action.COUNT,
    ),
    "a pod that has not failed": (IGNORE, pod("Running", **DISRUPTED), Action.COUNT),
}


@pytest.mark.parametrize(("policy", "failed", "action"), VERDICTS.values(), ids=VERDICTS)
def test_what_the_failure_policy_says(policy: Any, failed: Any, action: Action) -> None:
    assert judge(policy, failed).action is action


def test_a_failed_job_is_told_which_rule_matched() -> None:
    policy = rule("FailJob", onPodConditions=[{"type": "DisruptionTarget", "status": "True"}])

    verdict = judge(policy, pod("Failed", **DISRUPTED))

    assert verdict.message == "Pod ns/p has condition DisruptionTarget matching FailJob rule at index 0"
