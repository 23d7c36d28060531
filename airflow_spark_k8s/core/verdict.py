"""Whether an application is over, and how: success only on evidence, failure with its cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.driver_memory import eviction_text
from airflow_spark_k8s.core.job_state import DEADLINE_EXCEEDED, JobPhase, JobState
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.pod_state import Ending, EndKind, Failed, Running, Succeeded
from airflow_spark_k8s.core.restart import is_refused, may_restart, restarts
from airflow_spark_k8s.core.settings import config_map_name
from airflow_spark_k8s.core.snapshot import DriverPod, Observed, SparkView
from airflow_spark_k8s.core.state import Key, Scene

JOB_PATIENCE_SECONDS = 30.0
"""How long after a driver's end the Job controller may take to decide; then the Job is ended."""

POD_PATIENCE_SECONDS = 10.0
"""How much later than its Job's end a driver pod's end may be seen."""

SETTINGS_PATIENCE_SECONDS = 120.0
"""How long the application's ConfigMap may be missing."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its message, and what has to be done to the Job."""

    verdict: Verdict
    message: str
    driver: DriverPod | None = None  # the driver pod it is about
    ending: Ending | None = None  # of that pod
    stop: bool = False  # the driver may still run: the Job has to be ended
    remove: bool = False  # the Job has to be deleted
    cause: Cause | None = None  # of what never started


def verdict_conditions(observed: Observed) -> set[Key]:
    """Conditions whose age decides about verdicts."""
    keys: set[Key] = set()
    job, driver = observed.job, observed.driver
    if job is not None and job.phase is JobPhase.FAILED:
        keys.add(("job failed", job.uid))
    if driver is not None and driver.ended:
        keys.add(("driver ended", driver.uid))
    if observed.settings_problem is not None:
        keys.add(("settings",))
    return keys


def judge(scene: Scene) -> Judgement | None:
    """The verdict, None while there is none."""
    rules: tuple[Callable[[Scene], Judgement | None], ...] = (
        _success,
        _job_gone,
        _job_failed,
        _timed_out,
        _driver_ended,
        _disrupted_too_often,
        _other_version,
        _took_over,
        _settings_missing,
    )
    for rule in rules:
        judgement = rule(scene)
        if judgement is not None:
            return judgement
    return None


def verdict_due(scene: Scene) -> float | None:
    """When `judge` may say something else although nothing happens; None if time alone does not do it."""
    moments = [
        scene.deadline,
        *(scene.since[key] + seconds for key, seconds in _limits(scene) if key in scene.since),
    ]
    return min((moment for moment in moments if moment is not None and moment > scene.now), default=None)


def _limits(scene: Scene) -> list[tuple[Key, float]]:
    job, driver = scene.observed.job, scene.observed.driver
    limits: list[tuple[Key, float]] = [(("settings",), SETTINGS_PATIENCE_SECONDS)]
    if job is not None:
        limits.append((("job failed", job.uid), POD_PATIENCE_SECONDS))
    if driver is not None:
        limits.append((("driver ended", driver.uid), JOB_PATIENCE_SECONDS))
    return limits


def _success(scene: Scene) -> Judgement | None:
    for driver in reversed(scene.observed.drivers):
        if isinstance(driver.state, Succeeded):
            text = f"driver pod {driver.name} ended with {driver.state.ending.text}"
            # To its Job a pod that was disrupted at the same time is no success: it would start another one.
            stop = driver.disruption is not None
            return Judgement(Verdict.SUCCEEDED, text, driver, driver.state.ending, stop=stop)
    job = scene.observed.job
    if job is not None and job.phase is JobPhase.COMPLETE:
        return Judgement(Verdict.SUCCEEDED, f"Job {job.name} is complete", scene.observed.driver)
    return None


def _job_gone(scene: Scene) -> Judgement | None:
    job = scene.observed.job
    if job is not None and not job.deleting:
        return None
    if scene.overdue_seconds >= 0:
        return _timed_out(scene)
    driver = scene.observed.driver
    if driver is not None and isinstance(driver.state, Failed) and not _taken_away(driver.state.ending):
        return _of_ending(driver, driver.state.ending)
    name = job.name if job is not None else scene.desired.reference.job_name
    text = f"Job {name} was removed before it ended; the driver left no evidence of success"
    return Judgement(Verdict.DRIVER_LOST, text, driver)


def _job_failed(scene: Scene) -> Judgement | None:
    job, driver = scene.observed.job, scene.observed.driver
    if job is None or job.phase is not JobPhase.FAILED or may_restart(scene):
        return None
    if job.continued_by is not None and is_refused(scene):
        return _not_again(scene, job.continued_by)
    if job.reason == DEADLINE_EXCEEDED and not job.stopped:
        text = f"Job {job.name} ran longer than its activeDeadlineSeconds"
        return Judgement(Verdict.TIMED_OUT, text, driver)
    if driver is not None and isinstance(driver.state, Failed) and not _taken_away(driver.state.ending):
        return _of_ending(driver, driver.state.ending)
    if scene.age("job failed", job.uid) < POD_PATIENCE_SECONDS or lacks_evidence(scene):
        return None
    if driver is not None and isinstance(driver.state, Failed):
        return _limited(scene, _of_ending(driver, driver.state.ending))
    return _limited(scene, Judgement(Verdict.DRIVER_LOST, _lost_text(job, driver), driver))


def _limited(scene: Scene, judgement: Judgement) -> Judgement:
    """The judgement on a lost driver; if restarts are used up, its message says so."""
    settings, used = scene.desired.settings, restarts(scene.observed)
    if settings is None or used < settings.max_driver_restarts:
        return judgement
    text = f"{judgement.message}; restarts: {used}, max_driver_restarts is {settings.max_driver_restarts}"
    return replace(judgement, message=text)


def _not_again(scene: Scene, name: str) -> Judgement:
    why = scene.state.refused.text if scene.state.refused else "no answer"
    text = f"the driver pod was deleted, and the cluster refuses to start it again as Job {name}: {why}"
    return Judgement(Verdict.DRIVER_LOST, text, scene.observed.driver)


def lacks_evidence(scene: Scene) -> bool:
    """Whether the Job has failed for a while and the pods have not been listed since."""
    job = scene.observed.job
    if job is None or job.phase is not JobPhase.FAILED:
        return False
    failed_at = scene.since["job failed", job.uid]
    return scene.now - failed_at >= POD_PATIENCE_SECONDS and scene.state.listed_at < failed_at


def _taken_away(ending: Ending) -> bool:
    """Whether the pod did not end by itself, so that another one may have come after it."""
    return ending.kind in (EndKind.DISRUPTED, EndKind.DELETED)


def _lost_text(job: JobState, driver: DriverPod | None) -> str:
    who = f"driver pod {driver.name}" if driver else "the driver pod"
    why = f" (the Job failed: {job.reason}: {job.message})" if job.reason else ""
    return f"{who} is gone and left no exit code{why}"


def _of_ending(driver: DriverPod, ending: Ending, *, stop: bool = False) -> Judgement:
    verdicts = {
        EndKind.OUT_OF_MEMORY: Verdict.DRIVER_OUT_OF_MEMORY,
        EndKind.HEAP_EXHAUSTED: Verdict.DRIVER_OUT_OF_MEMORY,
        EndKind.NEVER_STARTED: Verdict.DRIVER_START_FAILED,
        EndKind.ERROR: Verdict.DRIVER_FAILED,
        EndKind.MAYBE_OUT_OF_MEMORY: Verdict.DRIVER_FAILED,
    }
    verdict = verdicts.get(ending.kind, Verdict.DRIVER_LOST)
    return Judgement(verdict, f"driver pod {driver.name}: {ending.text}", driver, ending, stop=stop)


def _timed_out(scene: Scene) -> Judgement | None:
    if scene.overdue_seconds < 0:
        return None
    text = "the task's execution_timeout passed before the driver ended; the Job is removed"
    return Judgement(Verdict.TIMED_OUT, text, scene.observed.driver, remove=True)


def _driver_ended(scene: Scene) -> Judgement | None:
    """A driver that failed by itself without the Job controller having noticed for too long."""
    driver = scene.observed.driver
    if driver is None or not isinstance(driver.state, Failed) or may_restart(scene):
        return None
    ending = driver.state.ending
    if _taken_away(ending) or scene.age("driver ended", driver.uid) < JOB_PATIENCE_SECONDS:
        return None
    return _of_ending(driver, ending, stop=True)


def _disrupted_too_often(scene: Scene) -> Judgement | None:
    settings, driver = scene.desired.settings, scene.observed.driver
    if settings is None or driver is None:
        return None
    used, limit = restarts(scene.observed), settings.max_driver_restarts
    disrupted = isinstance(driver.state, Failed) and driver.state.ending.kind is EndKind.DISRUPTED
    if used < limit or (used == limit and not disrupted):
        return None
    remedy = f"max_driver_restarts is {limit}"
    for_memory = eviction_text(scene.observed, used + disrupted)
    if for_memory is not None:
        return Judgement(Verdict.DRIVER_OUT_OF_MEMORY, f"{for_memory}; {remedy}", driver, stop=True)
    why = f" ({driver.state.ending.text})" if isinstance(driver.state, Failed) else ""
    text = f"the cluster took the driver away {used + disrupted} times, last pod {driver.name}{why}"
    return Judgement(Verdict.DRIVER_LOST, f"{text}; {remedy}", driver, stop=True)


def _running_view(scene: Scene) -> tuple[DriverPod, SparkView] | None:
    driver = scene.observed.driver
    if driver is None or not isinstance(driver.state, Running):
        return None
    return driver, scene.observed.spark_of(driver)


def _other_version(scene: Scene) -> Judgement | None:
    running, settings = _running_view(scene), scene.desired.settings
    if running is None or settings is None or running[1].version is None:
        return None
    driver, spark = running
    numbers = tuple(int(number) for number in re.findall(r"\d+", spark.version or "")[:3])
    if not numbers or numbers == settings.spark_version[: len(numbers)]:
        return None
    wanted = ".".join(map(str, settings.spark_version))
    text = (
        f"the driver runs Spark {spark.version}, but the task says {wanted}; correct spark_version or image"
    )
    return Judgement(Verdict.SPARK_VERSION_MISMATCH, text, driver, stop=True)


def _took_over(scene: Scene) -> Judgement | None:
    """
    The application's own code has chosen another master or its own number of executors.

    Source: org.apache.spark.SparkConf (values set in code win over those of spark-submit).
    """
    running = _running_view(scene)
    if running is None:
        return None
    driver, spark = running
    if spark.master is not None and not spark.master.startswith("k8s:"):
        what = f"spark.master to {spark.master}"
    elif spark.instances not in (None, "0"):
        what = f"spark.executor.instances to {spark.instances}"
    elif spark.application_id is not None and spark.master is not None:
        what = f"spark.app.id to {spark.application_id}"
    else:
        return None
    text = (
        f"the application's code sets {what}, so the executors of this task cannot join its driver; "
        "remove it from the code and set conf of the task instead"
    )
    return Judgement(Verdict.DRIVER_TOOK_OVER, text, driver, stop=True)


def _settings_missing(scene: Scene) -> Judgement | None:
    if scene.age("settings") < SETTINGS_PATIENCE_SECONDS:
        return None
    name = config_map_name(scene.desired.reference.application)
    text = f"ConfigMap {name} cannot be used: {scene.observed.settings_problem}; no executor can be created"
    return Judgement(Verdict.DRIVER_START_FAILED, text, scene.observed.driver, stop=True)
