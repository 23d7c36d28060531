"""The exception with which a task ends whose application has not succeeded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from airflow_spark_k8s.core.explanation import explanation
from airflow_spark_k8s.exceptions import DriverTookOver, SparkVersionMismatch

if TYPE_CHECKING:
    from airflow_spark_k8s.core.outcome import Outcome


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
