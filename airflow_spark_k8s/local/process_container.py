"""One container as local processes: started, signalled and watched through its launcher."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_spark_k8s.local import process_launcher

_CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What the main process of a container is."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    folder: Path  # its working directory
    has_init: bool  # False: a signal without a handler has no effect, as for the first process of a namespace


@dataclass(frozen=True, slots=True)
class Ended:
    """How the main process ended."""

    exit_code: int  # 128 + n if signal n killed it
    signal: int | None  # None: it ended by itself
    start_error: int | None = None  # error number if it never started


class ProcessContainer:
    """
    The processes of one container. Everything happens on the event loop that it is given.

    :param output: gets what the processes write to standard output and error, in order.
    :param started: called with the id of the main process once it executes its command.
    :param ended: called once, after the last process has gone and its output has been handed over.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spec: ProcessSpec,
        *,
        output: Callable[[bytes], None],
        started: Callable[[int], None],
        ended: Callable[[Ended], None],
    ) -> None:
        self._loop = loop
        self._spec = spec
        self._on_output = output
        self._on_start = started
        self._on_end = ended
        self._buffer = b""
        self._result: Ended | None = None
        self._executing: dict[int, Callable[[int], None]] = {}
        self._executed = 0
        self._control, theirs = socket.socketpair()
        self._output, writable = os.pipe()
        try:
            self._launcher = _start_launcher(theirs, writable, spec.env)
        except BaseException:
            self._control.close()
            os.close(self._output)
            raise
        finally:
            theirs.close()
            os.close(writable)
        self._control.setblocking(False)
        os.set_blocking(self._output, False)
        loop.add_reader(self._control, self._read_control)
        loop.add_reader(self._output, self._read_output)
        self._command(_message(spec.argv, spec.env, spec.folder, has_init=spec.has_init))

    @property
    def launcher_pid(self) -> int:
        """Process whose descendants are the container."""
        return self._launcher.pid

    @property
    def alive(self) -> bool:
        """False once `ended` has been called."""
        return self._control.fileno() >= 0

    def signal(self, number: int) -> None:
        """Send a signal to the main process as its container's first process gets it."""
        self._command({"signal": number})

    def kill(self) -> None:
        """SIGKILL the container."""
        self._command({"kill": True})

    def execute(self, argv: Sequence[str], done: Callable[[int], None]) -> None:
        """Run one more command in it; `done` gets its exit code (137: the container ended first)."""
        self._executed += 1
        self._executing[self._executed] = done
        message = _message(argv, self._spec.env, self._spec.folder, has_init=True)
        self._command({**message, "exec": self._executed, "quiet": True})

    def _command(self, message: Mapping[str, Any]) -> None:
        if not self.alive:
            return
        # Commands are small and rare: the socket's buffer takes them at once.
        self._control.setblocking(True)
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n")
        self._control.setblocking(False)

    def _read_control(self) -> None:
        try:
            chunk = self._control.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self._buffer += chunk
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self._hear(json.loads(line))
        if not chunk:
            self._finish()

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "started" in message:
            self._on_start(int(message["started"]))
        elif "failed" in message:
            self._result = Ended(128, None, start_error=int(message["failed"]))
        elif "executed" in message:
            self._executing.pop(int(message["executed"]))(int(message["exit_code"]))
        elif "exited" in message:
            self._result = _ended(int(message["exited"]))

    def _read_output(self) -> bool:
        """True if there may be more."""
        try:
            data = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._on_output(data)
            return True
        # Everybody who could write has gone; the control socket tells the rest.
        self._loop.remove_reader(self._output)
        return False

    def _finish(self) -> None:
        self._loop.remove_reader(self._control)
        self._launcher.wait()
        while self._read_output():
            continue
        self._loop.remove_reader(self._output)
        os.close(self._output)
        self._control.close()
        waiting, self._executing = self._executing, {}
        for done in waiting.values():
            done(137)
        # A launcher that says nothing was killed, and its main process with it.
        self._on_end(self._result or Ended(137, 9))


def _ended(returned: int) -> Ended:
    return Ended(returned, None) if returned >= 0 else Ended(128 - returned, -returned)


def _message(argv: Sequence[str], env: Mapping[str, str], folder: Path, *, has_init: bool) -> dict[str, Any]:
    return {"argv": list(argv), "env": dict(env), "directory": str(folder), "has_init": has_init}


def _start_launcher(control: socket.socket, output: int, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # Isolated and without site-packages: it starts fast, and no variable of the container changes it.
    command = [sys.executable, "-I", "-S", "-B", process_launcher.__file__, str(control.fileno())]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[control.fileno()],
        start_new_session=True,
        cwd="/",
        env=dict(env),
    )
