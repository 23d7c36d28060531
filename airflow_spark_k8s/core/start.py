"""Whether an application will never start: what is hopeless ends it, everything else waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from airflow_spark_k8s.core.cause import HOPELESS_CAUSES, Cause
from airflow_spark_k8s.core.event_reads import asking_key
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.pod_state import Pending, PodState, Running
from airflow_spark_k8s.core.snapshot import DriverPod
from airflow_spark_k8s.core.state import CREATE, Key, Scene
from airflow_spark_k8s.core.verdict import Judgement
from airflow_spark_k8s.core.waiting import (
    PULL_REASONS,
    Wait,
    create_wait,
    job_wait,
    lacks_driver,
    none_ever_ran,
    start_wait,
    wait_of,
)

HOPELESS_SECONDS = {
    "ErrImageNeverPull": 10.0,
    "InvalidImageName": 10.0,
    "CreateContainerConfigError": 60.0,
    "CreateContainerError": 120.0,
    "RunContainerError": 120.0,
    **dict.fromkeys(PULL_REASONS, 300.0),
}
"""Reasons for which a container waits -> seconds after which it is not going to start."""

MISSING_SECONDS = 120.0
"""How long a Secret or ConfigMap that a volume names may be missing."""

REFUSED_SECONDS = 60.0
"""How long pods may be refused: somebody may be about to repair a webhook or grant a right."""


def start_conditions(scene: Scene, fleet: Fleet | None) -> set[Key]:
    """Conditions whose age decides whether something will never start."""
    keys: set[Key] = set()
    driver = scene.observed.driver
    if driver is not None and isinstance(driver.state, Pending) and driver.state.reason is not None:
        keys.add(_waiting_key(driver.uid, driver.state.reason))
    refused = job_wait(scene) if lacks_driver(scene) else None
    if refused is not None and refused.cause in HOPELESS_CAUSES:
        keys.add(_REFUSED)
    if fleet is not None and _is_without_executors(fleet):
        wait = create_wait(scene)
        if wait is not None and wait.cause in HOPELESS_CAUSES and not fleet.pods:
            keys.add(_executors_key(fleet, "refused"))
        if _hopeless_seconds(fleet) is not None:
            keys.add(_executors_key(fleet, "waiting"))
    return keys


def start_failure(scene: Scene, fleet: Fleet | None) -> Judgement | None:
    """The verdict on an application whose driver, or whose every executor, will never start."""
    rules: tuple[Callable[[Scene, Fleet | None], Judgement | None], ...] = (
        _driver_waits,
        _driver_misses,
        _driver_refused,
        _executors_wait,
        _executors_refused,
    )
    for rule in rules:
        judgement = rule(scene, fleet)
        if judgement is not None:
            return judgement
    return None


def start_due(scene: Scene, fleet: Fleet | None) -> float | None:
    """When `start_failure` may say something although nothing happens."""
    return min((moment for moment in _moments(scene, fleet) if moment > scene.now), default=None)


def is_start_doubtful(scene: Scene, fleet: Fleet | None) -> bool:
    """
    Whether something has waited for too long, as far as the watch tells: the pods are to be listed.

    The watch may be silent, or the API server away, and a pod have started in the meantime.
    """
    return any(scene.state.listed_at < moment <= scene.now for moment in _moments(scene, fleet))


def _moments(scene: Scene, fleet: Fleet | None) -> Iterator[float]:
    """When what waits will have waited for too long, or has."""
    driver = scene.observed.driver
    limits: list[tuple[Key, float]] = [(_REFUSED, REFUSED_SECONDS)]
    if driver is not None:
        limits += [(_waiting_key(driver.uid, reason), limit) for reason, limit in HOPELESS_SECONDS.items()]
    if fleet is not None:
        limits.append((_executors_key(fleet, "refused"), REFUSED_SECONDS))
        limits.append((_executors_key(fleet, "waiting"), _hopeless_seconds(fleet) or 0.0))
    yield from (scene.since[key] + limit for key, limit in limits if key in scene.since)


def _has_lasted(scene: Scene, seconds: float, key: Key) -> bool:
    """Whether a condition has held that long, and did so still when the pods were listed after that."""
    return key in scene.since and scene.state.listed_at >= scene.since[key] + seconds


def with_cause(scene: Scene, fleet: Fleet | None, judgement: Judgement) -> Judgement:
    """The judgement; one that the time is up also says what had not started by then, and why."""
    if judgement.verdict is not Verdict.TIMED_OUT:
        return judgement
    found = start_wait(scene, fleet)
    if found is None:
        return judgement
    who, wait = found
    return replace(judgement, message=f"{judgement.message}; {who}: {wait.text}", cause=wait.cause)


_REFUSED: Key = ("driver refused",)


def _waiting_key(uid: str, reason: str) -> Key:
    return ("waiting", uid, "pull" if reason in PULL_REASONS else reason)


def _executors_key(fleet: Fleet, what: str) -> Key:
    return ("executors", fleet.driver.uid, what)


def _driver_waits(scene: Scene, fleet: Fleet | None) -> Judgement | None:
    driver = scene.observed.driver
    wait = None if driver is None else wait_of(scene, driver)
    if driver is None or wait is None:
        return None
    limit, key = HOPELESS_SECONDS.get(wait.reason), _waiting_key(driver.uid, wait.reason)
    if limit is None or not _has_lasted(scene, limit, key):
        return None
    return _cannot_start(driver, wait)


def _driver_misses(scene: Scene, fleet: Fleet | None) -> Judgement | None:
    """
    A volume of the driver's pod names a Secret or ConfigMap that is not there.

    Only events say so, and they must have been read after that long.
    """
    driver = scene.observed.driver
    wait = None if driver is None else wait_of(scene, driver)
    if driver is None or wait is None or wait.reason in HOPELESS_SECONDS:
        return None
    since = scene.since.get(asking_key(driver.uid, "silent"))
    if wait.cause is not Cause.CONFIGURATION or since is None:
        return None
    if scene.observed.accounts[driver.uid].read_at < since + MISSING_SECONDS:
        return None
    return _cannot_start(driver, wait)


def _cannot_start(driver: DriverPod, wait: Wait) -> Judgement:
    text = f"driver pod {driver.name} cannot start: {wait.text}"
    return Judgement(Verdict.DRIVER_START_FAILED, text, driver, stop=True, cause=wait.cause)


def _driver_refused(scene: Scene, fleet: Fleet | None) -> Judgement | None:
    job, wait = scene.observed.job, job_wait(scene)
    if job is None or wait is None or not _has_lasted(scene, REFUSED_SECONDS, _REFUSED):
        return None
    if scene.observed.accounts[job.uid].read_at < scene.since[_REFUSED] + REFUSED_SECONDS:
        return None
    text = f"the driver's pod cannot be created: {wait.message}"
    return Judgement(Verdict.DRIVER_START_FAILED, text, scene.observed.driver, stop=True, cause=wait.cause)


def _executors_wait(scene: Scene, fleet: Fleet | None) -> Judgement | None:
    limit = None if fleet is None else _hopeless_seconds(fleet)
    if fleet is None or limit is None or not _has_lasted(scene, limit, _executors_key(fleet, "waiting")):
        return None
    first = fleet.pods[min(fleet.pending)]
    wait = wait_of(scene, first) or Wait("", "")
    text = f"no executor can start: executor {first.executor_id}: {wait.text}"
    return _no_executor(fleet, text, wait)


def _executors_refused(scene: Scene, fleet: Fleet | None) -> Judgement | None:
    """They have been refused that long, and still were at the last attempt: that may be a while ago."""
    wait = create_wait(scene)
    if fleet is None or wait is None:
        return None
    key = _executors_key(fleet, "refused")
    if not _has_lasted(scene, REFUSED_SECONDS, key):
        return None
    if scene.state.troubles[CREATE].at < scene.since[key] + REFUSED_SECONDS:
        return None
    return _no_executor(fleet, f"no executor can be created: {wait.message}", wait)


def _no_executor(fleet: Fleet, text: str, wait: Wait) -> Judgement:
    return Judgement(Verdict.EXECUTOR_START_FAILED, text, fleet.driver, stop=True, cause=wait.cause)


def _is_without_executors(fleet: Fleet) -> bool:
    return isinstance(fleet.driver.state, Running) and none_ever_ran(fleet)


def _hopeless_seconds(fleet: Fleet) -> float | None:
    """How long pending executors that all wait without hope may do so; None if others wait, or none."""
    if not fleet.pending or not _is_without_executors(fleet):
        return None
    limits = [_limit(fleet.pods[number].state) for number in fleet.pending]
    known = [limit for limit in limits if limit is not None]
    return max(known) if len(known) == len(limits) else None


def _limit(state: PodState) -> float | None:
    return HOPELESS_SECONDS.get(state.reason or "") if isinstance(state, Pending) else None
