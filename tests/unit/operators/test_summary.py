from __future__ import annotations

from airflow_spark_k8s.core.outcome import ExecutorRecord, Outcome, Verdict
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
