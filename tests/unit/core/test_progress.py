from __future__ import annotations

import json
from dataclasses import replace

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import MAX_REASON_LENGTH, EndedExecutor, History
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.memory_groups import MemoryGroup, Tally
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
        1: EndedExecutor(1, "failed", "OOMKilled", START, 137, "node-3", kind="out of memory"),
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
    assert rows[1] == ExecutorRecord(
        1, "d-1-exec-1", "failed", "node-3", "OOMKilled", 137, 1, kind="out of memory"
    )
    assert rows[2] == ExecutorRecord(2, "d-1-exec-2", "succeeded", "node-3", None, 0, 1)
    assert rows[3] == ExecutorRecord(3, "d-1-exec-3", "succeeded", "node-2", None, 0, 1, kind="completed")
    assert rows[4] == ExecutorRecord(
        4, "d-1-exec-4", "failed", "node-2", "error, exit code 3", 3, 1, 5, 0, kind="error"
    )
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
    assert outcome.memory_groups == ()


HALF = Rollout("1.2", "1/2", 1000, 1200)
OUT_OF_MEMORY = failed(EndKind.OUT_OF_MEMORY, 137)
EVICTED = failed(EndKind.DISRUPTED, 137)
BURSTING = (
    executor(3, OUT_OF_MEMORY),
    executor(4, GONE_HOME),
    executor(5, EVICTED, disruption="MemoryPressure"),
    executor(6),
    executor(7, EVICTED, disruption="PreemptionByScheduler"),
    executor(8, Pending(), node=None),
)
BURST_MARKS = IdMarks(9, 8, "x")


def test_memory_groups_sum_up_every_executor_of_the_last_driver() -> None:
    remembered = History(
        {2: EndedExecutor(2, "failed", "x", START, kind="out of memory", peak_memory_mib=1190)},
        {"failed": 40},
        {"burst": Tally(20, 900, 2, 1), "plain": Tally(20, 1000, 0, 3)},
    )
    view = observed(
        *BURSTING,
        executor(1, OUT_OF_MEMORY, of="d-0"),
        job=None,
        drivers=(driver(failed(), "d-0"), driver(marks=BURST_MARKS, history=remembered)),
        spark=spark(6, dead=(2, 5), peaks={2: 800, 5: 1100, 6: 1150}),
    )
    outcome = _outcome(view, desired(target=9, rollout=HALF))
    assert outcome.memory_groups == (
        MemoryGroup("burst", "1.2", 1000, 1200, 23, 1100, 3, 2),
        MemoryGroup("plain", "1", 1200, 1200, 24, 1190, 1, 3),
    )
    rows = {row.executor_id: row for row in outcome.executors}
    assert {number: row.memory_group for number, row in rows.items()} == {
        number: "burst" if number % 2 else "plain" for number in range(2, 10)
    }
    peaks = {number: row.peak_memory_mib for number, row in rows.items() if row.peak_memory_mib is not None}
    assert peaks == {2: 1190, 5: 1100, 6: 1150}
    assert (rows[5].kind, rows[5].disruption) == ("disrupted", "MemoryPressure")
    assert (rows[7].kind, rows[7].disruption) == ("disrupted", "PreemptionByScheduler")


def test_a_peak_that_the_driver_told_later_counts() -> None:
    remembered = History({1: EndedExecutor(1, "failed", "x", START, peak_memory_mib=700)})
    marked = driver(marks=IdMarks(1, 1, "x"), history=remembered)
    view = observed(job=None, drivers=(marked,), spark=spark(dead=(1,), peaks={1: 900}))
    assert _outcome(view).executors[0].peak_memory_mib == 900


def test_peaks_outlive_a_driver_that_answers_no_more() -> None:
    silent = spark(6, peaks={6: 1150}, **UNKNOWN)
    view = observed(*BURSTING, job=None, drivers=(driver(marks=BURST_MARKS),), spark=silent)
    assert _outcome(view, desired(target=9, rollout=HALF)).memory_groups[1].peak_memory_mib == 1150


def test_without_a_driver_there_is_nothing_to_sum_up() -> None:
    view = observed(drivers=(), job=job(JobPhase.COMPLETE, deleting=True))
    assert _outcome(view, desired(rollout=HALF)).memory_groups == ()


def test_groups_count_the_executors_that_the_table_leaves_out() -> None:
    everyone = replace(HALF, fraction="1")
    executors = [executor(number, OUT_OF_MEMORY) for number in range(1, MAX_TABLE_ROWS + 51)]
    view = observed(*executors, job=None, spark=spark(dead=(1,), peaks={1: 1100}))
    (burst,) = _outcome(view, desired(rollout=everyone)).memory_groups
    assert (burst.executors, burst.out_of_memory_kills, burst.peak_memory_mib) == (
        MAX_TABLE_ROWS + 50,
        MAX_TABLE_ROWS + 50,
        1100,
    )


ANNOTATIONS_BYTES = 256 * 1024
ROOM_FOR_OTHERS_BYTES = 32 * 1024


def test_the_largest_outcome_fits_beside_the_other_annotations_of_a_job() -> None:
    endless = Failed(Ending(EndKind.DISRUPTED, "\U0001f4a5" * 5000, 137, 100.0))
    numbers = range(10**6, 10**6 + MAX_TABLE_ROWS)
    executors = [
        executor(number, endless, "d" * 52, disruption="DeletionByTaintManager", node="n" * 63)
        for number in numbers
    ]
    view = observed(
        *executors,
        job=job(JobPhase.FAILED, finished=True),
        drivers=(driver(failed(), name="d" * 52, marks=IdMarks(10**7, 10**7, "x")),),
        spark=spark(dead=tuple(numbers), peaks=dict.fromkeys(numbers, 10**6), of="d" * 52),
    )
    outcome = Story(desired(rollout=HALF)).look(view).next_state.outcome
    assert outcome is not None
    assert len(outcome.executors) == MAX_TABLE_ROWS
    largest = replace(outcome, message="\U0001f4a5" * (MAX_MESSAGE_LENGTH // 2))
    assert len(json.dumps(largest.as_dict())) < ANNOTATIONS_BYTES - ROOM_FOR_OTHERS_BYTES


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
