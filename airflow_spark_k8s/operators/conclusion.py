"""The last step on a worker: what the driver said, and how long it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_spark_k8s.exceptions import NotFound, SparkKubernetesError

if TYPE_CHECKING:
    from airflow_spark_k8s.core.outcome import Outcome
    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.kube.cluster import Cluster


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
) -> None:
    """
    Print the driver's last `log_lines` lines and shorten the Job's life to `retention_seconds`.

    The verdict is known by now, so nothing that goes wrong here is raised.
    """
    if outcome.driver_pod is not None and log_lines > 0:
        await _print_driver_log(cluster, reference.namespace, outcome.driver_pod, log_lines, log)
    await _retain(cluster, reference, retention_seconds, log)


async def _print_driver_log(cluster: Cluster, namespace: str, pod: str, lines: int, log: Log) -> None:
    from airflow_spark_k8s.kube.submit import driver_log

    try:
        text = await driver_log(cluster, namespace, pod, lines)
    except NotFound:
        log.info("The driver pod %s is gone, and its log with it.", pod)
        return
    except SparkKubernetesError as error:
        log.warning("The log of driver pod %s cannot be read: %s", pod, error)
        return
    log.info("::group::Last lines of driver %s", pod)
    for line in text.splitlines():
        log.info("%s", line)
    log.info("::endgroup::")


async def _retain(cluster: Cluster, reference: ApplicationReference, seconds: int, log: Log) -> None:
    from airflow_spark_k8s.kube.submit import retain

    try:
        await retain(cluster, reference, seconds)
    except SparkKubernetesError as error:
        log.warning("Job %s stays longer than asked for: %s", reference.job_name, error)
