"""One run of a container: its processes, log, memory limit and the way it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from airflow_spark_k8s.local.container_layout import Layout
from airflow_spark_k8s.local.container_log import ContainerLog
from airflow_spark_k8s.local.kubelet_runtime import ContainerStartError, Exit, LogOptions
from airflow_spark_k8s.local.memory_watch import Excess, MemoryWatch
from airflow_spark_k8s.local.process_container import Ended, ProcessContainer, ProcessSpec
from airflow_spark_k8s.local.spark_entrypoint import Command
from airflow_spark_k8s.local.timers import TimerHandle

_RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: error during container init: "
)
_MESSAGE_BYTES = 4096
_FALLBACK_BYTES = 2048
_FALLBACK_LINES = 80


class Instance:
    """
    One run of a container, from its start to its end.

    :param command: what to execute; None if there is nothing to execute.
    :param whole_container: what dies for memory: everything, or only the largest child.
    :param exited: called once when the container has ended, unless it was discarded before.
    :raises ContainerStartError: there is nothing to execute.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        layout: Layout,
        log: ContainerLog,
        *,
        command: Command | None,
        memory: MemoryWatch,
        whole_container: bool,
        wall_clock: Callable[[], datetime],
        exited: Callable[[Exit], None],
    ) -> None:
        if command is None:
            log.end(wall_clock())
            raise ContainerStartError("no command specified")
        self.name = layout.plan.name
        self.id = f"local://{uuid.uuid4().hex}{uuid.uuid4().hex}"
        self.stopping = False
        self._loop = loop
        self._layout = layout
        self._log = log
        self._memory = memory
        self._whole_container = whole_container
        self._wall_clock = wall_clock
        self._exited: Callable[[Exit], None] | None = exited
        self._command = command
        self._paths = layout.paths()
        self._started_at = wall_clock()
        self._out_of_memory = False
        self._kill_timer: TimerHandle | None = None
        self._kill_at = float("inf")
        self._gone = asyncio.Event()
        self._processes = ProcessContainer(
            loop,
            ProcessSpec(command.argv, command.env, layout.directory(self._paths), command.has_init),
            output=lambda data: log.append(data, wall_clock()),
            started=self._on_start,
            ended=self._on_end,
        )
        limit = layout.plan.memory_limit_bytes
        if limit is not None:
            memory.add(self._processes.launcher_pid, limit, self._on_excess, layout.memory_folders)

    @property
    def alive(self) -> bool:
        """False once the container has ended."""
        return not self._gone.is_set()

    def execute(self, argv: Sequence[str], done: Callable[[int], None]) -> None:
        """Run one more command in the container; `done` gets its exit code."""
        self._processes.execute(self._paths.texts(argv), done)

    def terminate(self) -> None:
        """SIGTERM, as the first process of a container gets it."""
        self.stopping = True
        self._processes.signal(signal.SIGTERM)

    def kill_after(self, seconds: float) -> None:
        """SIGKILL after that time, unless an earlier one is due."""
        self.stopping = True
        if seconds <= 0:
            self._processes.kill()
            return
        when = self._loop.time() + seconds
        if when >= self._kill_at:
            return
        self._kill_at = when
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self._kill_timer = self._loop.call_later(seconds, self._processes.kill)

    async def discard(self) -> None:
        """Kill the container and return when no process of it is left; `exited` is not called any more."""
        self._exited = None
        self._processes.kill()
        await self._gone.wait()

    def _on_start(self, pid: int) -> None:
        self._layout.main_pid_file.write_text(f"{pid}\n")

    def _on_excess(self, excess: Excess) -> None:
        self._out_of_memory = True
        if self._whole_container:
            self._processes.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(excess.largest_pid, signal.SIGKILL)

    def _on_end(self, ended: Ended) -> None:
        self._memory.remove(self._processes.launcher_pid)
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        now = self._wall_clock()
        self._log.end(now)
        self._gone.set()
        exited, self._exited = self._exited, None
        if exited is not None:
            exited(self._exit(ended, now))

    def _exit(self, ended: Ended, now: datetime) -> Exit:
        reason = "Completed" if ended.exit_code == 0 else "Error"
        message = self._last_words(ended)
        if ended.start_error is not None:
            reason, message = "StartError", self._start_error(ended.start_error)
        elif self._out_of_memory:
            reason = "OOMKilled"
        return Exit(ended.exit_code, ended.signal, reason, message, self._started_at, now)

    def _last_words(self, ended: Ended) -> str:
        with contextlib.suppress(OSError):
            words = self._layout.termination_message_file.read_bytes()[:_MESSAGE_BYTES]
            if words:
                return words.decode(errors="replace")
        fallback = self._layout.plan.termination_message_policy == "FallbackToLogsOnError"
        if not fallback or ended.exit_code == 0:
            return ""
        text = self._log.read(LogOptions(tail_lines=_FALLBACK_LINES))
        return text[-_FALLBACK_BYTES:].decode(errors="replace")

    def _start_error(self, number: int) -> str:
        file = (self._layout.plan.command or self._layout.plan.args)[0]
        if "/" not in file:
            return f'{_RUNC}exec: "{file}": executable file not found in $PATH'
        return f'{_RUNC}exec: "{file}": stat {file}: {os.strerror(number).lower()}'
