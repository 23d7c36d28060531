"""What a Job's failure policy makes of a failed pod."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.manifests import key_of


class Action(Enum):
    """Actions of a rule, as the API names them."""

    IGNORE = "Ignore"
    COUNT = "Count"
    FAIL_JOB = "FailJob"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens because of one failed pod."""

    action: Action
    message: str = ""  # FAIL_JOB: message of the Job's condition


def judge(policy: Manifest | None, pod: Manifest) -> Verdict:
    """
    Verdict of the first rule that matches a failed pod; it counts if none does or there is no policy.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
    """
    if policy is None or pod.get("status", {}).get("phase") != "Failed":
        return Verdict(Action.COUNT)
    for index, rule in enumerate(policy.get("rules") or ()):
        finding = _matches(rule, pod)
        if finding is None:
            continue
        action = Action(rule["action"])
        message = f"{finding} matching {action.value} rule at index {index}"
        return Verdict(action, message if action is Action.FAIL_JOB else "")
    return Verdict(Action.COUNT)


def _matches(rule: Manifest, pod: Manifest) -> str | None:
    if "onExitCodes" in rule:
        return _exit_code(rule["onExitCodes"], pod)
    return _condition(rule.get("onPodConditions") or (), pod)


def _exit_code(requirement: Manifest, pod: Manifest) -> str | None:
    for status in _terminated(pod):
        if requirement.get("containerName") not in (None, status["name"]):
            continue
        code = status["state"]["terminated"]["exitCode"]
        listed = code in requirement["values"]
        if code != 0 and listed == (requirement["operator"] == "In"):
            return f"Container {status['name']} for pod {_name(pod)} failed with exit code {code}"
    return None


def _terminated(pod: Manifest) -> Iterator[Manifest]:
    status = pod["status"]
    for each in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        if "terminated" in each.get("state", {}):
            yield each


def _condition(patterns: Iterator[Manifest] | list[Manifest] | tuple[()], pod: Manifest) -> str | None:
    conditions = pod["status"].get("conditions") or ()
    for pattern in patterns:
        for condition in conditions:
            if (condition["type"], condition["status"]) == (pattern["type"], pattern.get("status", "True")):
                return f"Pod {_name(pod)} has condition {condition['type']}"
    return None


def _name(pod: Manifest) -> str:
    namespace, name = key_of(pod)
    return f"{namespace}/{name}"
