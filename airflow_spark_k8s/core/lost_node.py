"""A driver on a node that does not answer: what to say, and when its pod may be removed by force."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_spark_k8s.core.actions import RemoveByForce
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.restart import DELETE_AGAIN_SECONDS, restarts
from airflow_spark_k8s.core.settings import FORCE
from airflow_spark_k8s.core.snapshot import DriverPod, Observed
from airflow_spark_k8s.core.state import DELETE, Key, Scene

LATE_SECONDS = 15.0
"""A kubelet that answers reports a pod's end at most this long after the pod's grace period."""

TELL_SECONDS = 50.0
"""How long after its removal began a driver on a silent node is reported, whatever its grace period."""

FORCE_SECONDS = 30.0
"""How long after its grace period the pod is removed by force, if that is wanted."""

TAINT_MANAGER = "DeletionByTaintManager"
"""Why Kubernetes removes the pods of a node that has been silent for some minutes."""


def lost_node_conditions(observed: Observed) -> set[Key]:
    """Conditions whose age decides what is said and done about a driver on a silent node."""
    driver = observed.driver
    return set() if driver is None or driver.ended or not driver.deleting else {_leaving_key(driver)}


def removals_by_force(scene: Scene) -> Iterator[RemoveByForce]:
    """
    The removal by force of a driver pod whose end is not confirmed, so that its Job starts another one.

    Only if that is wanted, another driver is allowed, and the node is known to be silent: the driver may go
    on running there.
    """
    driver, job, settings = scene.observed.driver, scene.observed.job, scene.desired.settings
    if driver is None or job is None or settings is None or settings.on_lost_node != FORCE:
        return
    if job.phase is not JobPhase.ACTIVE or restarts(scene.observed) >= settings.max_driver_restarts:
        return
    asked = scene.state.deleted.get(driver.uid, -DELETE_AGAIN_SECONDS)
    if not scene.state.backoff(DELETE).open(scene.now) or scene.now - asked < DELETE_AGAIN_SECONDS:
        return
    if _is_silent(driver) and _left_for(scene, driver) >= driver.leaving_seconds + FORCE_SECONDS:
        yield RemoveByForce(driver.name, driver.uid)


def lost_node_due(scene: Scene) -> float | None:
    """When more is to be said or done although nothing happens; None: time alone does not do it."""
    driver = scene.observed.driver
    if driver is None or _leaving_key(driver) not in scene.since:
        return None
    grace = driver.leaving_seconds
    waits = (min(grace + LATE_SECONDS, TELL_SECONDS), grace + LATE_SECONDS, grace + FORCE_SECONDS)
    moments = [scene.due(seconds, *_leaving_key(driver)) for seconds in waits]
    asked = scene.state.deleted.get(driver.uid)
    moments.append(None if asked is None else asked + DELETE_AGAIN_SECONDS)
    return min((moment for moment in moments if moment is not None and moment > scene.now), default=None)


def lost_node_text(scene: Scene) -> str | None:
    """What to say about a driver whose node does not answer; None: as far as can be seen, it answers."""
    driver = scene.observed.driver
    if driver is None or driver.ended or driver.node is None:
        return None
    who = f"driver pod {driver.name}"
    if not driver.deleting:
        return _silent_text(who, driver.node) if driver.node_silent else None
    late = driver.leaving_seconds + LATE_SECONDS
    if _left_for(scene, driver) < (min(late, TELL_SECONDS) if _is_silent(driver) else late):
        return None
    why = driver.disruption or "deleted"
    return (
        f"{who} has been told to end ({why}) and has not: its node {driver.node} does not answer, so nobody "
        "knows whether the driver still runs, and Kubernetes does not start another one. The task waits, "
        "at most until its deadline, for the node to come back, for its Node object to be deleted, or for "
        f"the taint node.kubernetes.io/out-of-service=nodeshutdown:NoExecute on it; {_force(scene)}"
    )


def _silent_text(who: str, node: str) -> str:
    return (
        f"{who}: its node {node} does not answer, and nobody knows whether the driver still runs. If it "
        "stays silent, Kubernetes asks for the pod's removal, after 5 minutes unless the pod tolerates less"
    )


def _force(scene: Scene) -> str:
    settings = scene.desired.settings
    if settings is None or settings.on_lost_node != FORCE:
        return 'on_lost_node="force" would remove the pod by force'
    if restarts(scene.observed) >= settings.max_driver_restarts:
        return f"it is not removed by force, since max_driver_restarts is {settings.max_driver_restarts}"
    return 'it is removed by force, since on_lost_node is "force": two drivers may run for a while'


def _leaving_key(driver: DriverPod) -> Key:
    return ("driver leaving", driver.uid)


def _left_for(scene: Scene, driver: DriverPod) -> float:
    return scene.age(*_leaving_key(driver))


def _is_silent(driver: DriverPod) -> bool:
    """
    Whether Kubernetes itself considers the node silent.

    A taint that somebody puts on a node that answers removes pods as well, which stay ready until they end.
    """
    return driver.node_silent or (driver.disruption == TAINT_MANAGER and not driver.ready)
