from __future__ import annotations

import pytest

from airflow_spark_k8s.core.stages import ACTIVE, COMPLETE, FAILED, PENDING, SKIPPED, at_work, is_over

OVER: dict[str, tuple[dict[int, str], bool]] = {
    "the driver never told": ({}, False),
    "it runs": ({7: ACTIVE}, False),
    "it waits": ({7: PENDING}, False),
    "it is complete": ({7: COMPLETE}, True),
    "it was skipped": ({7: SKIPPED}, True),
    "it is forgotten, later ones are known": ({8: ACTIVE}, True),
    "it has not been heard of yet": ({6: ACTIVE}, False),
    "it failed, and nothing has come since": ({6: COMPLETE, 7: FAILED}, False),
    "it failed and a later job has begun": ({6: COMPLETE, 7: FAILED, 8: ACTIVE}, True),
    "it failed and a later one waits for it": ({6: COMPLETE, 7: FAILED, 8: PENDING}, False),
    "it failed and what it reads is computed again": ({6: ACTIVE, 7: FAILED, 9: ACTIVE}, False),
    "it failed and what it reads will be computed again": ({6: PENDING, 7: FAILED, 9: ACTIVE}, False),
    "it failed, and those that waited for it were given up": ({7: FAILED, 8: SKIPPED}, True),
}


@pytest.mark.parametrize(("stages", "over"), OVER.values(), ids=OVER.keys())
def test_a_stage_is_over(stages: dict[int, str], over: bool) -> None:
    assert is_over(stages, 7) is over


AT_WORK: dict[str, tuple[dict[int, str], tuple[int, ...]]] = {
    "nothing is known": ({}, ()),
    "everything is over": ({1: COMPLETE, 2: FAILED, 3: SKIPPED}, ()),
    "some run": ({1: COMPLETE, 2: ACTIVE, 4: ACTIVE, 5: PENDING}, (4, 2)),
    "none runs, one waits": ({1: COMPLETE, 3: PENDING}, (3,)),
    "very many run": (dict.fromkeys(range(40), ACTIVE), (39, 38, 37, 36, 35, 34)),
}


@pytest.mark.parametrize(("stages", "found"), AT_WORK.values(), ids=AT_WORK.keys())
def test_stages_at_work_when(stages: dict[int, str], found: tuple[int, ...]) -> None:
    assert at_work(stages) == found
