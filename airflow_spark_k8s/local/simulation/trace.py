"""What happened in one simulation: the last lines as text, everything in one digest."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable

LAST_LINES = 60
"""Lines that a failure shows."""


class Trace:
    """
    A record that is the same whenever the same seed is run.

    :param time: seconds of virtual time.
    :param keep: lines to keep; None: all of them.
    """

    def __init__(self, time: Callable[[], float], *, keep: int | None = LAST_LINES) -> None:
        self._time = time
        self._digest = hashlib.blake2b(digest_size=16)
        self.lines: deque[str] = deque(maxlen=keep)
        self.counts: Counter[str] = Counter()  # faults and other occurrences by kind

    def say(self, who: str, text: str) -> None:
        """Add one line."""
        line = f"{self._time():10.3f}  {who:<12} {text}"
        self.lines.append(line)
        self._digest.update(line.encode())

    def count(self, kind: str) -> None:
        """Count one occurrence."""
        self.counts[kind] += 1

    def witness(self, content: bytes) -> None:
        """Include in the digest what is too long for a line."""
        self._digest.update(content)

    @property
    def digest(self) -> str:
        """Digest of everything so far; two runs that differ in anything have different ones."""
        return self._digest.hexdigest()
