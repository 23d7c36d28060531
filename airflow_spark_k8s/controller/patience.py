"""Work that an outage of the API server must not spoil: tried again until it is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from airflow_spark_k8s.controller.clock import Clock
from airflow_spark_k8s.exceptions import ClusterError, ClusterUnreachable, ServerError, TooManyRequests

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0
REPEAT_SECONDS = 60.0

_OUTAGES = (ClusterUnreachable, ServerError, TooManyRequests)


class Patience:
    """
    A limited time to wait for an API server, shared by all calls that are made through one instance.

    :param clock: time and jitter.
    :param seconds: from now; no call is repeated after that.
    :param report: is given a line when the waiting begins, once a minute while it lasts, and at its end.
    """

    def __init__(self, clock: Clock, seconds: float, report: Callable[[str], None]) -> None:
        self._clock = clock
        self._report = report
        self._until = clock.monotonic() + seconds

    async def of(
        self, what: str, call: Callable[[], Awaitable[T]], *, also: tuple[type[ClusterError], ...] = ()
    ) -> T:
        """
        What `call` returns, as soon as it does not fail because of an outage.

        :param what: names the call in the log.
        :param also: other errors that may pass by themselves.
        :raises ClusterError: an error of another kind, at once; one of these that outlasts the patience.
        """
        pause, said_at = FIRST_PAUSE_SECONDS, None
        while True:
            try:
                result = await call()
            except ClusterError as error:
                seconds = self._pause(pause, error)
                may_pass = is_outage(error) or isinstance(error, also)
                if not may_pass or self._clock.monotonic() + seconds > self._until:
                    raise
                said_at = self._say(f"{what}: {error}; trying again", said_at)
            else:
                if said_at is not None:
                    self._report(f"{what}: works again")
                return result
            await self._clock.sleep(seconds)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _pause(self, seconds: float, error: ClusterError) -> float:
        return max(seconds, error.retry_after_seconds or 0.0) * (1 + self._clock.jitter() / 4)

    def _say(self, line: str, said_at: float | None) -> float:
        now = self._clock.monotonic()
        if said_at is not None and now - said_at < REPEAT_SECONDS:
            return said_at
        self._report(line)
        return now


def is_outage(error: ClusterError) -> bool:
    """Whether the API server, or the network on the way to it, has a problem that may pass by itself."""
    # Waiting does not repair a certificate.
    return isinstance(error, _OUTAGES) and "Certificate" not in (error.reason or "")
