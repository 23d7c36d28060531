"""Whether a driver can take executors: not before it listens, and not any more once it stops."""

from __future__ import annotations

from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.pod_state import Running
from airflow_spark_k8s.core.snapshot import DriverPod, Reach
from airflow_spark_k8s.core.state import Key, Scene

READY_MARGIN_SECONDS = 10.0
"""The RPC port of a driver is open some seconds before its scheduler is there."""

SILENT_MARGIN_SECONDS = 60.0
"""A driver whose RPC port has been open for this long has a REST API by now, or never will."""


def driver_conditions(fleet: Fleet) -> set[Key]:
    """Conditions of a driver whose age decides whether it can take executors."""
    driver, reach = fleet.driver, fleet.spark.reach
    keys: set[Key] = {("ended", driver.uid, _ended(fleet)), ("reach", driver.uid, reach.value)}
    return keys | ({("ready", driver.uid)} if driver.ready else set())


def open_key(driver: DriverPod) -> Key:
    """The condition that executors may be created for this driver."""
    return ("open", driver.uid)


def is_open(scene: Scene, driver: DriverPod) -> bool:
    """
    Whether `driver` has come so far that executors may be created for it.

    An open port is too early a sign: the application must be visible in the REST API. Where that cannot
    be asked, or stays silent, the readiness of the driver pod plus a margin has to do.
    """
    if driver.deleting or not driver.ip or not isinstance(driver.state, Running):
        return False
    ready_seconds = scene.age("ready", driver.uid)
    unknown_seconds = scene.age("reach", driver.uid, Reach.UNKNOWN.value)
    return (
        driver.marks.reserved > 0
        or scene.observed.spark_of(driver).reach is Reach.YES
        or min(unknown_seconds, ready_seconds) >= READY_MARGIN_SECONDS
        or ready_seconds >= SILENT_MARGIN_SECONDS
    )


def still_wants(scene: Scene, fleet: Fleet) -> bool:
    """
    Whether executors that are over are to be replaced, not the sign of an application that comes to its end.

    A driver that stops closes its REST API, sends its executors home, closes its RPC port and ends, in
    this order; it has to prove after an executor's end that it goes on.

    Source: org.apache.spark.SparkContext.stop
    """
    if _ended(fleet) == 0:
        return True
    spark = fleet.spark
    if spark.reach is Reach.YES:
        return spark.asked_at >= last_end(scene, fleet)
    if not fleet.driver.ready:
        return False
    margin = READY_MARGIN_SECONDS if spark.reach is Reach.UNKNOWN else SILENT_MARGIN_SECONDS
    silent_seconds = scene.age("reach", fleet.driver.uid, spark.reach.value)
    return min(scene.now - last_end(scene, fleet), silent_seconds) >= margin


def last_end(scene: Scene, fleet: Fleet) -> float:
    """When this controller noticed the last end of an executor, or the driver if there was none."""
    return scene.since["ended", fleet.driver.uid, _ended(fleet)]


def gate_due(scene: Scene, driver: DriverPod) -> float | None:
    """When the gate may open although nothing happens; None if time alone does not do it."""
    moments = [
        scene.due(seconds, *key)
        for key in scene.since
        if key[0] in ("ended", "ready", "reach") and key[1] == driver.uid
        for seconds in (READY_MARGIN_SECONDS, SILENT_MARGIN_SECONDS)
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def _ended(fleet: Fleet) -> int:
    """How many executors of the driver are known to be over."""
    history = fleet.driver.history
    seen = {pod.executor_id for pod in (*fleet.ended, *fleet.vanished)}
    return len(history.entries.keys() | seen) + sum(history.forgotten.values())
