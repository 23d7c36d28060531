"""How long to wait after something went wrong."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting after failures in a row of one kind of call."""

    failures: int = 0
    until: float = 0.0  # no new attempt before this moment

    def open(self, now: float) -> bool:
        """Whether the next attempt may be made."""
        return now >= self.until

    def failed(self, now: float, *, jitter: float, at_least_seconds: float = 0.0) -> Backoff:
        """
        The same after one more failure: twice as long as before, spread by up to a quarter.

        `jitter` is in [0, 1); `at_least_seconds` is what the server asked for.
        """
        failures = self.failures + 1
        delay = doubling(FIRST_SECONDS, failures, LONGEST_SECONDS) * (1 + jitter / 4)
        return Backoff(failures, now + max(delay, at_least_seconds))


def doubling(first_seconds: float, times: int, longest_seconds: float) -> float:
    """`first_seconds` doubled `times - 1` times, at most `longest_seconds`; 0 for no times at all."""
    if times <= 0:
        return 0.0
    return min(first_seconds * 2.0 ** min(times - 1, 30), longest_seconds)
