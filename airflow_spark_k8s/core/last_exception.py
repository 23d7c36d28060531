"""What a driver failed with: the last exception in its log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

MAX_LENGTH = 300
"""Characters of one exception in a verdict: some contain a whole plan or query."""

_LONGEST_LINE = 4000  # what is beyond it does not matter
_TRACEBACK = re.compile(r"^\s*Traceback \(most recent call last\):")
_PYTHON = re.compile(r"^[A-Za-z_][\w.]*(?:: .*)?$")
_IN_THREAD = re.compile(r'^Exception in thread "([^"]*)" ([\w.$]+(?:: .*)?)$')
_THROWN = re.compile(r"^[\w.$]+\.[\w$]*(?:Exception|Error|Throwable)(?:: .*)?$")
_CAUSED = re.compile(r"^Caused by: (.+)$")
_SUBMIT = re.compile(r"^Error: (Failed to load class .+|Missing application resource.*)$")
_ONLY_TELLS_OF_ANOTHER = "org.apache.spark.SparkUserAppException"


@dataclass(frozen=True, slots=True)
class _Thrown:
    """One exception of the JVM, as it is printed with its stack."""

    head: str
    is_main: bool = False  # it ended the main thread, and with it the driver
    root: str | None = None  # the last of its causes; None: it has none


def last_exception(lines: Sequence[str]) -> str | None:
    """
    The exception that ended a driver, as one bounded line; None if its last `lines` show none.

    The last Python traceback counts first, then what ended the JVM's main thread, then its last exception.
    Nothing is in it that is not in the log.

    Source: org.apache.spark.deploy.PythonRunner (its SparkUserAppException only tells the exit code)
    """
    lines = [line[:_LONGEST_LINE].rstrip() for line in lines]
    python = _last_of_python(lines)
    if python is not None:
        return _short(python)
    thrown = [each for each in _of_the_jvm(lines) if not each.head.startswith(_ONLY_TELLS_OF_ANOTHER)]
    if not thrown:
        return next((_short(found.group(1)) for line in lines if (found := _SUBMIT.match(line))), None)
    last = next((each for each in reversed(thrown) if each.is_main), thrown[-1])
    return _short(last.head) + (f"; caused by {_short(last.root)}" if last.root else "")


def _last_of_python(lines: Sequence[str]) -> str | None:
    """The line that ends the last traceback: the first one after it that is not indented."""
    last, inside = None, False
    for line in lines:
        if _TRACEBACK.match(line):
            inside = True
        elif inside and line and not line[0].isspace():
            inside = False
            last = line if _PYTHON.match(line) else last
    return last


def _of_the_jvm(lines: Sequence[str]) -> list[_Thrown]:
    found: list[_Thrown] = []
    for line in lines:
        thread, caused = _IN_THREAD.match(line), _CAUSED.match(line)
        if thread is not None:
            found.append(_Thrown(thread.group(2), thread.group(1) == "main"))
        elif _THROWN.match(line):
            found.append(_Thrown(line))
        elif caused is not None and found:
            found[-1] = replace(found[-1], root=caused.group(1))
    return found


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"
