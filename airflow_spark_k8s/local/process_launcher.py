"""
First process of a container: a script on its own, without imports of this package, so that it starts fast.

It starts the container's main process in a session of its own, adopts whatever that process leaves behind,
and kills every descendant when the main process ends, when it is told to, or when the other end of its
control socket closes because the server is gone. Process namespaces would do the same, but need privileges.

Messages on the control socket are JSON lines. In: first the command, then `signal`, `exec` and `kill`.
Out: `started` or `failed`, `executed` and, as the last one, `exited`.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_UNTOUCHED = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT)
_IGNORABLE = tuple(number for number in signal.Signals if number not in _UNTOUCHED)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _become_parent_of_orphans() -> None:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # Only the control socket ends this process: what it watches over must not outlive it.
    for number in _IGNORABLE:
        signal.signal(number, signal.SIG_IGN)


class Launcher:
    """The main process of one container and everything it starts."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._buffer = b""
        self._main = 0
        self._has_init = False
        self._status: int | None = None  # None: the main process runs
        self._commands: dict[int, int] = {}  # pid of an additional command -> its id

    def run(self) -> None:
        """Return when the container has ended and no process of it is left."""
        first = self._first_message()
        if first is None:
            return
        self._has_init = bool(first["has_init"])
        started = _spawn(first)
        if started < 0:
            self._send({"failed": -started})
            return
        self._main = started
        self._send({"started": started})
        wake_up = _wake_up_on_children()
        alive = self._read()
        while self._status is None and alive:
            select.select([self._control, wake_up], [], [])
            _drain(wake_up)
            self._reap()
            alive = self._status is not None or self._read()
        self._end_everybody()
        if alive and self._status is not None:
            self._send({"exited": os.waitstatus_to_exitcode(self._status)})

    def _first_message(self) -> dict[str, Any] | None:
        while b"\n" not in self._buffer:
            chunk = self._control.recv(65536)
            if not chunk:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        self._control.setblocking(False)
        return dict(json.loads(line))

    def _read(self) -> bool:
        # Also after a partial read there may be a whole message in the buffer.
        try:
            chunk = self._control.recv(65536)
            if not chunk:
                return False
            self._buffer += chunk
        except BlockingIOError:
            pass
        except OSError:
            return False
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self._obey(json.loads(line))
        return True

    def _obey(self, message: dict[str, Any]) -> None:
        if "signal" in message:
            self._deliver(int(message["signal"]))
        elif "exec" in message:
            started = _spawn(message)
            if started < 0:
                self._send(
                    {"executed": message["exec"], "exit_code": 127 if -started == errno.ENOENT else 126}
                )
            else:
                self._commands[started] = message["exec"]
        elif "kill" in message:
            _kill(self._main, signal.SIGKILL)

    def _deliver(self, number: int) -> None:
        if self._has_init or _catches(self._main, number):
            _kill(self._main, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reaped(pid, status)

    def _reaped(self, pid: int, status: int) -> None:
        if pid == self._main:
            self._status = status
        elif pid in self._commands:
            code = os.waitstatus_to_exitcode(status)
            self._send({"executed": self._commands.pop(pid), "exit_code": code if code >= 0 else 128 - code})

    def _end_everybody(self) -> None:
        while True:
            for pid in descendants(os.getpid(), children_of_all()):
                _kill(pid, signal.SIGKILL)
            self._reap()
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            time.sleep(0.002)

    def _send(self, message: dict[str, Any]) -> None:
        self._control.setblocking(True)
        try:
            self._control.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return  # the server is gone; the next read notices
        finally:
            self._control.setblocking(False)


def _spawn(message: dict[str, Any]) -> int:
    """Process id of the started command, or the negative error number if it cannot be executed."""
    answer, question = os.pipe()
    launcher = os.getpid()
    pid = os.fork()
    if pid == 0:
        _execute(message, question, launcher)
    os.close(question)
    with os.fdopen(answer, "rb") as pipe:
        failure = pipe.read()
    if not failure:
        return pid
    os.waitpid(pid, 0)
    return -int(failure)


def _execute(message: dict[str, Any], question: int, launcher: int) -> None:
    try:
        os.setsid()
        # Not even a kill of this launcher lets the main process live on.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher:
            return  # it was killed before that, and nobody would tell
        for number in (*_IGNORABLE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if message.get("quiet"):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        os.umask(0o022)
        os.chdir(message["directory"])
        os.execvpe(message["argv"][0], message["argv"], message["env"])  # noqa: S606
    except OSError as error:
        os.write(question, str(error.errno or errno.EINVAL).encode())
    except BaseException:  # a forked child must never return into the parent's code
        os.write(question, str(errno.EINVAL).encode())
    finally:
        os._exit(127)


def _wake_up_on_children() -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    # A child may have ended before the handler stood.
    os.kill(os.getpid(), signal.SIGCHLD)
    return ours


def _drain(wake_up: socket.socket) -> None:
    try:
        while wake_up.recv(4096):
            pass
    except BlockingIOError:
        return


def _catches(pid: int, number: int) -> bool:
    """True if the process has a handler: without one the kernel spares the first process of a namespace."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def children_of_all() -> dict[int, list[int]]:
    """Every process of this machine that has children, with their ids."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry))
    return children


def descendants(root: int, children: dict[int, list[int]]) -> list[int]:
    """Ids of all processes below `root`, given the result of `children_of_all`."""
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _parent(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    _become_parent_of_orphans()
    Launcher(socket.socket(fileno=int(sys.argv[1]))).run()
