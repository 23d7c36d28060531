from __future__ import annotations

import pytest

from airflow_spark_k8s.core.backoff import Backoff, doubling


def test_each_failure_waits_twice_as_long_up_to_a_minute() -> None:
    backoff, waits = Backoff(), []
    for _ in range(40):
        backoff = backoff.failed(0.0, jitter=0.0)
        waits.append(backoff.until)
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert waits[-1] == 60


def test_jitter_only_lengthens_the_wait() -> None:
    assert 1 < Backoff().failed(0.0, jitter=0.99).until < 1.25


def test_the_server_may_ask_for_more() -> None:
    assert Backoff().failed(10.0, jitter=0.0, at_least_seconds=30).until == 40


def test_it_is_open_from_its_end_on() -> None:
    backoff = Backoff().failed(10.0, jitter=0.0)
    assert not backoff.open(10.9)
    assert backoff.open(11.0)


@pytest.mark.parametrize(("times", "seconds"), [(-1, 0), (0, 0), (1, 2), (2, 4), (3, 8), (4, 10), (900, 10)])
def test_doubling(times: int, seconds: float) -> None:
    assert doubling(2, times, 10) == seconds
