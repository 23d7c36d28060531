"""
PodDisruptionBudgets: whether a pod may be evicted now.

Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
"""

from __future__ import annotations

import math

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import Reader, is_terminal, labels_of
from airflow_spark_k8s.local.resources import POD_DISRUPTION_BUDGETS, PODS


def check_budgets(reader: Reader, pod: Manifest) -> None:
    """Return if no budget of the pod's namespace is used up by evicting it; raises ApiError 429."""
    namespace = pod["metadata"]["namespace"]
    for budget in reader.iterate(POD_DISRUPTION_BUDGETS, namespace):
        if not _covers(budget, pod):
            continue
        pods = [
            each
            for each in reader.iterate(PODS, namespace)
            if _covers(budget, each) and not is_terminal(each)
        ]
        healthy = sum(1 for each in pods if _is_ready(each))
        needed = _needed(budget["spec"], len(pods))
        if healthy - 1 < needed:
            raise _violated(budget["metadata"]["name"], needed, healthy)


def _covers(budget: Manifest, pod: Manifest) -> bool:
    wanted = ((budget.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return bool(wanted) and all(labels_of(pod).get(key) == value for key, value in wanted.items())


def _is_ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _needed(spec: Manifest, total: int) -> int:
    if spec.get("minAvailable") is not None:
        return _count(spec["minAvailable"], total)
    return total - _count(spec.get("maxUnavailable", 0), total)


def _count(value: int | str, total: int) -> int:
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(total * int(value[:-1]) / 100)
    return int(value)


def _violated(name: str, needed: int, healthy: int) -> ApiError:
    message = f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
    cause = {"reason": "DisruptionBudget", "message": message}
    error = "Cannot evict pod as it would violate the pod's disruption budget."
    return ApiError(429, "TooManyRequests", error, {"causes": [cause]})
