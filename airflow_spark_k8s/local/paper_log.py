"""The log of a container that exists on paper only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from airflow_spark_k8s.local.kubelet_runtime import LogOptions


class PaperLog:
    """Lines with the time they were written."""

    def __init__(self) -> None:
        self._lines: list[tuple[datetime, bytes]] = []
        self._followers: list[tuple[LogOptions, Callable[[bytes], None], Callable[[], None]]] = []
        self._ended = False

    def write(self, text: str, now: datetime) -> None:
        """Add whole lines."""
        for line in text.encode().splitlines(keepends=True):
            entry = (now, line if line.endswith(b"\n") else line + b"\n")
            self._lines.append(entry)
            for options, write, _ in tuple(self._followers):
                write(_shown(entry, options))

    def end(self) -> None:
        """The container has ended: followers have everything."""
        self._ended = True
        followers, self._followers = self._followers, []
        for _, _, ended in followers:
            ended()

    def read(self, options: LogOptions) -> bytes:
        """The wanted part of the log so far."""
        lines = [entry for entry in self._lines if options.since is None or entry[0] >= options.since]
        if options.tail_lines is not None:
            lines = lines[max(len(lines) - options.tail_lines, 0) :]
        return b"".join(_shown(entry, options) for entry in lines)[: options.limit_bytes]

    def follow(
        self, options: LogOptions, write: Callable[[bytes], None], ended: Callable[[], None]
    ) -> Callable[[], None]:
        """A function that ends following."""
        write(self.read(options))
        if self._ended:
            ended()
            return lambda: None
        follower = (options, write, ended)
        self._followers.append(follower)

        def stop() -> None:
            if follower in self._followers:
                self._followers.remove(follower)

        return stop


def _shown(entry: tuple[datetime, bytes], options: LogOptions) -> bytes:
    moment, line = entry
    if not options.timestamps:
        return line
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode() + line
