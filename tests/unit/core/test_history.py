from __future__ import annotations

import json
import string
from typing import Any

import pytest

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.history import (
    ANNOTATION_EXECUTORS,
    MAX_ENTRIES,
    MAX_REASON_LENGTH,
    EndedExecutor,
    ForgottenLosses,
    History,
    history,
    short_reason,
)
from airflow_spark_k8s.core.memory_groups import Tally
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.size import MEMORY_KINDS, Size
from airflow_spark_k8s.core.stages import MAX_STAGES

ANNOTATIONS_BYTES = 256 * 1024
ROOM_FOR_OTHERS_BYTES = 32 * 1024
GROWN = Size(2, 1, 1024, 576)
HALF = Rollout("1.2", "1/2", 1000, 1200)


def _ended(number: int, at: float = 0.0, state: str = "failed", reason: str = "exit code 3") -> EndedExecutor:
    return EndedExecutor(number, state, reason, at)


def test_a_history_is_read_as_it_was_written() -> None:
    entries = [
        EndedExecutor(1, "failed", "OOMKilled", 12.5, exit_code=137, node="n", start_failure=True),
        EndedExecutor(2, "succeeded", "", 13.0, exit_code=0),
        EndedExecutor(3, "failed", "exit code 1", 14.0, exit_code=1, too_early=True),
        EndedExecutor(4, "failed", "x", 15.0, kind="disrupted", disruption="Evicted", peak_memory_mib=700),
        EndedExecutor(5, "failed", "x", 16.0, kind="out of heap", size=GROWN, stages=(8, 7)),
    ]
    groups = {"burst": Tally(2, 900, 1, 0), "plain": Tally(2, None, 0, 1)}
    losses = (ForgottenLosses(None, "out of memory", 2), ForgottenLosses(GROWN, "out of heap", 1))
    written = History({}, {"failed": 4}, groups, losses).with_ended(entries)
    assert history(written.annotation()[ANNOTATION_EXECUTORS]) == written


OLDER = '{"ended": [{"id": 1, "state": "failed", "reason": "x", "at": 1.5}], "forgotten": {"failed": 4}}'


def test_the_annotation_of_an_older_version_is_read() -> None:
    assert history(OLDER) == History({1: EndedExecutor(1, "failed", "x", 1.5)}, {"failed": 4})


def test_the_annotation_of_a_newer_version_is_read() -> None:
    tally = {"executors": 2, "peak_memory_mib": 5, "out_of_memory_kills": 1, "evictions": 0, "newer": 1}
    row = {"id": 1, "state": "failed", "at": 1.5, "kind": "a new kind", "newer": 1}
    read = history(json.dumps({"ended": [row], "forgotten": {}, "groups": {"burst": tally}, "newer": 1}))
    assert read.entries[1].kind == "a new kind"
    assert read.forgotten_groups == {"burst": Tally(2, 5, 1, 0)}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "no json",
        "[]",
        '{"ended": [{"id": "x"}]}',
        '{"ended": [{}]}',
        '{"forgotten": {"a": "b"}}',
        '{"groups": {"burst": {}}}',
        '{"groups": {"burst": 3}}',
        '{"losses": [{"size": [1]}]}',
        '{"losses": [{"kind": "out of memory"}]}',
        '{"ended": [{"id": 1, "state": "x", "at": 1, "size": [1, 2]}]}',
        '{"ended": [{"id": 1, "state": "x", "at": 1, "stages": ["x"]}]}',
    ],
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
    assert more.forgotten_groups == {}


def test_executors_that_ran_out_of_memory_make_room_last() -> None:
    lost = [EndedExecutor(number, "failed", "", number, kind="out of heap") for number in (1, 2)]
    crowd = [_ended(number, at=number) for number in range(10, 10 + MAX_ENTRIES)]
    remembered = History().with_ended(lost).with_ended(crowd)
    assert {1, 2} <= remembered.entries.keys()
    assert (remembered.forgotten, remembered.forgotten_losses) == ({"failed": 2}, ())


def test_losses_that_make_room_are_counted_by_size_and_kind() -> None:
    lost = [
        EndedExecutor(1, "failed", "", 1, kind="out of memory"),
        EndedExecutor(2, "failed", "", 2, kind="out of memory", size=GROWN),
        EndedExecutor(3, "failed", "", 3, kind="out of memory"),
        EndedExecutor(4, "failed", "", 4, kind="maybe out of memory"),
    ]
    more = [
        EndedExecutor(number, "failed", "", number, kind="out of heap")
        for number in range(10, 10 + MAX_ENTRIES)
    ]
    remembered = History(forgotten_losses=(ForgottenLosses(GROWN, "out of memory", 5),))
    assert set(remembered.with_ended([*lost, *more]).forgotten_losses) == {
        ForgottenLosses(None, "out of memory", 2),
        ForgottenLosses(GROWN, "out of memory", 6),
        ForgottenLosses(None, "maybe out of memory", 1),
    }


BETTER: dict[str, tuple[str, str, bool]] = {
    "nobody saw it, it may have been memory": ("", "maybe out of memory", True),
    "nobody saw it, it was evicted": ("", "disrupted", True),
    "nobody saw it, nobody did": ("", "", False),
    "retired, and then killed for memory": ("drained", "out of memory", True),
    "retired, and then gone": ("drained", "deleted", False),
    "killed for memory, and then deleted": ("out of memory", "deleted", False),
    "deleted, and then killed for memory": ("deleted", "out of memory", False),
}


@pytest.mark.parametrize(("before", "after", "better"), BETTER.values(), ids=BETTER.keys())
def test_an_entry_makes_way_for_one_that_knows_better(before: str, after: str, better: bool) -> None:
    first = History().with_ended([EndedExecutor(1, "deleted", "first", 1.0, kind=before)])
    second = first.with_ended([EndedExecutor(1, "failed", "second", 2.0, kind=after)])
    assert second.entries[1].reason == ("second" if better else "first")


def test_what_the_memory_groups_need_outlives_the_entries() -> None:
    old = [
        EndedExecutor(2, "failed", "", 1, kind="out of memory", peak_memory_mib=1150),
        EndedExecutor(3, "failed", "", 2, kind="disrupted", disruption="MemoryPressure", peak_memory_mib=900),
        EndedExecutor(4, "succeeded", "", 3, kind="completed"),
        EndedExecutor(5, "failed", "", 4, kind="disrupted", disruption="PreemptionByScheduler"),
        EndedExecutor(6, "failed", "", 5),
    ]
    remembered = History({}, {}, {"burst": Tally(10, 950, 2, 3)}).with_ended(old, HALF)
    crowd = [
        EndedExecutor(number, "failed", "", number, kind="out of memory")
        for number in range(1000, 1000 + MAX_ENTRIES)
    ]
    assert remembered.with_ended(crowd, HALF).forgotten_groups == {
        "burst": Tally(executors=12, peak_memory_mib=950, out_of_memory_kills=2, evictions=4),
        "plain": Tally(executors=3, peak_memory_mib=1150, out_of_memory_kills=1, evictions=0),
    }


LONG_TEXTS: dict[str, str] = {
    "plain letters": "x" * 5000,
    "quotation marks": '"' * 5000,
    "letters of another alphabet": "\u8a18" * 5000,
    "signs beyond the first plane": "\U0001f4a5" * 5000,
    "control characters": "\x01" * 5000,
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS.keys())
def test_a_full_history_fits_beside_the_other_annotations_of_a_driver_pod(text: str) -> None:
    longest: dict[str, Any] = {
        "exit_code": 137,
        "node": "n" * 63,
        "start_failure": True,
        "too_early": True,
        "kind": max(EndKind, key=len).value,
        "disruption": "DeletionByTaintManager",
        "peak_memory_mib": 1_000_000,
        "size": Size(20, 100, 1_000_000, 1_000_000),
        "stages": tuple(range(10**6, 10**6 + MAX_STAGES)),
    }
    entries = [
        EndedExecutor(number, "succeeded", text, 2e9 + number / 7, **longest)
        for number in range(10**6, 10**6 + 2 * MAX_ENTRIES)
    ]
    annotation = History().with_ended(entries, HALF).annotation()[ANNOTATION_EXECUTORS]
    assert len(annotation.encode()) < ANNOTATIONS_BYTES - ROOM_FOR_OTHERS_BYTES
    read = history(annotation).entries
    assert len(read) == MAX_ENTRIES
    assert longest["kind"] in MEMORY_KINDS
    assert all(text.startswith(entry.reason) and len(entry.reason) > 20 for entry in read.values())


def test_an_ordinary_reason_is_only_cut_at_its_end() -> None:
    assert short_reason("OOMKilled, exit code 137") == "OOMKilled, exit code 137"
    assert short_reason(string.ascii_letters * 10) == (string.ascii_letters * 10)[:MAX_REASON_LENGTH]
