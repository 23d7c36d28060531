"""Lines about executors that ran out of memory, and about what takes their places."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_spark_k8s.core.allocation import sizes_of
from airflow_spark_k8s.core.cleanup import Cleanup
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.history import EndedExecutor
from airflow_spark_k8s.core.memory_losses import in_stages, memory_losses, stages_text, what_happened
from airflow_spark_k8s.core.memory_sentence import memory_text
from airflow_spark_k8s.core.recovery import Recovery
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import MEMORY_KINDS, Size

Topical = tuple[str, str]
"""The topic of a line, and its text."""


def recovery_lines(fleet: Fleet, cleaning: Cleanup | None) -> Iterator[Topical]:
    """What was decided and holds at this look."""
    recovery = cleaning.recovery if cleaning else None
    if cleaning is None or recovery is None:
        return
    yield from _state(recovery)
    if cleaning.retired:
        numbers = ", ".join(str(entry.executor_id) for entry in cleaning.retired)
        many = "executor" if len(cleaning.retired) == 1 else "executors"
        yield f"retiring {numbers}", f"retiring {many} {numbers}: single-task ones take over"
    yield from _replacements(fleet, recovery)


def ended_text(entry: EndedExecutor, settings: ControllerSettings | None) -> str:
    """One line about the end of an executor; of trouble it says where and with how much memory."""
    text = f"executor {entry.executor_id} {entry.state}"
    if not entry.reason:
        return text
    facts = [f"on {entry.node}"] if entry.node else []
    recovery = settings.recovery if settings else None
    if settings is not None and recovery is not None and entry.kind in MEMORY_KINDS:
        normal = Size(0, settings.executor_cores, recovery.heap_mib, recovery.overhead_mib)
        size = entry.size or normal
        facts.append(memory_text(size.cores, size.heap_mib, size.overhead_mib))
    if entry.peak_memory_mib is not None:
        facts.append(f"peak {entry.peak_memory_mib} MiB")
    if entry.stages:
        facts.append(stages_text(entry.stages))
    return f"{text}: {entry.reason}" + (f" ({', '.join(facts)})" if facts else "")


def _replacements(fleet: Fleet, recovery: Recovery) -> Iterator[Topical]:
    """Each executor of a size of its own, with the latest loss that asks for it."""
    given_up = {loss.executor_id for loss in recovery.given_up}
    losses = [loss for loss in recovery.losses if loss.executor_id not in given_up]
    asking = [(recovery.ladder.after(_size(recovery, loss), loss.kind), loss) for loss in losses]
    for number, size in sizes_of(fleet, recovery).items():
        if size is None or size == recovery.base:
            continue
        what = _size_text(recovery, size)
        found = [pair for pair in asking if pair[0] == size]
        if found:
            asking.remove(found[-1])
            (told,) = memory_losses([found[-1][1]], recovery.ladder)
            text = f"executor {number} replaces {told.executor_id}: {what}, because {what_happened(told)}"
        else:
            text = f"executor {number} gets {what}"
        yield f"replacement {number}", text


def _size_text(recovery: Recovery, size: Size) -> str:
    if size == recovery.ladder.single_task:
        return "one task at a time, the same memory"
    return f"one task at a time, {memory_text(size.cores, size.heap_mib, size.overhead_mib)}"


def _size(recovery: Recovery, loss: EndedExecutor) -> Size:
    return loss.size or recovery.ladder.normal


def _state(recovery: Recovery) -> Iterator[Topical]:
    if recovery.given_up:
        numbers = ", ".join(str(loss.executor_id) for loss in recovery.given_up)
        yield "recovery", f"memory budget spent: nothing replaces {numbers}"
    elif recovery.drains and recovery.losses:
        many, where = len(recovery.losses), in_stages(recovery.losses[-1].stages)
        yield "recovery", f"new executors take one task at a time: {many} ran out of memory{where}"
    elif recovery.past and not recovery.losses:
        stages = recovery.past[-1].stages
        finished = f"{stages_text(stages)} {'have' if len(stages) > 1 else 'has'} finished"
        yield "recovery", f"back to normal: {finished}"
