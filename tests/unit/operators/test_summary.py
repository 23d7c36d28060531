from __future__ import annotations

from dataclasses import replace

from airflow_spark_k8s.core.memory_groups import MemoryGroup
from airflow_spark_k8s.core.memory_losses import CORES, Advice, MemoryLoss
from airflow_spark_k8s.core.outcome import ExecutorRecord, Outcome, Verdict
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.operators.summary import summary_lines

OUTCOME = Outcome(
    verdict=Verdict.DRIVER_FAILED,
    message="the driver ended with exit code 1",
    namespace="spark",
    application="a",
    job_name="a-r0",
    driver_pod="a-r0-abcde",
    exit_code=1,
    executors=(
        ExecutorRecord(1, "a-exec-1", "failed", node="n1", reason="OOMKilled", exit_code=137),
        ExecutorRecord(
            12, "a-exec-12", "succeeded", node="n2", exit_code=0, completed_tasks=7, failed_tasks=0
        ),
    ),
    executor_counts={"OOMKilled": 1, "succeeded": 1},
    completed_tasks=7,
    total_tasks=9,
)


def test_the_verdict_and_its_evidence_come_first() -> None:
    first, second, *_ = summary_lines(OUTCOME)
    assert first == "driver failed: the driver ended with exit code 1"
    assert "a-r0-abcde" in second
    assert "exit code 1" in second


def test_every_executor_has_its_line_under_one_header() -> None:
    lines = list(summary_lines(OUTCOME))
    table = lines[-3:]
    assert table[0].split()[0] == "executor"
    assert table[1].split() == ["1", "failed", "137", "-", "-", "n1", "OOMKilled"]
    assert table[2].split() == ["12", "succeeded", "0", "7", "0", "n2"]


def test_columns_stand_under_each_other() -> None:
    table = list(summary_lines(OUTCOME))[-3:]
    assert (
        len({line.index(word) for line, word in zip(table, ("state", "failed", "succeeded"), strict=True)})
        == 1
    )


def test_an_application_without_executors_says_so() -> None:
    bare = Outcome(Verdict.DRIVER_LOST, "gone", "spark", "a", "a-r0")
    lines = list(summary_lines(bare))
    assert "executors: none" in lines
    assert "never seen" in lines[1]


BURSTING = replace(
    OUTCOME,
    executors=(
        ExecutorRecord(
            1, "a-exec-1", "failed", "n1", "OOMKilled", 137, peak_memory_mib=1150, memory_group="plain"
        ),
        ExecutorRecord(2, "a-exec-2", "succeeded", "n2", exit_code=0, memory_group="burst"),
    ),
    memory_groups=(
        MemoryGroup("burst", "1.2", 1000, 1200, 1, 990),
        MemoryGroup("plain", "1", 1200, 1200, 3, 1150, 1, 2),
    ),
)


def test_executors_of_a_bursting_application_are_shown_with_their_memory() -> None:
    lines = list(summary_lines(BURSTING))
    header = next(number for number, line in enumerate(lines) if line.startswith("executor "))
    assert lines[header].split()[-4:] == ["memory", "peak", "MiB", "reason"]
    assert lines[header + 1].split() == ["1", "failed", "137", "-", "-", "n1", "plain", "1150", "OOMKilled"]
    assert lines[header + 2].split() == ["2", "succeeded", "0", "-", "-", "n2", "burst", "-"]


def test_memory_groups_are_one_table_with_a_sentence_of_advice() -> None:
    *_, header, burst, plain, advice = summary_lines(BURSTING)
    assert " ".join(header.split()) == (
        "memory burst factor request MiB limit MiB executors peak MiB OOM kills evictions"
    )
    assert burst.split() == ["burst", "1.2", "1000", "1200", "1", "990", "0", "0"]
    assert plain.split() == ["plain", "1", "1200", "1200", "3", "1150", "1", "2"]
    assert advice.startswith(
        "memory: evicted because their nodes ran low on memory: 0 of 1 executors that burst"
    )


def test_without_bursting_nothing_is_said_about_memory() -> None:
    assert not [line for line in summary_lines(OUTCOME) if "memory" in line or "MiB" in line]


def test_peaks_that_are_known_are_shown_without_bursting() -> None:
    known = replace(OUTCOME, executors=(replace(OUTCOME.executors[0], peak_memory_mib=700),))
    header, row = list(summary_lines(known))[-2:]
    assert "peak MiB" in header
    assert row.split() == ["1", "failed", "137", "-", "-", "n1", "-", "700", "OOMKilled"]


def test_executors_out_of_memory_are_one_table_with_what_would_have_helped() -> None:
    loss = MemoryLoss(
        4, EndKind.OUT_OF_MEMORY, "n1", 137, 0, 2, 1024, 384, stages=(7, 8), peak_memory_mib=1400
    )
    unseen = MemoryLoss(9, EndKind.HEAP_EXHAUSTED, None, None, 1, 1, 1024, 384)
    why = "executor 4 was killed for memory at 1400 MiB in one of the stages 7, 8"
    known = replace(OUTCOME, ooms=(loss, unseen), advice=(Advice(CORES, 2, 1, why),))
    header, first, second, advice = list(summary_lines(known))[-4:]
    assert " ".join(header.split()) == (
        "executor ended cores heap MiB overhead MiB peak MiB stages exit code node"
    )
    assert " ".join(first.split()) == "4 out of memory 2 1024 384 1400 7, 8 137 n1"
    assert " ".join(second.split()) == "9 out of heap 1 1024 384 - - - -"
    assert advice == f"advice: spark.executor.cores 2 -> 1: {why}"
