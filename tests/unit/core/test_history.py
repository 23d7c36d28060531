from __future__ import annotations

import pytest

from airflow_spark_k8s.core.history import ANNOTATION_EXECUTORS, MAX_ENTRIES, EndedExecutor, History, history


def _ended(number: int, at: float = 0.0, state: str = "failed", reason: str = "exit code 3") -> EndedExecutor:
    return EndedExecutor(number, state, reason, at)


def test_a_history_is_read_as_it_was_written() -> None:
    entries = [
        EndedExecutor(1, "failed", "OOMKilled", 12.5, exit_code=137, node="n", start_failure=True),
        EndedExecutor(2, "succeeded", "", 13.0, exit_code=0),
        EndedExecutor(3, "failed", "exit code 1", 14.0, exit_code=1, too_early=True),
    ]
    written = History({}, {"failed": 4}).with_ended(entries)
    assert history(written.annotation()[ANNOTATION_EXECUTORS]) == written


@pytest.mark.parametrize(
    "text",
    [None, "", "no json", "[]", '{"ended": [{"id": "x"}]}', '{"ended": [{}]}', '{"forgotten": {"a": "b"}}'],
)
def test_a_damaged_annotation_is_an_empty_history(text: str | None) -> None:
    assert history(text) == History()


def test_what_is_remembered_is_not_changed() -> None:
    first = History().with_ended([_ended(1, reason="OOMKilled")])
    assert first.with_ended([_ended(1, reason="another"), _ended(2)]).entries[1].reason == "OOMKilled"


def test_the_oldest_make_room_and_are_counted() -> None:
    full = History().with_ended([_ended(number, at=number) for number in range(1, MAX_ENTRIES + 1)])
    more = full.with_ended([_ended(1000, at=1000), _ended(1001, at=1001, state="deleted")])
    assert len(more.entries) == MAX_ENTRIES
    assert more.forgotten == {"failed": 2}
    assert {1, 2}.isdisjoint(more.entries)


def test_a_full_history_of_long_reasons_fits_into_an_annotation() -> None:
    reasons = [_ended(number, at=number, reason="x" * 5000) for number in range(10**6, 10**6 + MAX_ENTRIES)]
    assert len(History().with_ended(reasons).annotation()[ANNOTATION_EXECUTORS]) < 100_000
