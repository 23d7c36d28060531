"""Which executors are over, what is remembered of them, and which pods may go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_spark_k8s.core.actions import DeletePod, ReadEvents
from airflow_spark_k8s.core.drain import retired
from airflow_spark_k8s.core.fleet import Fleet, last_seen
from airflow_spark_k8s.core.gate import open_key, still_wants
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.killed_workers import executors_without_worker
from airflow_spark_k8s.core.pod_state import Deleted, Ending, EndKind, Failed, Succeeded
from airflow_spark_k8s.core.recovery import Recovery, recover, recovers
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import MEMORY_KINDS
from airflow_spark_k8s.core.snapshot import ExecutorPod, Observed, Reach
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.stages import at_work
from airflow_spark_k8s.core.state import Scene
from airflow_spark_k8s.core.unread import Unread, unread

START_SECONDS = 60.0
"""An executor that fails sooner than this without having registered has failed to start."""

EARLY_SECONDS = 30.0
"""An executor that was created before its driver listened gives up within this time, with exit code 1."""

EARLY_WINDOW_SECONDS = 120.0
"""How long after the first executors a driver that cannot be asked may not listen yet."""

DELETE_AGAIN_SECONDS = 30.0
"""A pod that is still there this long after its deletion was requested is deleted once more."""

_CORRECTED = (EndKind.DRAINED, EndKind.MAYBE_OUT_OF_MEMORY)
_BY_ITS_OWN_FAULT = MEMORY_KINDS | {EndKind.ERROR, EndKind.NEVER_STARTED}


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What has to be remembered and what may be deleted."""

    ended: tuple[EndedExecutor, ...]  # not remembered yet, or not as well
    retired: tuple[EndedExecutor, ...]  # to be removed from now on
    known: History  # with all of them
    history: History | None  # to be written; None: it is complete
    deletions: tuple[DeletePod, ...]
    questions: tuple[ReadEvents, ...]
    recovery: Recovery | None  # what follows from those that ran out of memory; None: recovery is off


def cleanup(scene: Scene, fleet: Fleet, settings: ControllerSettings) -> Cleanup:
    """
    The cleaning of one look.

    A pod is deleted only after its end stands in the driver's history and its id is settled: before that the
    pod itself is the only evidence that its id was used. Executors that end with their driver are left alone.
    """
    remembered, rollout = fleet.driver.history, settings.rollout
    ended = [*_newly_ended(scene, fleet, settings.allocation), *_killed_while_leaving(scene, fleet)]
    known = remembered.with_ended(ended, rollout)
    more = unread(scene, fleet, known) if recovers(settings) else Unread()
    more_ended = (*more.ended, *executors_without_worker(scene, fleet, settings, known))
    ended += more_ended
    known = known.with_ended(more_ended, rollout)
    recovery = recover(settings, known, fleet.spark.stages, scene.epoch_seconds)
    leaving = retired(scene, fleet, recovery, settings.allocation.target, known)
    known = known.with_ended(leaving, rollout)
    return Cleanup(
        ended=tuple(ended),
        retired=leaving,
        known=known,
        history=known if ended or leaving else None,
        deletions=_deletions(scene, fleet),
        questions=more.questions,
        recovery=recovery,
    )


def _deletions(scene: Scene, fleet: Fleet) -> tuple[DeletePod, ...]:
    remembered, settled = fleet.driver.history.entries, fleet.driver.marks.settled
    deletable = [pod for number, pod in fleet.pods.items() if number in remembered and number <= settled]
    deletable += [pod for pod in scene.observed.executors if _is_left_over(pod, scene.observed)]
    return tuple(DeletePod(pod.name, pod.uid) for pod in deletable if _may_ask(scene, pod))


def _newly_ended(scene: Scene, fleet: Fleet, allocation: AllocationSettings) -> Iterator[EndedExecutor]:
    remembered = fleet.driver.history.entries
    if still_wants(scene, fleet):
        for pod in (*fleet.ended, *fleet.vanished):
            if pod.executor_id not in remembered:
                yield ended_executor(scene, fleet, pod)
    for number in sorted(fleet.running):
        pod = fleet.pods[number]
        if number not in remembered and _is_overdue(scene, fleet, pod, allocation):
            reason = f"did not register within {allocation.registration_timeout_seconds:g} s"
            kind = EndKind.DELETED.value
            yield EndedExecutor(
                number, "deleted", reason, scene.epoch_seconds, node=pod.node, kind=kind, size=pod.size
            )


def _killed_while_leaving(scene: Scene, fleet: Fleet) -> Iterator[EndedExecutor]:
    """Executors to be removed that turn out to have run out of memory: the kernel is believed."""
    remembered = fleet.driver.history.entries
    for number, pod in last_seen(scene, fleet.driver).items():
        known = remembered.get(number)
        if not pod.ended or known is None or known.kind not in _CORRECTED:
            continue
        entry = ended_executor(scene, fleet, pod)
        if known.yields_to(entry):
            yield entry


def ended_executor(scene: Scene, fleet: Fleet, pod: ExecutorPod) -> EndedExecutor:
    """What is to be remembered of an executor whose pod has ended or is gone."""
    state = pod.state
    if not isinstance(state, Succeeded | Failed | Deleted):
        return _vanished(scene, fleet, pod)
    ending = state.ending
    early = _is_too_early(scene, fleet, ending)
    return EndedExecutor(
        executor_id=pod.executor_id,
        state=type(state).__name__.lower(),
        reason=ending.trouble,
        at_epoch_seconds=scene.epoch_seconds,
        exit_code=ending.exit_code,
        node=pod.node,
        start_failure=not early and _failed_to_start(fleet, pod, ending),
        too_early=early,
        kind=ending.kind.value,
        disruption=pod.disruption,
        peak_memory_mib=fleet.spark.peak_memory_mib(pod.executor_id),
        size=pod.size,
        stages=at_work(fleet.spark.stages) if ending.kind in MEMORY_KINDS else (),
    )


def _vanished(scene: Scene, fleet: Fleet, pod: ExecutorPod) -> EndedExecutor:
    """An executor whose pod went before anybody could read how it ended."""
    kind, why = "", f" ({pod.disruption})" if pod.disruption else ""
    if pod.disruption is not None:
        kind = EndKind.DISRUPTED.value
    elif pod.leaving_seconds is not None:
        kind = EndKind.DELETED.value
    return EndedExecutor(
        executor_id=pod.executor_id,
        state="deleted",
        reason=f"its pod is gone{why}",
        at_epoch_seconds=scene.epoch_seconds,
        node=pod.node,
        kind=kind,
        disruption=pod.disruption,
        peak_memory_mib=fleet.spark.peak_memory_mib(pod.executor_id),
        size=pod.size,
    )


def _failed_to_start(fleet: Fleet, pod: ExecutorPod, ending: Ending) -> bool:
    if ending.kind not in _BY_ITS_OWN_FAULT or pod.executor_id in fleet.spark.executors:
        return False
    return ending.ran_seconds is None or ending.ran_seconds < START_SECONDS


def _is_too_early(scene: Scene, fleet: Fleet, ending: Ending) -> bool:
    """
    Whether the executor found nobody listening, which is no fault of its own.

    Source: org.apache.spark.executor.CoarseGrainedExecutorBackend (three attempts, no pause, exit 1).
    """
    return (
        fleet.spark.reach is not Reach.YES
        and ending.exit_code == 1
        and ending.kind is EndKind.ERROR
        and (ending.ran_seconds is None or ending.ran_seconds < EARLY_SECONDS)
        and 0 <= scene.age(*open_key(fleet.driver)) < EARLY_WINDOW_SECONDS
    )


def _is_overdue(scene: Scene, fleet: Fleet, pod: ExecutorPod, allocation: AllocationSettings) -> bool:
    """Whether an answer of the driver itself, late enough, does not know the running executor."""
    key = ("unregistered", pod.uid)
    if key not in scene.since or pod.leaving_seconds is not None:
        return False
    return fleet.spark.asked_at - scene.since[key] >= allocation.registration_timeout_seconds


def _is_left_over(pod: ExecutorPod, observed: Observed) -> bool:
    """
    Whether it is an executor of a driver that has ended and been replaced.

    Its owner may stay for long (a pod that the kubelet evicted is not removed), and with it the executor.
    """
    if pod.ended or pod.leaving_seconds is not None:
        return False
    return any(driver.uid == pod.driver_uid and driver.ended for driver in observed.drivers[:-1])


def _may_ask(scene: Scene, pod: ExecutorPod) -> bool:
    asked = scene.state.deleted.get(pod.uid)
    return pod.leaving_seconds is None and (asked is None or scene.now - asked >= DELETE_AGAIN_SECONDS)
