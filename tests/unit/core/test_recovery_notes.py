from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.history import EndedExecutor, ForgottenLosses
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.recovery_notes import ended_text
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.spec import AllocationSettings, RecoverySettings
from tests.fakes.model import Model
from tests.fakes.scenes import desired, failed

AUTO = RecoverySettings(heap_mib=1024, overhead_mib=384)
CALM = replace(AUTO, drain_fraction="0")
EVICTED = failed(EndKind.DISRUPTED, 143)


def _model(target: int = 4, recovery: RecoverySettings = CALM) -> Model:
    return Model(desired(target, recovery=recovery, cores=2)).settle()


def _about_memory(model: Model) -> list[str]:
    """Lines about decisions, in the order in which they were said."""
    ordinary = ("driver", "application", "executors:", "new round", "Job")
    return [line for line in model.lines if not line.startswith(ordinary)]


KILLED = EndedExecutor(
    4, "failed", "OOMKilled, exit code 137", 9.0, 137, "node-2", kind="out of memory", stages=(8, 7)
)
ENDS: dict[str, tuple[EndedExecutor, RecoverySettings | None, str]] = {
    "it went home": (
        EndedExecutor(4, "succeeded", "", 9.0, node="node-2", peak_memory_mib=9),
        AUTO,
        "executor 4 succeeded",
    ),
    "it failed": (
        EndedExecutor(4, "failed", "exit code 3", 9.0, node="node-2", peak_memory_mib=900),
        AUTO,
        "executor 4 failed: exit code 3 (on node-2, peak 900 MiB)",
    ),
    "it never had a node": (
        EndedExecutor(4, "deleted", "its pod is gone", 9.0),
        AUTO,
        "executor 4 deleted: its pod is gone",
    ),
    "it was killed for memory": (
        KILLED,
        AUTO,
        "executor 4 failed: OOMKilled, exit code 137 (on node-2, 2 cores, heap 1024 MiB, overhead 384 MiB, "
        "stages 7, 8)",
    ),
    "it had been given more": (
        replace(KILLED, size=Size(2, 1, 1024, 576), peak_memory_mib=1590, stages=(7,)),
        AUTO,
        "executor 4 failed: OOMKilled, exit code 137 (on node-2, 1 core, heap 1024 MiB, overhead 576 MiB, "
        "peak 1590 MiB, stage 7)",
    ),
    "nothing is known of its memory": (
        KILLED,
        None,
        "executor 4 failed: OOMKilled, exit code 137 (on node-2, stages 7, 8)",
    ),
}


@pytest.mark.parametrize(("entry", "recovery", "text"), ENDS.values(), ids=ENDS.keys())
def test_the_line_about_an_executor_when(
    entry: EndedExecutor, recovery: RecoverySettings | None, text: str
) -> None:
    settings = ControllerSettings(AllocationSettings(4), (4, 3, 0), executor_cores=2, recovery=recovery)
    assert ended_text(entry, settings) == text


def test_settings_that_have_not_been_read_are_not_needed() -> None:
    assert ended_text(replace(KILLED, stages=()), None).endswith("exit code 137 (on node-2)")


def test_each_loss_and_each_decision_is_one_line() -> None:
    model = _model()
    model.kill(2).kill(5).kill(6, kind=EndKind.HEAP_EXHAUSTED, code=52)
    model.stages = {7: "COMPLETE", 8: "ACTIVE"}
    model.settle()
    size = "heap 1024 MiB, overhead"
    assert _about_memory(model) == [
        f"executor 2 failed: out of memory, exit code 137 (on node-2, 2 cores, {size} 384 MiB, stage 7)",
        "executor 5 replaces 2: one task at a time, the same memory, because executor 2 was killed for "
        "memory in stage 7",
        f"executor 5 failed: out of memory, exit code 137 (on node-2, 1 core, {size} 384 MiB, stage 7)",
        f"executor 6 replaces 5: one task at a time, 1 core, {size} 576 MiB, because executor 5 was killed "
        "for memory in stage 7",
        f"executor 6 failed: out of heap, exit code 52 (on node-2, 1 core, {size} 576 MiB, stage 7)",
        "executor 7 replaces 6: one task at a time, 1 core, heap 1536 MiB, overhead 576 MiB, because "
        "executor 6 ran out of heap in stage 7",
        "back to normal: stage 7 has finished",
    ]


def test_a_replacement_for_another_reason_says_what_it_gets() -> None:
    model = _model().kill(2).end(1, EVICTED)
    model.settle()
    assert not any("executor 6 replaces" in line for line in model.lines), "an ordinary one"
    model.end(5, EVICTED).settle()
    assert (
        "executor 7 replaces 2: one task at a time, the same memory, because executor 2 was killed for "
        "memory in stage 7"
    ) in model.lines


def test_two_at_once_are_told_apart() -> None:
    model = _model()
    model.end(1, failed(EndKind.OUT_OF_MEMORY, 137))
    model.kill(2)
    told = [line for line in model.lines if " replaces " in line]
    assert [line.split(":")[0] for line in told] == ["executor 5 replaces 2", "executor 6 replaces 1"]


def test_more_than_one_for_the_same_loss_are_told_without_a_reason() -> None:
    settings = replace(CALM, sticky=True)
    model = _model(recovery=settings)
    history = model.history
    model.history = replace(history, forgotten_losses=(ForgottenLosses(None, "out of memory", 1),))
    model.end(1, EVICTED).settle()
    assert "executor 5 gets one task at a time, the same memory" in model.lines


def test_draining_is_told() -> None:
    model = _model(recovery=AUTO).kill(1).kill(2)
    model.stages = {7: "ACTIVE", 8: "ACTIVE"}
    model.settle(30)
    lines = _about_memory(model)
    assert "new executors take one task at a time: 2 ran out of memory in stage 7" in lines
    assert [line for line in lines if line.startswith("retiring")] == [
        "retiring executor 3: single-task ones take over",
        "retiring executor 4: single-task ones take over",
    ]


def test_several_stages_are_told() -> None:
    model = _model()
    model.stages = {7: "ACTIVE", 8: "ACTIVE"}
    model.kill(2)
    model.stages = {7: "COMPLETE", 8: "COMPLETE", 9: "ACTIVE"}
    assert "back to normal: stages 7, 8 have finished" in model.settle().lines


def test_a_spent_budget_is_told() -> None:
    model = _model(recovery=replace(CALM, max_executor_ooms=0)).kill(1).kill(2)
    assert [line for line in model.lines if line.startswith("memory budget")] == [
        "memory budget spent: nothing replaces 1",
        "memory budget spent: nothing replaces 1, 2",
    ]


def test_without_recovery_nothing_is_decided() -> None:
    model = _model(recovery=replace(AUTO, mode="off")).kill(1).kill(2)
    assert [line.split(":")[0] for line in _about_memory(model)] == ["executor 1 failed", "executor 2 failed"]
