"""The last step on a worker: what the driver said, and how long it stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_spark_k8s.core.last_exception import last_exception
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.exceptions import NotFound, SparkKubernetesError

if TYPE_CHECKING:
    from airflow_spark_k8s.controller.patience import Patience
    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.kube.cluster import Cluster

OUTAGE_SECONDS = 90.0  # for all calls together: an API server that is updated is away for 20 to 60 s
_EXPLAINING_LINES = 300  # Spark's stack traces are long, and what follows them is, too
_TOLD_BY_THE_LOG = (Verdict.DRIVER_FAILED, Verdict.DRIVER_OUT_OF_MEMORY)
_FOREIGN_MASTER = "Secret keys provided via files is only allowed in Kubernetes mode"


class Log(Protocol):
    """The part of a logger that is used here."""

    def info(self, event: Any, *args: Any) -> Any:
        """Log for the reader of the task's log."""
        ...

    def warning(self, event: Any, *args: Any) -> Any:
        """Log what went wrong without changing the verdict."""
        ...


async def conclude(
    cluster: Cluster,
    reference: ApplicationReference,
    outcome: Outcome,
    *,
    log_lines: int,
    retention_seconds: int,
    log: Log,
) -> Outcome:
    """
    Print the driver's last `log_lines` lines and shorten the Job's life to `retention_seconds`.

    The Job is the one that the application ended in, which may be a later one than that of `reference`.

    The verdict is known by now, so nothing that goes wrong here is raised; a short outage is waited for. An
    application that may still run because nobody has seen it end is left alone.

    :returns: the outcome, with a better reason for a failure if the driver's log tells it.
    """
    from airflow_spark_k8s.controller.clock import SystemClock
    from airflow_spark_k8s.controller.patience import Patience

    if outcome.verdict is Verdict.SIGHT_LOST:
        return outcome
    patience = Patience(SystemClock(), OUTAGE_SECONDS, log.warning)
    needed = max(log_lines, _EXPLAINING_LINES if outcome.verdict in _TOLD_BY_THE_LOG else 0)
    if outcome.driver_pod is not None and needed > 0:
        lines = await _driver_log(cluster, patience, reference.namespace, outcome.driver_pod, needed, log)
        _print(lines[-log_lines:] if log_lines else [], outcome.driver_pod, log)
        outcome = explained(outcome, lines)
    await _retain(cluster, patience, outcome.job_of(reference), retention_seconds, log)
    return outcome


def explained(outcome: Outcome, lines: Sequence[str]) -> Outcome:
    """
    `outcome` with what the driver's last `lines` tell: a mistake in the user's code, or the last exception.

    Code that sets the master ends the driver before its REST API can tell, as long as Spark
    authenticates: then another master than Kubernetes refuses the secret's file.

    Source: org.apache.spark.SecurityManager.secretKeyFromFile
    """
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    if outcome.verdict not in _TOLD_BY_THE_LOG:
        return outcome
    if not any(_FOREIGN_MASTER in line for line in lines):
        told = last_exception(lines)
        if told is None:
            return outcome
        # A log is masked as it is printed; this goes to XCom and callbacks, too.
        return replace(outcome, message=f"{outcome.message}; its log says: {redact(told)}")
    message = (
        "the application's code sets spark.master to something else than Kubernetes, so the executors of "
        "this task cannot join its driver; remove it from the code"
    )
    return replace(outcome, verdict=Verdict.DRIVER_TOOK_OVER, message=message)


async def _driver_log(
    cluster: Cluster, patience: Patience, namespace: str, pod: str, lines: int, log: Log
) -> list[str]:
    """The driver's last lines; none if they cannot be read."""
    from airflow_spark_k8s.kube.submit import driver_log

    try:
        text = await patience.of(
            f"reading the log of driver pod {pod}", lambda: driver_log(cluster, namespace, pod, lines)
        )
    except NotFound:
        log.info("The driver pod %s is gone, and its log with it.", pod)
        return []
    except SparkKubernetesError as error:
        log.warning("The log of driver pod %s cannot be read: %s", pod, error)
        return []
    return text.splitlines()


def _print(lines: Sequence[str], pod: str, log: Log) -> None:
    if not lines:
        return
    log.info("::group::Last lines of driver %s", pod)
    for line in lines:
        log.info("%s", line)
    log.info("::endgroup::")


async def _retain(
    cluster: Cluster, patience: Patience, reference: ApplicationReference, seconds: int, log: Log
) -> None:
    from airflow_spark_k8s.kube.submit import retain

    try:
        await patience.of(
            f"setting the retention of Job {reference.job_name}", lambda: retain(cluster, reference, seconds)
        )
    except SparkKubernetesError as error:
        log.warning("Job %s stays longer than asked for: %s", reference.job_name, error)
