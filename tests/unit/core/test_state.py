from __future__ import annotations

from airflow_spark_k8s.core.actions import (
    CreateExecutor,
    DeletePod,
    FindExecutor,
    MarkDriver,
    RecordDrivers,
    Result,
    Trouble,
)
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import History
from airflow_spark_k8s.core.state import CREATE, JOB, Claim, Said, State, absorb

BEFORE = State("me", driver_uid="u", free=frozenset({1, 2, 3}))


def _create(number: int, uid: str = "u") -> CreateExecutor:
    return CreateExecutor(number, "d", uid, "10.0.0.1", 0.0)


def _absorb(state: State, *results: Result) -> State:
    return absorb(state, results, sent_at=10.0, now=12.0, jitter=0.0)


def test_a_created_pod_is_waited_for() -> None:
    after = _absorb(BEFORE, Result(_create(1)))
    assert (after.requested, after.free) == ({1: 10.0}, {2, 3})


def test_a_refused_pod_may_be_tried_again_and_an_uncertain_one_may_not() -> None:
    after = _absorb(
        BEFORE,
        Result(_create(1), Trouble.REFUSED, "quota", 7.0),
        Result(_create(2), Trouble.CONFLICT, "not tried"),
        Result(_create(3), Trouble.UNCERTAIN, "timed out"),
    )
    assert (after.requested, after.free) == ({}, {1, 2})
    assert after.backoff(CREATE).until == 12.0 + 7.0
    assert after.backoff(CREATE).failures == 1
    assert after.troubles == {CREATE: Said("quota", 12.0)}


def test_a_success_ends_the_waiting() -> None:
    troubled = _absorb(BEFORE, Result(_create(1), Trouble.REFUSED, "quota"))
    assert _absorb(troubled, Result(_create(1))).backoffs == {}
    assert _absorb(troubled, Result(_create(1))).troubles == {}
    assert _absorb(troubled, Result(DeletePod("p", "x"))).backoffs == troubled.backoffs


def test_a_conflict_alone_is_no_trouble_to_speak_of() -> None:
    after = _absorb(BEFORE, Result(RecordDrivers("app-r0", "1", ()), Trouble.CONFLICT, "changed"))
    assert after.backoff(JOB).until == 13.0
    assert after.troubles == {}


def test_what_came_of_an_older_driver_is_forgotten() -> None:
    after = _absorb(
        BEFORE,
        Result(_create(1, "older")),
        Result(FindExecutor(2, "d", "older"), Trouble.ABSENT),
        Result(MarkDriver("d", "older", "1", IdMarks(9, 9, "me-1"))),
    )
    assert after == BEFORE


def test_a_search_says_whether_a_pod_is_there() -> None:
    after = _absorb(
        BEFORE,
        Result(FindExecutor(1, "d", "u")),
        Result(FindExecutor(2, "d", "u"), Trouble.ABSENT, "not found"),
        Result(FindExecutor(3, "d", "u"), Trouble.UNCERTAIN, "timed out"),
    )
    assert after.requested == {1: 10.0}
    assert after.absent == {2}
    assert after.looked == {1: 10.0, 2: 10.0, 3: 10.0}


def test_a_search_does_not_make_a_request_younger() -> None:
    waiting = _absorb(BEFORE, Result(_create(1)))
    found = absorb(waiting, (Result(FindExecutor(1, "d", "u")),), sent_at=30.0, now=30.0, jitter=0.0)
    assert found.requested == {1: 10.0}


def test_marks_that_went_through_give_the_right_to_create() -> None:
    after = _absorb(BEFORE, Result(MarkDriver("d", "u", "1", IdMarks(5, 2, "me-4"), first_new=4)))
    assert after.claim == Claim("u", "me-4", 10.0)
    assert after.free == {3, 4, 5}


def test_marks_that_reserve_nothing_give_no_new_ids() -> None:
    after = _absorb(BEFORE, Result(MarkDriver("d", "u", "1", IdMarks(5, 2, "me-4"))))
    assert after.free == {3}


def test_marks_that_did_not_go_through_give_nothing() -> None:
    failed = Result(MarkDriver("d", "u", "1", IdMarks(5, 2, "me-4"), first_new=4), Trouble.UNCERTAIN, "?")
    after = _absorb(BEFORE, failed)
    assert (after.claim, after.free) == (None, BEFORE.free)


def test_a_history_alone_is_no_claim() -> None:
    after = _absorb(BEFORE, Result(MarkDriver("d", "u", "1", history=History())))
    assert after.claim is None


def test_a_deletion_is_remembered_if_it_went_through() -> None:
    after = _absorb(BEFORE, Result(DeletePod("p", "x")), Result(DeletePod("q", "y"), Trouble.REFUSED, "no"))
    assert after.deleted == {"x": 10.0}
