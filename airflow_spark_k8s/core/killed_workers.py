"""
Executors that live on although the kernel has killed a process in them, most likely for memory.

With cgroup v1, or the kubelet's `singleProcessOOMKill`, only the largest process dies: often a Python worker.
Its pod says so only once it ends. Until then there are the tasks that failed, in the driver's words.
"""

from __future__ import annotations

from collections.abc import Iterator

from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.gate import still_wants
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.recovery import recover
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.stages import at_work
from airflow_spark_k8s.core.state import Scene

WORKER_KILLED = "a Python worker in it was killed, perhaps for memory: it is replaced"

_DRIVER_SAYS = "Python worker exited unexpectedly"


def lost_its_worker(error: str) -> bool:
    """
    Whether a task's error says that its Python worker is gone.

    Source: org.apache.spark.api.python.BasePythonRunner.ReaderIterator.handleException
    """
    return _DRIVER_SAYS in error


def executors_without_worker(
    scene: Scene, fleet: Fleet, settings: ControllerSettings, known: History
) -> tuple[EndedExecutor, ...]:
    """
    Executors to be removed for that, as losses that may have been for memory.

    Words of the driver are no proof: a worker may crash by itself. If it was the kernel, the pod says so when
    it has ended, and the entry is corrected. An executor that nothing larger would replace is left alone: as
    long as it lives, the stage has a chance.

    :param known: the driver's history with what this look adds to it.
    """
    if not still_wants(scene, fleet):
        return ()
    found: list[EndedExecutor] = []
    for entry in _candidates(scene, fleet, known):
        recovery = recover(
            settings, known.with_ended([*found, entry]), fleet.spark.stages, scene.epoch_seconds
        )
        if recovery is not None and entry not in recovery.given_up:
            found.append(entry)
    return tuple(found)


def _candidates(scene: Scene, fleet: Fleet, known: History) -> Iterator[EndedExecutor]:
    for number in sorted(fleet.spark.killed_workers & fleet.running):
        pod = fleet.pods[number]
        if number in known.entries or pod.leaving_seconds is not None:
            continue
        yield EndedExecutor(
            executor_id=number,
            state="deleted",
            reason=WORKER_KILLED,
            at_epoch_seconds=scene.epoch_seconds,
            node=pod.node,
            kind=EndKind.MAYBE_OUT_OF_MEMORY.value,
            peak_memory_mib=fleet.spark.peak_memory_mib(number),
            size=pod.size,
            stages=at_work(fleet.spark.stages),
        )
