"""Executors whose pods went before anybody read how they ended: what the driver and the cluster say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from airflow_spark_k8s.core.actions import ReadEvents
from airflow_spark_k8s.core.executor_pod import executor_name
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.gate import still_wants
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.stages import at_work
from airflow_spark_k8s.core.state import Scene

_SAYS_MEMORY = re.compile(r"exit code (?:52|137)\b|OOMKilled")
_TAKEN_AWAY = ("Evicted", "Preempted", "Preempting", "TaintManagerEviction", "NodeNotReady", "Shutdown")
_KILLED = "Killing"


@dataclass(frozen=True, slots=True)
class Unread:
    """What can be told of them now, and what has to be asked first."""

    ended: tuple[EndedExecutor, ...] = ()
    questions: tuple[ReadEvents, ...] = ()


def unread(scene: Scene, fleet: Fleet, known: History) -> Unread:
    """
    Executors that the driver has removed for what looks like memory, and of which nobody has seen more.

    The driver's words are free text, so that they may have run out of memory is all that can be said, and not
    even that if the cluster says that their pods were taken away or stopped.

    :param known: the driver's history with what this look adds to it.

    Source: org.apache.spark.scheduler.cluster.k8s.ExecutorPodsLifecycleManager.exitReasonMessage
    """
    if not still_wants(scene, fleet):
        return Unread()
    ended: list[EndedExecutor] = []
    questions: list[ReadEvents] = []
    for number in sorted(_candidates(fleet, known)):
        name = executor_name(fleet.driver.name, number)
        events = scene.observed.events.get(name)
        if events is None:
            questions.append(ReadEvents(name))
        else:
            ended.append(_ended(scene, fleet, known.entries.get(number), number, events))
    return Unread(tuple(ended), tuple(questions))


def _candidates(fleet: Fleet, known: History) -> Iterator[int]:
    for number, executor in fleet.spark.executors.items():
        entry = known.entries.get(number)
        # one that is not remembered any more is not unread
        is_unread = not known.forgotten if entry is None else entry.kind == ""
        if executor.active or number in fleet.pods or not is_unread:
            continue
        if _SAYS_MEMORY.search(executor.remove_reason or ""):
            yield number


def _ended(
    scene: Scene, fleet: Fleet, entry: EndedExecutor | None, number: int, events: tuple[str, ...]
) -> EndedExecutor:
    known = entry or EndedExecutor(
        number,
        "deleted",
        "its pod is gone",
        scene.epoch_seconds,
        peak_memory_mib=fleet.spark.peak_memory_mib(number),
    )
    taken = next((reason for reason in _TAKEN_AWAY if reason in events), None)
    if taken is not None:
        return replace(
            known, kind=EndKind.DISRUPTED.value, disruption=taken, reason=f"{known.reason} ({taken})"
        )
    if _KILLED in events:
        return replace(known, kind=EndKind.DELETED.value)
    words = " ".join((fleet.spark.executors[number].remove_reason or "").split())
    return replace(
        known,
        kind=EndKind.MAYBE_OUT_OF_MEMORY.value,
        reason=f"{known.reason}; the driver says: {words}",
        stages=at_work(fleet.spark.stages),
    )
