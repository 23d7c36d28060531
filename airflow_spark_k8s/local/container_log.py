"""Log file of one container: every line with the time it was written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from airflow_spark_k8s.local.kubelet_runtime import LogOptions

_MAXIMUM_LINE_BYTES = 16 * 1024
_STAMP_LENGTH = len("2026-01-01T00:00:00.000000Z")


class ContainerLog:
    """
    What one instance of a container has written.

    :param path: file that keeps it, as lines of time, space, text.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")
        self._partial = b""
        self._followers: list[Callable[[], None]] = []
        self.ended = False

    def append(self, data: bytes, now: datetime) -> None:
        """Add output; a line appears when it is complete or too long."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._write(lines, now)
        if len(self._partial) > _MAXIMUM_LINE_BYTES:
            self._write([self._partial], now)
            self._partial = b""

    def end(self, now: datetime) -> None:
        """Close the file: the container has ended."""
        if self.ended:
            return
        if self._partial:
            self._write([self._partial], now)
            self._partial = b""
        self._file.close()
        self.ended = True
        self._notify()

    def read(self, options: LogOptions) -> bytes:
        """The wanted part of the log so far."""
        lines = _lines(self._path.read_bytes())
        if options.since is not None:
            since = _stamp(options.since)
            lines = [line for line in lines if line[:_STAMP_LENGTH] >= since]
        if options.tail_lines is not None:
            lines = lines[max(0, len(lines) - options.tail_lines) :]
        start = 0 if options.timestamps else _STAMP_LENGTH + 1
        text = b"".join(line[start:] for line in lines)
        return text if options.limit_bytes is None else text[: options.limit_bytes]

    def follow(
        self, options: LogOptions, write: Callable[[bytes], None], ended: Callable[[], None]
    ) -> Callable[[], None]:
        """A function that ends following; `write` gets the wanted part and what comes, `ended` the end."""
        follower = _Follower(self._path, options, write)
        write_first = self.read(options)
        follower.position = self._path.stat().st_size
        follower.remaining = None if options.limit_bytes is None else options.limit_bytes - len(write_first)
        if write_first:
            write(write_first)

        def notice() -> None:
            follower.catch_up()
            if self.ended or follower.remaining == 0:
                stop()
                ended()

        def stop() -> None:
            if notice in self._followers:
                self._followers.remove(notice)

        self._followers.append(notice)
        if self.ended or follower.remaining == 0:
            notice()
        return stop

    def _write(self, lines: list[bytes], now: datetime) -> None:
        if not lines or self._file.closed:
            return
        stamp = _stamp(now)
        self._file.write(b"".join(stamp + b" " + line + b"\n" for line in lines))
        self._file.flush()
        self._notify()

    def _notify(self) -> None:
        for notice in tuple(self._followers):
            notice()


class _Follower:
    """Reads on in a log file from where it was."""

    def __init__(self, path: Path, options: LogOptions, write: Callable[[bytes], None]) -> None:
        self._path = path
        self._write = write
        self._start = 0 if options.timestamps else _STAMP_LENGTH + 1
        self.position = 0
        self.remaining: int | None = None  # bytes that may still be written; None: no limit

    def catch_up(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self.position)
            data = file.read()
        self.position += len(data)
        text = b"".join(line[self._start :] for line in _lines(data))
        if self.remaining is not None:
            text = text[: self.remaining]
            self.remaining -= len(text)
        if text:
            self._write(text)


def _lines(data: bytes) -> list[bytes]:
    # Not splitlines: a progress bar's carriage returns belong to its line.
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def _stamp(time: datetime) -> bytes:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
