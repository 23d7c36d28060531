"""Executors that would only be the next to die: retired a few at a time, before the same tasks reach them."""

from __future__ import annotations

import math
from fractions import Fraction

from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.gate import still_wants
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.recovery import Recovery
from airflow_spark_k8s.core.state import Scene

RETIRED = "retired: replaced by a single-task executor"


def retired(
    scene: Scene, fleet: Fleet, recovery: Recovery | None, target: int, known: History
) -> tuple[EndedExecutor, ...]:
    """
    Executors to be retired now; they are deleted once this is recorded, and replaced once they are gone.

    A task is charged for an executor that fails under it, not for one whose pod is deleted: each executor
    that takes several tasks, and is left to a task that needs one for itself, brings the application nearer
    to its end. A few go at a time, since each takes its shuffle files along; when one more charge may be the
    last, all of them go.

    :param recovery: None if recovery is off.
    :param target: executors that are wanted.
    :param known: the driver's history with what this look adds to it.

    Source: org.apache.spark.scheduler.cluster.k8s.ExecutorPodsLifecycleManager, spark.task.maxFailures
    """
    if recovery is None or not recovery.drains or not still_wants(scene, fleet):
        return ()
    candidates = [number for number in _present(fleet) if _is_candidate(fleet, number, known)]
    if not recovery.last_chance:
        if not _is_through(scene, fleet, recovery, target, known):
            return ()
        candidates.sort(key=lambda number: _worth(fleet, number))
        candidates = candidates[: math.ceil(target * Fraction(recovery.settings.drain_fraction))]
    stages = next((loss.stages for loss in reversed(recovery.losses)), ())
    return tuple(_entry(scene, fleet, number, stages) for number in sorted(candidates))


def _present(fleet: Fleet) -> frozenset[int]:
    return fleet.pending | fleet.running


def _is_candidate(fleet: Fleet, number: int, known: History) -> bool:
    pod = fleet.pods[number]
    return pod.size is None and pod.leaving_seconds is None and number not in known.entries


def _worth(fleet: Fleet, number: int) -> tuple[bool, bool, int]:
    """Sorts what can be spared first: executors that do not run yet, then idle ones."""
    registered = fleet.spark.executors.get(number)
    busy = registered is not None and not registered.idle
    return number in fleet.running, busy, number


def _is_through(scene: Scene, fleet: Fleet, recovery: Recovery, target: int, known: History) -> bool:
    """Whether those retired before are gone, and as many executors as were lost or retired are at work."""
    stages = fleet.spark.stages
    before = [
        entry
        for entry in known.entries.values()
        if entry.kind == EndKind.DRAINED and recovery.counts(entry, stages)
    ]
    if any(entry.executor_id in _present(fleet) for entry in before):
        return False
    working = fleet.running if fleet.registered is None else fleet.registered & fleet.running
    replaced = sum(fleet.pods[number].size is not None for number in working)
    given_up = {loss.executor_id for loss in recovery.given_up}
    lost = [loss for loss in recovery.losses if loss.size is None and loss.executor_id not in given_up]
    return not before or replaced >= min(recovery.target(target), len(before) + len(lost))


def _entry(scene: Scene, fleet: Fleet, number: int, stages: tuple[int, ...]) -> EndedExecutor:
    return EndedExecutor(
        executor_id=number,
        state="deleted",
        reason=RETIRED,
        at_epoch_seconds=scene.epoch_seconds,
        node=fleet.pods[number].node,
        kind=EndKind.DRAINED.value,
        peak_memory_mib=fleet.spark.peak_memory_mib(number),
        stages=stages,
    )
