"""A verdict for whoever has to act on it: what happened, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.outcome import Outcome, Verdict

_OF_VERDICT: Mapping[Verdict, str] = {
    Verdict.DRIVER_FAILED: "see the driver's last lines in the task log",
    Verdict.DRIVER_OUT_OF_MEMORY: (
        "give the driver more memory: spark.driver.memory for its heap, spark.driver.memoryOverhead beside it"
    ),
    Verdict.DRIVER_LOST: (
        "a retry starts the application anew; a priority class, or nodes that stay, keep a driver longer"
    ),
    Verdict.DRIVER_START_FAILED: "kubectl describe pod, and the driver template, tell more",
    Verdict.EXECUTOR_START_FAILED: "kubectl describe pod, and the executor template, tell more",
    Verdict.TIMED_OUT: "raise the task's execution_timeout, or make the application faster",
    Verdict.SIGHT_LOST: (
        "a retry adopts the application if it is still the same; without one, kubectl delete job removes it"
    ),
}
"""What to do, where neither the message nor the cause says so."""

_OF_CAUSE: Mapping[str, str] = {
    Cause.IMAGE: "check the image's name and tag, the registry, and the pull secrets of the service account",
    Cause.CONFIGURATION: "create what is missing in the namespace, or correct what names it",
    Cause.REFUSED: "change the pod so that it is let in, or ask whoever owns the rule or the right",
    Cause.UNSCHEDULABLE: "let pods request less, add nodes, or check node selectors, tolerations and claims",
    Cause.QUOTA: "let pods request less, wait for others to end, or raise the quota",
    Cause.VOLUME: "check the volume and the claims that the pod names",
}
"""What to do about something that has not started."""


def explanation(outcome: Outcome, conn_id: str) -> str:
    """
    The text of the exception for an outcome.

    :param conn_id: the connection that names the cluster.
    """
    remedy = _OF_CAUSE.get(outcome.cause or "") or _OF_VERDICT.get(outcome.verdict)
    text = f"{outcome.message} ({_where(outcome, conn_id)})"
    return text if remedy is None else f"{text}; to do: {remedy}"


def _where(outcome: Outcome, conn_id: str) -> str:
    parts = [
        f"connection {conn_id}",
        f"namespace {outcome.namespace}",
        f"Job {outcome.job_name}",
        f"driver pod {outcome.driver_pod}" if outcome.driver_pod else "",
        f"node {outcome.driver_node}" if outcome.driver_node else "",
    ]
    return ", ".join(part for part in parts if part)
