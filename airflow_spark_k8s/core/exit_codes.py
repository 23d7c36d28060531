"""What the exit codes of Spark's processes mean, in words for a log line."""

from __future__ import annotations

HEAP_EXHAUSTED = 52
"""Exit code of a Spark JVM that met an OutOfMemoryError."""

KILLED = 137
"""Exit code of a process that got SIGKILL."""

TERMINATED = 143
"""Exit code of a process that got SIGTERM."""

_MEANINGS = {
    1: "stopped with an error",
    11: "the driver counted too many failed executors",
    50: "uncaught exception",
    51: "uncaught exception while another one was handled",
    52: "out of Java heap",
    53: "no local directory could be created",
    54: "could not reach its external block store",
    55: "could not create its external block store directory",
    56: "could not send heartbeats to the driver",
    57: "killed a task that did not stop",
    58: "could not register its block manager again",
    101: "main class not found",
    126: "the command cannot be executed",
    127: "command not found",
    128: "the container did not start",
    134: "SIGABRT",
    137: "SIGKILL, possibly for memory",
    139: "SIGSEGV",
    143: "SIGTERM",
}


def meaning(exit_code: int) -> str | None:
    """
    A few words on `exit_code` of a driver or executor, None if there is nothing to add to the number.

    Source: org.apache.spark.util.SparkExitCode, org.apache.spark.executor.ExecutorExitCode.
    """
    return _MEANINGS.get(exit_code)


def described(exit_code: int) -> str:
    """`exit code N` with its meaning, if it has one."""
    words = meaning(exit_code)
    return f"exit code {exit_code}" + (f" ({words})" if words else "")
