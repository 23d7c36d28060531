"""Pauses between the attempts at a submission."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from airflow_spark_k8s.exceptions import ClusterError

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
REPEAT_SECONDS = 60.0


class Pauses:
    """
    What lies between two attempts at a submission: it doubles, and all of it together is bounded.

    :param sleep: called for each of them.
    :param jitter: a number in [0, 1); spreads them.
    :param report: is given a line about what is waited for, once a minute.
    :param seconds: of all pauses together.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]],
        jitter: Callable[[], float],
        report: Callable[[str], None],
        seconds: float,
    ) -> None:
        self._sleep = sleep
        self._jitter = jitter
        self._report = report
        self._left_seconds = seconds
        self._next_seconds = FIRST_PAUSE_SECONDS
        self._silent_seconds = REPEAT_SECONDS

    async def wait(self, error: ClusterError) -> None:
        """
        One pause because of `error`, as long as the server asks for at least.

        :raises ClusterError: `error`, if the time is used up.
        """
        if self._left_seconds <= 0:
            raise error
        seconds = self._next_seconds * (1 + self._jitter() / 4)
        if error.retry_after_seconds is not None:
            seconds = max(seconds, error.retry_after_seconds)
        seconds = min(seconds, self._left_seconds)
        self._left_seconds -= seconds
        if self._silent_seconds >= REPEAT_SECONDS:
            self._silent_seconds = 0.0
            self._report(f"not submitted yet: {error}; trying again")
        self._silent_seconds += seconds
        self._next_seconds = min(2 * self._next_seconds, LONGEST_PAUSE_SECONDS)
        await self._sleep(seconds)
