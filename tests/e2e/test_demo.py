"""The demo as a user meets it: its output, its exit code, and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.timeout(600)]

COMMAND = [str(Path(sys.executable).parent / "airflow-spark-k8s"), "demo"]


def left_processes(folder: Path) -> Iterator[psutil.Process]:
    """Processes whose temporary folder this is."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder):
                yield process
        except (psutil.Error, OSError):
            continue


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *options],
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def nothing_is_left(folder: Path) -> None:
    assert [process.cmdline() for process in left_processes(folder)] == []
    assert [path.name for path in folder.iterdir() if path.name.startswith("airflow-spark-k8s")] == []


def test_the_demo_shows_the_result_and_leaves_nothing(tmp_path: Path) -> None:
    demo = start(tmp_path)
    output, _ = demo.communicate()
    assert demo.returncode == 0, output
    assert "Pi is roughly 3.1" in output
    assert "new round: asking for executors 1 to 2" in output
    assert "new round: asking for executor 3" in output
    assert "registered 3" in output
    assert output.count("-exec-") >= 3
    nothing_is_left(tmp_path)


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    demo = start(tmp_path, "--keep")
    lines = []
    for line in demo.stdout or ():
        lines.append(line)
        if "driver running" in line:
            break
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate()
    assert demo.returncode == 130, "".join(lines) + rest
    nothing_is_left(tmp_path)
