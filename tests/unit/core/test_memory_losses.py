from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.memory_losses import Advice, advice, memory_losses, what_happened
from airflow_spark_k8s.core.memory_sentence import memory_sentence
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import Size, ladder
from airflow_spark_k8s.core.spec import AllocationSettings, RecoverySettings

AUTO = RecoverySettings(heap_mib=1024, overhead_mib=384)
STEPS = ladder(AUTO, 2)
SINGLE, GROWN = Size(1, 1, 1024, 384), Size(2, 1, 1024, 576)


def ended(number: int, size: Size | None = None, **fields: Any) -> EndedExecutor:
    given = {"kind": "out of memory", "node": "n", "exit_code": 137, "stages": (7,), **fields}
    return EndedExecutor(number, "failed", "OOMKilled", 1000.0 + number, size=size, **given)


def _told(*entries: EndedExecutor, cores: int = 2) -> list[str]:
    steps = ladder(AUTO, cores)
    return [str(one) for one in advice(memory_losses(entries, steps), steps)]


CLAUSES: dict[str, tuple[EndedExecutor, str]] = {
    "killed": (ended(4, peak_memory_mib=2457), "executor 4 was killed for memory at 2457 MiB in stage 7"),
    "killed, nobody knows where": (ended(4, stages=()), "executor 4 was killed for memory"),
    "out of heap": (
        ended(4, kind="out of heap", stages=(9, 7)),
        "executor 4 ran out of heap in one of the stages 7, 9",
    ),
    "perhaps killed": (
        ended(4, kind="maybe out of memory"),
        "executor 4 was killed, perhaps for memory, in stage 7",
    ),
}


@pytest.mark.parametrize(("entry", "text"), CLAUSES.values(), ids=CLAUSES.keys())
def test_what_happened_in_a_few_words(entry: EndedExecutor, text: str) -> None:
    (loss,) = memory_losses([entry], STEPS)
    assert what_happened(loss) == text


def test_losses_come_in_order_of_time_with_what_the_executors_had() -> None:
    first, second = memory_losses([ended(5, GROWN), ended(4), ended(6, kind="disrupted")], STEPS)
    assert (first.executor_id, first.step, first.cores, first.overhead_mib) == (4, 0, 2, 384)
    assert (second.executor_id, second.step, second.cores, second.overhead_mib) == (5, 2, 1, 576)


ADVICE: dict[str, tuple[tuple[EndedExecutor, ...], int, list[str]]] = {
    "no loss": ((), 2, []),
    "several tasks were too many": (
        (ended(4),),
        2,
        ["spark.executor.cores 2 -> 1: executor 4 was killed for memory in stage 7"],
    ),
    "one task was too much": (
        (ended(4), ended(5, SINGLE, peak_memory_mib=1400)),
        2,
        [
            "spark.executor.cores 2 -> 1: executor 4 was killed for memory in stage 7",
            "spark.executor.memoryOverhead 384m -> 576m: executor 5 was killed for memory at 1400 MiB "
            "in stage 7",
        ],
    ),
    "the largest counts": (
        (ended(5, SINGLE), ended(6, GROWN), ended(7, SINGLE)),
        2,
        ["spark.executor.memoryOverhead 384m -> 864m: executor 6 was killed for memory in stage 7"],
    ),
    "both kinds of memory": (
        (ended(5, SINGLE, kind="out of heap"), ended(6, SINGLE)),
        2,
        [
            "spark.executor.memory 1024m -> 1536m: executor 5 ran out of heap in stage 7",
            "spark.executor.memoryOverhead 384m -> 576m: executor 6 was killed for memory in stage 7",
        ],
    ),
    "executors take one task anyway": (
        (ended(4, kind="out of heap"),),
        1,
        ["spark.executor.memory 1024m -> 1536m: executor 4 ran out of heap in stage 7"],
    ),
}


@pytest.mark.parametrize(("entries", "cores", "told"), ADVICE.values(), ids=ADVICE.keys())
def test_advice_when(entries: tuple[EndedExecutor, ...], cores: int, told: list[str]) -> None:
    assert _told(*entries, cores=cores) == told


def test_advice_names_the_property_to_set() -> None:
    assert Advice("heap_mib", 1, 2, "x").property_name == "spark.executor.memory"


# The sentence for an error.


def _sentence(
    *entries: EndedExecutor, recovery: RecoverySettings | None = AUTO, stages: dict[int, str] | None = None
) -> str:
    settings = ControllerSettings(AllocationSettings(4), (4, 3, 0), executor_cores=2, recovery=recovery)
    history = History({entry.executor_id: entry for entry in entries})
    return memory_sentence(settings, history, stages or {7: "ACTIVE"}, 1010.0)


LAST_STEP = Size(4, 1, 1024, 1296)
SENTENCES: dict[str, tuple[tuple[EndedExecutor, ...], RecoverySettings | None, str]] = {
    "nothing happened": ((), AUTO, ""),
    "nothing is known of memory": ((ended(4),), None, ""),
    "one executor": (
        (ended(4, node=None),),
        AUTO,
        "1 executor ran out of memory, the last one: executor 4 was killed for memory in stage 7, "
        "with 2 cores, heap 1024 MiB, overhead 384 MiB; set spark.executor.cores=1",
    ),
    "no step is left": (
        (ended(4), ended(9, LAST_STEP)),
        AUTO,
        "2 executors ran out of memory, the last one: executor 9 was killed for memory in stage 7 on n, "
        "with 1 core, heap 1024 MiB, overhead 1296 MiB; they are not replaced any more "
        "(max_memory_steps is 3, max_executor_ooms is 10 in 3600 s); "
        "set spark.executor.cores=1, spark.executor.memoryOverhead=1944m",
    ),
    "no memory is left": (
        (ended(9, SINGLE),),
        replace(AUTO, max_executor_memory_mib=1408),
        "1 executor ran out of memory, the last one: executor 9 was killed for memory in stage 7 on n, "
        "with 1 core, heap 1024 MiB, overhead 384 MiB; they are not replaced any more "
        "(max_memory_steps is 3, executors have at most 1408 MiB, max_executor_ooms is 10 in 3600 s); "
        "set spark.executor.memoryOverhead=576m",
    ),
    "recovery is off": (
        (ended(4),),
        replace(AUTO, mode="off"),
        "1 executor ran out of memory, the last one: executor 4 was killed for memory in stage 7 on n, "
        "with 2 cores, heap 1024 MiB, overhead 384 MiB; they were not replaced otherwise, since "
        "spark.kubernetes.allocation.recoveryMode.enabled is false; set spark.executor.cores=1",
    ),
}


@pytest.mark.parametrize(("entries", "recovery", "text"), SENTENCES.values(), ids=SENTENCES.keys())
def test_the_sentence_when(
    entries: tuple[EndedExecutor, ...], recovery: RecoverySettings | None, text: str
) -> None:
    assert _sentence(*entries, recovery=recovery) == text


def test_a_stage_that_is_over_is_not_to_blame() -> None:
    assert _sentence(ended(4), stages={7: "COMPLETE", 8: "ACTIVE"}) == ""
