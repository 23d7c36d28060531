"""The executors of the driver that counts, told apart as Spark's allocator tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.pod_state import Pending, Running
from airflow_spark_k8s.core.snapshot import DriverPod, ExecutorPod, Reach, SparkView
from airflow_spark_k8s.core.state import Key, Scene

LEAVING_MARGIN_SECONDS = 30.0
"""After its grace period a pod that is being deleted may take this long; then its node is taken for dead."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """
    Executors of one driver.

    Spark's words: *requested* pods have been asked for and not been seen; *pending* ones are there and do not
    run; *registered* ones are known to the driver. *Owed* ids are reserved, and whether their pods have been
    created is not known, or that they have not been is.
    """

    driver: DriverPod
    marks: IdMarks
    pods: Mapping[int, ExecutorPod]  # seen now
    spark: SparkView
    requested: frozenset[int]
    owed: frozenset[int]
    pending: frozenset[int]
    running: frozenset[int]
    ended: tuple[ExecutorPod, ...]
    vanished: tuple[ExecutorPod, ...]  # seen before, not any more, and not remembered as ended
    abandoned: frozenset[int]  # being deleted for too long: they count no more

    @property
    def outstanding(self) -> frozenset[int]:
        """Ids spoken for whose pods have not been seen yet."""
        return self.requested | self.owed

    @property
    def alive(self) -> int:
        """Executors that count towards the target."""
        return len(self.outstanding) + len(self.pending) + len(self.running)

    @property
    def registered(self) -> frozenset[int] | None:
        """Ids that the driver knows as active; None if it cannot be asked."""
        if self.spark.reach is not Reach.YES:
            return None
        return frozenset(number for number, executor in self.spark.executors.items() if executor.active)


def fleet_of(scene: Scene, driver: DriverPod) -> Fleet:
    """The executors of `driver` as they are seen now."""
    pods = scene.observed.executors_of(driver)
    spark = scene.observed.spark_of(driver)
    last = last_seen(scene, driver)
    asked = _still_requested(scene, driver)
    absent = still_absent(scene, driver)
    # The driver may be ahead of the watch: it proves that an id was used, not that its pod was seen.
    seen = pods.keys() | last.keys() | driver.history.entries.keys()
    active = {number for number, executor in spark.executors.items() if executor.active}
    known = seen | spark.executors.keys() | asked
    marks = driver.marks.covering(max(known, default=0))
    abandoned = frozenset(number for number, pod in pods.items() if _is_abandoned(scene, pod))
    live = {number: pod for number, pod in pods.items() if not pod.ended and number not in abandoned}
    pending = frozenset(number for number, pod in live.items() if isinstance(pod.state, Pending))
    gone = last.keys() - pods.keys() - driver.history.entries.keys()
    return Fleet(
        driver=driver,
        marks=marks,
        pods=pods,
        spark=spark,
        requested=frozenset((asked | active) - seen - absent),
        owed=frozenset(marks.unsettled()) - known - absent,
        pending=pending,
        running=frozenset(live) - pending,
        ended=tuple(pod for pod in pods.values() if pod.ended),
        vanished=tuple(last[number] for number in sorted(gone)),
        abandoned=abandoned,
    )


def still_absent(scene: Scene, driver: DriverPod) -> frozenset[int]:
    """
    Ids of `driver` that were asked for, were not there, and will not be there.

    Somebody else who renews the right to create pods of reserved ids may create those that were given up.
    """
    state = scene.state
    if state.driver_uid != driver.uid:
        return frozenset()
    own = state.claim is not None and state.claim.holder == driver.marks.holder
    if own or driver.marks.holder == state.seen_holder:
        return state.absent
    return frozenset(number for number in state.absent if number <= driver.marks.settled)


def last_seen(scene: Scene, driver: DriverPod) -> dict[int, ExecutorPod]:
    """Every executor pod of `driver` that this controller has seen, as it was seen last."""
    remembered = scene.state.last if scene.state.driver_uid == driver.uid else {}
    departed = {pod.executor_id: pod for pod in scene.observed.departed if pod.driver_uid == driver.uid}
    return {**remembered, **departed, **scene.observed.executors_of(driver)}


def fleet_conditions(scene: Scene, fleet: Fleet) -> set[Key]:
    """Conditions of executors whose age matters."""
    uid, marks = fleet.driver.uid, fleet.marks
    keys: set[Key] = {("reserved", uid, marks.reserved)}
    keys |= {unseen_key(scene, fleet, number) for number in fleet.outstanding}
    registered = fleet.registered
    for number in fleet.running:
        pod = fleet.pods[number]
        if registered is None:
            keys.add(("running", pod.uid))
        elif number not in registered and isinstance(pod.state, Running):
            keys.add(("unregistered", pod.uid))
    return keys | {("leaving", pod.uid) for pod in fleet.pods.values() if pod.leaving_seconds is not None}


def holds(scene: Scene, fleet: Fleet) -> bool:
    """Whether the id marks are as this controller wrote them."""
    claim = scene.state.claim
    return claim is not None and (claim.driver_uid, claim.holder) == (fleet.driver.uid, fleet.marks.holder)


def unseen_key(scene: Scene, fleet: Fleet, number: int) -> Key:
    """
    The condition that the pod of an id has not been seen.

    It begins anew when somebody else renews the right to create pods of reserved ids.
    """
    return ("unseen", fleet.driver.uid, number, "" if holds(scene, fleet) else fleet.marks.holder)


def _still_requested(scene: Scene, driver: DriverPod) -> frozenset[int]:
    """Ids that this controller has created and may still expect to see."""
    settings = scene.desired.settings
    if scene.state.driver_uid != driver.uid or settings is None:
        return frozenset()
    oldest = scene.now - settings.allocation.request_timeout_seconds
    return frozenset(number for number, at in scene.state.requested.items() if at > oldest)


def _is_abandoned(scene: Scene, pod: ExecutorPod) -> bool:
    if pod.leaving_seconds is None or pod.ended:
        return False
    return scene.age("leaving", pod.uid) > pod.leaving_seconds + LEAVING_MARGIN_SECONDS
