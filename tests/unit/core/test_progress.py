from __future__ import annotations

from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import MAX_REASON_LENGTH, EndedExecutor, History
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.outcome import MAX_TABLE_ROWS, ExecutorRecord, Outcome
from airflow_spark_k8s.core.pod_state import Ending, EndKind, Failed, Pending
from airflow_spark_k8s.core.progress import MAX_MESSAGE_LENGTH, Progress
from airflow_spark_k8s.core.snapshot import Observed
from airflow_spark_k8s.core.state import Desired
from tests.fakes.scenes import (
    GONE_HOME,
    REFERENCE,
    START,
    UNKNOWN,
    Story,
    desired,
    driver,
    executor,
    failed,
    job,
    observed,
    spark,
)

REMEMBERED = History(
    {
        1: EndedExecutor(1, "failed", "OOMKilled", START, 137, "node-3"),
        2: EndedExecutor(2, "succeeded", "", START, 0, "node-3"),
    },
    forgotten={"failed": 40},
)
EXECUTORS = (
    executor(1, failed()),
    executor(3, GONE_HOME),
    executor(4, failed(code=3)),
    executor(5),
    executor(6, Pending("Unschedulable"), node=None),
    executor(7, Pending(), node=None),
)


def _outcome(view: Observed, wanted: Desired | None = None) -> Outcome:
    plan = Story(wanted or desired(target=9)).look(view)
    assert plan.finish is not None
    return plan.finish


def test_numbers_while_it_runs() -> None:
    view = observed(
        *EXECUTORS,
        drivers=(driver(marks=IdMarks(8, 8, "x"), history=REMEMBERED),),
        spark=spark(5, dead=(4,), completed_tasks=3, total_tasks=10, active_stages=1),
    )
    assert Story(desired(target=9)).look(view).progress == Progress(
        driver_pod="d-1",
        driver_state="running",
        expected=9,
        requested=0,
        pending=2,
        running=1,
        registered=1,
        ended=4,
        completed_tasks=3,
        total_tasks=10,
        active_stages=1,
    )


def test_numbers_that_cannot_be_known() -> None:
    plan = Story(Desired(REFERENCE)).look(observed(spark=spark(**UNKNOWN)))
    assert plan.progress is not None
    assert (plan.progress.expected, plan.progress.registered) == (0, None)


def test_numbers_without_a_driver() -> None:
    assert Story().look(observed(drivers=())).progress == Progress(None, "waiting", 3)
    assert Story().look(Observed()).progress is None


def test_the_table_has_every_executor_of_the_last_driver() -> None:
    marked = driver(marks=IdMarks(8, 7, "x"), history=REMEMBERED)
    old = driver(failed(), "d-0")
    view = observed(
        *EXECUTORS, executor(1, of="d-0"), job=None, drivers=(old, marked), spark=spark(5, dead=(4,))
    )
    outcome = _outcome(view)
    rows = {row.executor_id: row for row in outcome.executors}
    assert [row.executor_id for row in outcome.executors] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert rows[1] == ExecutorRecord(1, "d-1-exec-1", "failed", "node-3", "OOMKilled", 137, 1)
    assert rows[2] == ExecutorRecord(2, "d-1-exec-2", "succeeded", "node-3", None, 0, 1)
    assert rows[3] == ExecutorRecord(3, "d-1-exec-3", "succeeded", "node-2", None, 0, 1)
    assert rows[4] == ExecutorRecord(4, "d-1-exec-4", "failed", "node-2", "error, exit code 3", 3, 1, 5, 0)
    assert rows[5] == ExecutorRecord(5, "d-1-exec-5", "running", "node-2", None, None, 1, 5, 0)
    assert rows[6] == ExecutorRecord(6, "d-1-exec-6", "pending", None, "Unschedulable", None, 1)
    assert rows[7] == ExecutorRecord(7, "d-1-exec-7", "pending", None, None, None, 1)
    assert rows[8] == ExecutorRecord(8, "d-1-exec-8", "requested", None, None, None, 1)
    assert outcome.executor_counts == {
        "failed": 42,
        "pending": 2,
        "requested": 1,
        "running": 1,
        "succeeded": 2,
    }
    assert outcome.driver_restarts == 1
    assert outcome.spark_version == "4.3.0"


def test_a_long_table_is_cut_but_counted() -> None:
    executors = [executor(number) for number in range(1, MAX_TABLE_ROWS + 51)]
    outcome = _outcome(observed(*executors, job=None))
    assert len(outcome.executors) == MAX_TABLE_ROWS
    assert outcome.executors[-1].executor_id == MAX_TABLE_ROWS + 50
    assert outcome.executor_counts == {"running": MAX_TABLE_ROWS + 50}


def test_the_table_does_without_settings() -> None:
    outcome = _outcome(observed(executor(1), job=None, spark=spark()), Desired(REFERENCE))
    assert outcome.executors[0].cores is None


def test_a_job_that_is_complete_without_a_pod_has_no_table() -> None:
    plan = Story().look(observed(drivers=(), job=job(JobPhase.COMPLETE, deleting=True)))
    assert plan.finish is not None
    assert plan.finish.executors == ()


def test_an_endless_termination_message_does_not_fill_the_annotations() -> None:
    endless = Failed(Ending(EndKind.ERROR, "x" * 100_000, 1, 100.0))
    view = observed(
        executor(1, endless),
        job=job(JobPhase.FAILED, finished=True),
        drivers=(driver(endless, marks=IdMarks(1, 1, "x")),),
    )
    outcome = Story(desired(target=9)).look(view).next_state.outcome
    assert outcome is not None
    assert len(outcome.message) == MAX_MESSAGE_LENGTH
    assert len(outcome.executors[0].reason or "") == MAX_REASON_LENGTH
