from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.commands.gc_judgement import OVER, Known, Rules, TaskState, duration, judge
from airflow_spark_k8s.kube.leftovers import FoundApplication, Piece, TaskKey

KEY = TaskKey("dag", "task", "run", -1)
FOUND = FoundApplication(
    name="app",
    pieces=(Piece("Job", "app-r0", "uid", "1", "try-1"),),
    has_job=True,
    task=KEY,
    ti_id="try-1",
    try_number=1,
    created_epoch_seconds=1000.0,
)
RULES = Rules(now_epoch_seconds=5000.0, grace_seconds=300.0, deployment_is_named=True)
WITHOUT_JOB = replace(FOUND, has_job=False)


def known(ti_id: str, state: str | None, started: float | None = None) -> Known:
    return Known({KEY: TaskState(ti_id, state, started)}, frozenset({"dag"}))


GONE = Known({}, frozenset({"dag"}))
NEVER_HEARD_OF = Known({}, frozenset())


@pytest.mark.parametrize(
    ("found", "airflow", "rules"),
    [
        *(
            pytest.param(FOUND, known("try-1", state), RULES, id=f"its task is {state}")
            for state in sorted(OVER)
        ),
        pytest.param(FOUND, known("try-2", "success"), RULES, id="a later try is over"),
        pytest.param(FOUND, known("try-2", "deferred"), RULES, id="a later try has submitted its own"),
        pytest.param(FOUND, known("try-2", "running", 4700.0), RULES, id="a later try runs for long"),
        pytest.param(FOUND, GONE, RULES, id="its task instance was deleted"),
        pytest.param(FOUND, NEVER_HEARD_OF, replace(RULES, unknown=True), id="an unknown DAG, if asked for"),
        pytest.param(
            FOUND,
            GONE,
            replace(RULES, deployment_is_named=False, unknown=True),
            id="an unknown task instance of a deployment without a name, if asked for",
        ),
        pytest.param(WITHOUT_JOB, known("try-2", "failed"), RULES, id="objects without a Job"),
        pytest.param(
            replace(FOUND, finished=True), known("try-1", "failed"), RULES, id="ended, and never removed"
        ),
        pytest.param(
            replace(FOUND, finished=True, removed_at_epoch_seconds=4699.0),
            known("try-1", "failed"),
            RULES,
            id="ended, and its removal is overdue",
        ),
    ],
)
def test_an_orphan(found: FoundApplication, airflow: Known, rules: Rules) -> None:
    assert judge(found, airflow, rules).orphan
    young = judge(found, airflow, replace(rules, now_epoch_seconds=1299.0))
    assert not young.orphan


@pytest.mark.parametrize(
    ("found", "airflow", "rules", "why"),
    [
        *(
            pytest.param(
                FOUND, known("try-1", state), RULES, f"its task is {state}", id=f"its task is {state}"
            )
            for state in (
                "scheduled",
                "queued",
                "running",
                "deferred",
                "up_for_retry",
                "up_for_reschedule",
                "restarting",
                "awaiting_input",
                "a state of the future",
            )
        ),
        pytest.param(
            FOUND, known("try-1", None), RULES, "not scheduled yet", id="its task is not scheduled yet"
        ),
        pytest.param(
            FOUND, known("try-2", "up_for_retry"), RULES, "adopts or removes it", id="a later try will come"
        ),
        pytest.param(
            FOUND, known("try-2", None), RULES, "adopts or removes it", id="its task instance was cleared"
        ),
        pytest.param(
            FOUND,
            known("try-2", "running", 4701.0),
            RULES,
            "adopts or removes it",
            id="a later try has just begun",
        ),
        pytest.param(
            FOUND,
            known("try-2", "running"),
            RULES,
            "adopts or removes it",
            id="a later try that runs since nobody knows when",
        ),
        pytest.param(
            WITHOUT_JOB, known("try-2", "deferred"), RULES, "its task is deferred", id="objects in use"
        ),
        pytest.param(
            replace(FOUND, deleting=True),
            known("try-1", "success"),
            RULES,
            "is being removed",
            id="on its way out",
        ),
        pytest.param(replace(FOUND, task=None), GONE, RULES, "annotations", id="nobody knows whose"),
        pytest.param(FOUND, NEVER_HEARD_OF, RULES, "does not know its DAG", id="a DAG of another Airflow"),
        pytest.param(
            FOUND,
            GONE,
            replace(RULES, deployment_is_named=False),
            "another Airflow may be named",
            id="no such task instance, but the deployment has no name of its own",
        ),
        pytest.param(
            replace(FOUND, finished=True, removed_at_epoch_seconds=5600.0),
            known("try-1", "success"),
            RULES,
            "kept for another 10m",
            id="ended, and kept for a while",
        ),
        pytest.param(
            replace(FOUND, task=None),
            GONE,
            replace(RULES, unknown=True),
            "annotations",
            id="nobody knows whose, whatever is asked for",
        ),
    ],
)
def test_no_orphan(found: FoundApplication, airflow: Known, rules: Rules, why: str) -> None:
    judgement = judge(found, airflow, rules)
    assert not judgement.orphan
    assert why in judgement.why


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5.0, "0s"),
        (0.0, "0s"),
        (119.9, "119s"),
        (120.0, "2m"),
        (3600.0, "1h0m"),
        (11100.0, "3h5m"),
        (172799.0, "47h59m"),
        (187200.0, "2d4h"),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
