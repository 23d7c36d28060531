from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.core.job_chain import job_chain, jobs_of_chain, next_job_name
from airflow_spark_k8s.core.job_state import JobState
from tests.fakes.scenes import job


def nth(number: int, **fields: Any) -> JobState:
    """Job number `number` of a chain that has begun with number 0."""
    earlier = tuple(f"uid-{each}" for each in range(number))
    given = {"uid": f"uid-{number}", "name": f"app-r{number}", "earlier_uids": earlier, **fields}
    return job(**given)


FIRST, SECOND, THIRD = nth(0), nth(1), nth(2)
MAKING = nth(1, in_the_making=True)
STRANGER = job(uid="stranger", name="app-r0")

CHAINS: dict[str, tuple[list[JobState], str, tuple[JobState | None, JobState | None, list[JobState]]]] = {
    "nothing there": ([], "uid-0", (None, None, [])),
    "somebody else's": ([STRANGER], "uid-0", (None, None, [])),
    "one Job": ([FIRST, STRANGER], "uid-0", (FIRST, None, [])),
    "another one in the making": ([MAKING, FIRST], "uid-0", (FIRST, MAKING, [])),
    "one in the making whose Job is gone": ([MAKING], "uid-0", (None, None, [])),
    "another one that counts": ([FIRST, SECOND], "uid-0", (SECOND, None, [FIRST])),
    "known by the second": ([FIRST, SECOND], "uid-1", (SECOND, None, [FIRST])),
    "known by the first, which is gone": ([SECOND], "uid-0", (SECOND, None, [])),
    "three of them": ([THIRD, FIRST, SECOND], "uid-0", (THIRD, None, [FIRST, SECOND])),
    "an earlier one on its way out": ([nth(0, deleting=True), SECOND], "uid-1", (SECOND, None, [])),
    "one in the making beside another that counts": (
        [MAKING, nth(1, uid="x"), FIRST], "uid-0", (nth(1, uid="x"), None, [FIRST])
    ),
}  # fmt: skip


@pytest.mark.parametrize(("jobs", "uid", "chain"), CHAINS.values(), ids=CHAINS.keys())
def test_the_jobs_of_an_application(jobs: list[JobState], uid: str, chain: Any) -> None:
    found = job_chain(jobs, uid)
    assert (found.job, found.next_job, list(found.earlier_jobs)) == chain


@pytest.mark.parametrize("uid", ["uid-0", "uid-1", "uid-2"])
def test_all_jobs_of_a_chain_are_found_from_each_of_them(uid: str) -> None:
    jobs = [THIRD, STRANGER, FIRST, SECOND, nth(3, deleting=True)]
    assert jobs_of_chain(jobs, uid) == (FIRST, SECOND, THIRD)


@given(st.integers(0, 98))
def test_ordinals_go_up_by_one(number: int) -> None:
    assert next_job_name(f"dag-r1-task-r{number}") == f"dag-r1-task-r{number + 1}"


@pytest.mark.parametrize("name", ["app-r99", "app", "app-r", "app-r1-x"])
def test_a_name_that_leaves_no_room_has_no_successor(name: str) -> None:
    assert next_job_name(name) is None
