from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_spark_k8s.local.container_log import ContainerLog
from airflow_spark_k8s.local.kubelet_runtime import LogOptions

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> ContainerLog:
    log = ContainerLog(tmp_path / "log")
    for number in range(1, 6):
        log.append(f"line {number}\n".encode(), START + timedelta(seconds=number))
    return log


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(LogOptions(), "line 1\nline 2\nline 3\nline 4\nline 5\n", id="everything"),
        pytest.param(LogOptions(tail_lines=2), "line 4\nline 5\n", id="the last lines"),
        pytest.param(LogOptions(tail_lines=0), "", id="no line"),
        pytest.param(
            LogOptions(tail_lines=9), "line 1\nline 2\nline 3\nline 4\nline 5\n", id="more than all"
        ),
        pytest.param(LogOptions(limit_bytes=10), "line 1\nlin", id="a number of bytes"),
        pytest.param(LogOptions(since=START + timedelta(seconds=4)), "line 4\nline 5\n", id="since a time"),
        pytest.param(
            LogOptions(tail_lines=1, timestamps=True), "2026-01-01T00:00:05.000000Z line 5\n", id="with times"
        ),
    ],
)
def test_which_part_of_a_log_is_read(log: ContainerLog, options: LogOptions, expected: str) -> None:
    assert log.read(options).decode() == expected
    log.end(START)


def test_a_line_appears_when_it_is_complete_and_the_rest_when_the_container_ends(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log")
    log.append(b"50 %\r100 %", START)
    assert log.read(LogOptions()) == b""
    log.append(b"\nlast words", START)
    assert log.read(LogOptions()) == b"50 %\r100 %\n"
    log.end(START)
    assert log.read(LogOptions()) == b"50 %\r100 %\nlast words\n"


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log")
    log.append(b"x" * 20000, START)
    assert log.read(LogOptions()) == b"x" * 20000 + b"\n"
    log.end(START)


def test_a_follower_gets_the_past_the_future_and_the_end(log: ContainerLog) -> None:
    heard: list[bytes] = []
    log.follow(LogOptions(tail_lines=1), heard.append, lambda: heard.append(b"END"))
    log.append(b"line 6\nline", START)
    log.append(b" 7\n", START)
    log.end(START)
    assert heard == [b"line 5\n", b"line 6\n", b"line 7\n", b"END"]


def test_a_follower_that_stops_hears_nothing_more(log: ContainerLog) -> None:
    heard: list[bytes] = []
    stop = log.follow(LogOptions(tail_lines=0), heard.append, lambda: heard.append(b"END"))
    stop()
    log.append(b"line 6\n", START)
    log.end(START)
    assert heard == []


def test_a_follower_with_a_limit_ends_at_the_limit(log: ContainerLog) -> None:
    heard: list[bytes] = []
    log.follow(LogOptions(tail_lines=1, limit_bytes=9), heard.append, lambda: heard.append(b"END"))
    log.append(b"line 6\n", START)
    log.append(b"line 7\n", START)
    assert heard == [b"line 5\n", b"li", b"END"]
    log.end(START)


def test_following_a_log_that_has_ended_ends_at_once(log: ContainerLog) -> None:
    log.end(START)
    heard: list[bytes] = []
    log.follow(LogOptions(tail_lines=1), heard.append, lambda: heard.append(b"END"))
    assert heard == [b"line 5\n", b"END"]
