"""The exception with which a task ends whose application has not succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from airflow_spark_k8s.core.explanation import explanation
from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.exceptions import DriverTookOver, SparkKubernetesError, SparkVersionMismatch

if TYPE_CHECKING:
    from airflow_spark_k8s.core.outcome import Outcome
    from airflow_spark_k8s.core.spec import ApplicationReference


def failure_of(outcome: Outcome, conn_id: str) -> Exception | None:
    """
    What to raise for an outcome; None after success.

    A mistake in the configuration that was found out late would end the next try the same way: it is an
    AirflowFailException, caused by the verdict's own.
    """
    error = outcome.error(explanation(outcome, conn_id))
    if not isinstance(error, DriverTookOver | SparkVersionMismatch):
        return error
    final = AirflowFailException(str(error))
    final.__cause__ = error
    return final


def unwatched(reference: ApplicationReference, why: str, *, removed: bool) -> SparkKubernetesError:
    """
    What to raise for an application that no trigger could watch to its end.

    :param why: what the trigger said.
    :param removed: whether the application is gone.
    """
    if removed:
        return SparkKubernetesError(
            f"application {reference.application} was removed: its trigger failed to watch it: {why}"
        )
    return SparkKubernetesError(
        f"application {reference.application} may still run: its trigger failed to watch it ({why}), and it "
        "could not be removed either (see the log). A retry with the same specification adopts it; to remove "
        f"it by hand: kubectl -n {reference.namespace} delete jobs -l "
        f"{LABEL_APPLICATION}={reference.application}"
    )
