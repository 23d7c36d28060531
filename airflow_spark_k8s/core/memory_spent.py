"""When an application is over because executors that ran out of memory are not worth replacing any more."""

from __future__ import annotations

from airflow_spark_k8s.core.cleanup import Cleanup
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.gate import still_wants
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.memory_sentence import memory_sentence
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.state import Scene
from airflow_spark_k8s.core.verdict import Judgement


def memory_spent(scene: Scene, fleet: Fleet | None, cleaning: Cleanup | None) -> Judgement | None:
    """
    The verdict on an application that has no executor left and is to get none: all ran out of memory.

    Whatever is left of it waits for ever: a driver without executors goes on asking for some.
    """
    settings, job = scene.desired.settings, scene.observed.job
    if fleet is None or cleaning is None or cleaning.recovery is None or settings is None or job is None:
        return None
    recovery, target = cleaning.recovery, settings.allocation.target
    if fleet.alive or recovery.target(target) or cleaning.history is not None:
        return None
    if job.phase is not JobPhase.ACTIVE or not still_wants(scene, fleet):
        return None
    text = memory_sentence(settings, fleet.driver.history, fleet.spark.stages, scene.epoch_seconds)
    return Judgement(Verdict.EXECUTOR_MEMORY_SPENT, f"no executor is left: {text}", fleet.driver, stop=True)
