"""Taking a pod away for a reason that is not its own: eviction, preemption, taints, a lost node."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.conditions import pod_condition, with_condition
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import key_of, timestamp
from airflow_spark_k8s.local.resources import PODS
from airflow_spark_k8s.local.store import Store

EVICTED = ("EvictionByEvictionAPI", "Eviction API: evicting")
TAINTED = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
NODE_GONE = ("DeletionByPodGC", "PodGC: node no longer exists")


def disrupt(store: Store, pod: Manifest, why: tuple[str, str], *, grace_seconds: int | None = None) -> None:
    """
    Mark a pod with the condition DisruptionTarget, then delete it; one that is gone already is no error.

    `why` is reason and message of the condition; `grace_seconds` None: what the pod says.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
    """
    key = key_of(pod)
    uid = pod["metadata"]["uid"]
    try:
        mark_disrupted(store, pod, why)
        store.delete(PODS, *key, grace_seconds=grace_seconds, uid=uid)
    except ApiError as error:
        if error.code not in (404, 409):
            raise


def mark_disrupted(store: Store, pod: Manifest, why: tuple[str, str]) -> None:
    """Set the condition DisruptionTarget; raises ApiError 404."""
    _mark(store, pod, why, None)


def mark_failed(store: Store, pod: Manifest, why: tuple[str, str] | None) -> None:
    """Set the phase, and the condition DisruptionTarget unless `why` is None; raises ApiError 404."""
    _mark(store, pod, why, "Failed")


def _mark(store: Store, pod: Manifest, why: tuple[str, str] | None, phase: str | None) -> None:
    now = timestamp(store.now())

    def change(stored: Manifest) -> None:
        status = stored.setdefault("status", {})
        if why is not None:
            generation = stored["metadata"].get("generation")
            condition = pod_condition(
                "DisruptionTarget", True, now, reason=why[0], message=why[1], generation=generation
            )
            status["conditions"] = with_condition(status.get("conditions"), condition)
        if phase is not None:
            status["phase"] = phase

    store.edit(PODS, *key_of(pod), change, subresource="status")
