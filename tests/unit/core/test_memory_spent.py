from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.actions import RecordOutcome
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.snapshot import Observed
from airflow_spark_k8s.core.spec import RecoverySettings
from airflow_spark_k8s.exceptions import ExecutorMemorySpent
from tests.fakes.scenes import START, Story, acts, desired, driver, executor, failed, job, observed, spark

NARROW = RecoverySettings(heap_mib=1024, overhead_mib=384, max_executor_memory_mib=1408)
SINGLE = Size(1, 1, 1024, 384)
LOST = EndedExecutor(
    1, "failed", "OOMKilled", START - 9, 137, "n", kind="out of memory", size=SINGLE, stages=(7,)
)


def _view(*executors: object, history: History | None = None, **fields: object) -> Observed:
    marked = driver(marks=IdMarks(1, 1, "x"), history=history or History({1: LOST}))
    given = {"drivers": (marked,), "spark": spark(stages={7: "ACTIVE"}), **fields}
    return observed(*executors, **given)  # type: ignore[arg-type]


def _outcome(view: Observed, recovery: RecoverySettings | None = NARROW, target: int = 1) -> Outcome | None:
    story = Story(desired(target=target, recovery=recovery, cores=2))
    written = [action for action in story.look(view).actions if isinstance(action, RecordOutcome)]
    assert all(action.stop for action in written)
    return written[0].outcome if written else None


def test_an_application_without_an_executor_left_is_ended_with_the_reason() -> None:
    outcome = _outcome(_view())
    assert outcome is not None
    assert outcome.verdict is Verdict.EXECUTOR_MEMORY_SPENT
    assert outcome.message == (
        "no executor is left: 1 executor ran out of memory, the last one: executor 1 was killed for memory "
        "in stage 7 on n, with 1 core, heap 1024 MiB, overhead 384 MiB; they are not replaced any more "
        "(max_memory_steps is 3, executors have at most 1408 MiB, max_executor_ooms is 10 in 3600 s); "
        "set spark.executor.memoryOverhead=576m"
    )
    assert isinstance(outcome.error(), ExecutorMemorySpent)
    assert [loss.executor_id for loss in outcome.ooms] == [1]
    assert [str(one) for one in outcome.advice] == [
        "spark.executor.memoryOverhead 384m -> 576m: executor 1 was killed for memory in stage 7"
    ]


NOT_YET: dict[str, tuple[Observed, RecoverySettings | None, int]] = {
    "an executor is alive": (_view(executor(2)), NARROW, 1),
    "another one is to come": (_view(), NARROW, 2),
    "memory is left": (_view(), replace(NARROW, max_executor_memory_mib=None), 1),
    "recovery is off": (_view(), replace(NARROW, mode="off"), 1),
    "there is no recovery": (_view(), None, 1),
    "the stage is over": (_view(spark=spark(stages={7: "COMPLETE", 8: "ACTIVE"})), NARROW, 1),
    "the last end has not been recorded": (
        _view(executor(1, failed(EndKind.OUT_OF_MEMORY, 137), size=SINGLE), history=History()), NARROW, 1
    ),
    "the Job is suspended": (_view(job=job(JobPhase.SUSPENDED)), NARROW, 1),
    "the driver has not answered since": (
        _view(spark=spark(stages={7: "ACTIVE"}, asked_at=START - 1)), NARROW, 1
    ),
    "there is no driver": (_view(drivers=()), NARROW, 1),
}  # fmt: skip


@pytest.mark.parametrize(("view", "recovery", "target"), NOT_YET.values(), ids=NOT_YET.keys())
def test_an_application_goes_on_if(view: Observed, recovery: RecoverySettings | None, target: int) -> None:
    assert _outcome(view, recovery, target) is None


def test_settings_that_have_not_been_read_end_nothing() -> None:
    story = Story(replace(desired(), settings=None))
    assert acts(story.look(_view())) == ()


def _failed_driver(history: History, recovery: RecoverySettings | None) -> Outcome:
    ended = driver(failed(EndKind.ERROR, 1), marks=IdMarks(9, 9, "x"), history=history)
    over = job(JobPhase.FAILED, reason="BackoffLimitExceeded")
    late = executor(9, failed(EndKind.OUT_OF_MEMORY, 137), size=SINGLE)
    other = executor(8, failed(EndKind.MAYBE_OUT_OF_MEMORY, 137))
    view = observed(late, other, drivers=(ended,), job=over, spark=spark(stages={7: "FAILED"}))
    story = Story(desired(target=2, recovery=recovery, cores=2))
    (written,) = [action for action in story.look(view).actions if isinstance(action, RecordOutcome)]
    return written.outcome


def test_a_driver_that_fails_by_itself_keeps_its_verdict_and_the_reason_is_added() -> None:
    outcome = _failed_driver(History({1: replace(LOST, size=None)}), replace(NARROW, mode="off"))
    assert outcome.verdict is Verdict.DRIVER_FAILED
    assert outcome.message.startswith("driver pod d-1: error, exit code 1; 2 executors ran out of memory, ")
    assert "executor 9 was killed for memory on node-2" in outcome.message, "though nobody could record it"
    assert [loss.executor_id for loss in outcome.ooms] == [1, 9], "8 may have been killed by the end itself"


def test_a_driver_that_fails_for_another_reason_says_only_that() -> None:
    outcome = _failed_driver(History(), None)
    assert outcome.message == "driver pod d-1: error, exit code 1"
    assert (outcome.ooms, outcome.advice) == ((), ())


def test_a_driver_that_fails_before_its_settings_were_read_says_only_that() -> None:
    over = job(JobPhase.FAILED, reason="BackoffLimitExceeded")
    ended = driver(failed(EndKind.ERROR, 1), history=History({1: LOST}))
    story = Story(replace(desired(), settings=None))
    plan = story.look(observed(drivers=(ended,), job=over))
    (written,) = [action for action in plan.actions if isinstance(action, RecordOutcome)]
    assert written.outcome.message == "driver pod d-1: error, exit code 1"
