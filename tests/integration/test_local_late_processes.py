"""Processes that begin just while a local cluster is ended: none of them stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from airflow_spark_k8s.local import process_launcher
from airflow_spark_k8s.local.cluster import MARKER, end_marked_processes

pytestmark = pytest.mark.timeout(60)

Started = list[subprocess.Popen[bytes]]


@pytest.fixture
def started() -> Iterator[Started]:
    processes: Started = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def marked(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env={**os.environ, MARKER: str(folder)})


@pytest.mark.parametrize("others", [1, 0], ids=["beside others", "when there seemed to be none"])
def test_what_begins_after_a_look_is_killed_as_well(
    others: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Started
) -> None:
    every_process, looks = psutil.process_iter, iter(range(1000))

    def look() -> Iterator[psutil.Process]:
        yield from every_process()
        if next(looks) == 0:
            started.append(marked(tmp_path, "sleep", "3000"))

    started += [marked(tmp_path, "sleep", "3000") for _ in range(others)]
    monkeypatch.setattr(psutil, "process_iter", look)
    end_marked_processes(str(tmp_path))
    assert len(started) == others + 1
    assert all(process.poll() is not None for process in started)


def test_what_has_put_off_its_environment_is_killed_with_who_started_it(
    tmp_path: Path, started: Started
) -> None:
    started.append(marked(tmp_path, "sh", "-c", "env -i sleep 3000; true"))
    shell = psutil.Process(started[0].pid)
    while not (below := [each for each in shell.children() if each.name() == "sleep"]):
        time.sleep(0.01)
    end_marked_processes(str(tmp_path))
    assert not below[0].is_running() or below[0].status() == psutil.STATUS_ZOMBIE


# A launcher whose child comes so far as to ask for its parent's death only once that one is dead.
LAUNCHER = """
import importlib.util, os, sys, time
spec = importlib.util.spec_from_file_location("process_launcher", sys.argv[1])
launcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launcher)
own, setsid = os.getpid(), os.setsid
def late():
    print(os.getpid(), flush=True)
    while os.getppid() == own:
        time.sleep(0.01)
    setsid()
os.setsid = late
launcher._spawn({"argv": ["sleep", "3000"], "env": dict(os.environ), "directory": "/"})
"""


def test_a_container_does_not_begin_once_its_launcher_is_dead() -> None:
    command = [sys.executable, "-c", LAUNCHER, process_launcher.__file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        child = psutil.Process(int(launcher.stdout.readline()))
        launcher.kill()
    try:
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert child.name() != "sleep"
            time.sleep(0.01)
    except psutil.NoSuchProcess:
        pass
    finally:
        if child.is_running():
            child.kill()
