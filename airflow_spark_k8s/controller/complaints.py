"""Errors of the API server in the log: at once, then once a minute, and a line when they are over."""

from __future__ import annotations

from collections.abc import Callable

from airflow_spark_k8s.controller.clock import Clock
from airflow_spark_k8s.controller.patience import is_outage
from airflow_spark_k8s.exceptions import ClusterError

REPEAT_SECONDS = 60.0

_OUTAGE = "the API server"


class Complaints:
    """
    Reports that something does not work without flooding the log.

    An outage is one topic, however many calls fail because of it.
    """

    def __init__(self, clock: Clock, report: Callable[[str], None]) -> None:
        self._clock = clock
        self._report = report
        self._said_at: dict[str, float] = {}
        self._suffering: set[str] = set()  # what fails because of the outage

    def failed(self, what: str, error: ClusterError) -> None:
        """Report that `what` fails, unless that was reported within the last minute."""
        topic = what
        if is_outage(error):
            self._suffering.add(what)
            topic = _OUTAGE
        now = self._clock.monotonic()
        if now - self._said_at.get(topic, -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._said_at[topic] = now
            self._report(f"{what}: {error}; trying again")

    def works(self, what: str) -> None:
        """Report that `what` works again, if its failure was reported."""
        if self._said_at.pop(what, None) is not None:
            self._report(f"{what}: works again")
        if what in self._suffering:
            self._suffering.remove(what)
            if not self._suffering and self._said_at.pop(_OUTAGE, None) is not None:
                self._report(f"{_OUTAGE}: works again")
