"""How many executors to ask for, and when: rounds, limits and pauses of Spark's own allocator."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_spark_k8s.core.actions import CreateExecutor
from airflow_spark_k8s.core.backoff import doubling
from airflow_spark_k8s.core.cleanup import EARLY_WINDOW_SECONDS, START_SECONDS, open_key
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.pod_state import Running
from airflow_spark_k8s.core.snapshot import DriverPod, Reach, SparkView
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.state import CREATE, Key, Scene

READY_MARGIN_SECONDS = 10.0
"""The driver's RPC port is open some seconds before its scheduler is there."""

SILENT_MARGIN_SECONDS = 60.0
"""A driver whose RPC port has been open for this long has a REST interface by now, or never will."""

CLAIM_SECONDS = 5.0
"""Pods are created only so long after their ids were claimed; later the claim is renewed first."""

CREATE_TIMEOUT_SECONDS = 10.0
"""Longest time of one creation: a pod may appear so long after the claim has run out."""

PATIENCE_SECONDS = 20.0
"""Owed ids of somebody else are claimed after this time: by then its creations are through or never come."""

EARLY_PAUSE_SECONDS = 5.0
"""Pause after an executor that found no driver listening."""

FIRST_START_PAUSE_SECONDS = 1.0
LONGEST_START_PAUSE_SECONDS = 300.0
"""Pause between rounds while executors fail to start again and again."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """What to do about executors now."""

    marks: IdMarks | None = None  # to be written; None: leave them
    creations: tuple[CreateExecutor, ...] = ()
    due: float | None = None  # look again then, even if nothing happens; None: no need


def is_open(scene: Scene, driver: DriverPod) -> bool:
    """
    Whether executors may be created for `driver`.

    An open port is too early a sign: the application must be visible in the REST interface. Where that cannot
    be asked, or stays silent, the readiness of the driver pod plus a margin has to do.
    """
    if driver.deleting or driver.ip is None or not isinstance(driver.state, Running):
        return False
    spark = scene.observed.spark_of(driver)
    ready_seconds = scene.age("ready", driver.uid)
    return (
        driver.marks.reserved > 0
        or spark.reach is Reach.YES
        or min(scene.age("unknown", driver.uid), ready_seconds) >= READY_MARGIN_SECONDS
        or ready_seconds >= SILENT_MARGIN_SECONDS
    )


def driver_conditions(driver: DriverPod, spark: SparkView) -> set[Key]:
    """Conditions of a driver whose age decides whether executors may be created."""
    keys: set[Key] = set()
    if driver.ready:
        keys.add(("ready", driver.uid))
    if spark.reach is Reach.UNKNOWN:
        keys.add(("unknown", driver.uid))
    return keys


def opening_due(scene: Scene, driver: DriverPod) -> float | None:
    """When `is_open` may turn true although nothing happens; None if time alone does not do it."""
    moments = [
        scene.due(READY_MARGIN_SECONDS, "ready", driver.uid),
        scene.due(READY_MARGIN_SECONDS, "unknown", driver.uid),
        scene.due(SILENT_MARGIN_SECONDS, "ready", driver.uid),
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def allocate(scene: Scene, fleet: Fleet, allocation: AllocationSettings) -> Allocation:
    """
    The next step towards the target: settle ids, claim owed ones, create their pods, or reserve a new round.

    Source: org.apache.spark.scheduler.cluster.k8s.ExecutorPodsAllocator.onNewSnapshots
    """
    if fleet.owed:
        return _pay(scene, fleet)
    size, due = _next_round(scene, fleet, allocation)
    marks = fleet.marks
    if size > 0:
        return Allocation(IdMarks(marks.reserved + size, marks.reserved, next_holder(scene)))
    return Allocation(_settled(scene, fleet, allocation), due=due)


def next_holder(scene: Scene) -> str:
    """The name this controller writes on the marks next; no two writes share one."""
    return f"{scene.state.holder}-{scene.state.claims + 1}"


def _pay(scene: Scene, fleet: Fleet) -> Allocation:
    """Create the pods of owed ids, if this controller holds a fresh claim on them; else claim them first."""
    backoff = scene.state.backoff(CREATE)
    if not backoff.open(scene.now):
        return Allocation(due=backoff.until)
    claim, marks = scene.state.claim, fleet.marks
    mine = claim is not None and (claim.driver_uid, claim.holder) == (fleet.driver.uid, marks.holder)
    if claim is not None and mine and scene.now < claim.at + CLAIM_SECONDS:
        return Allocation(creations=_creations(fleet, claim.at + CLAIM_SECONDS))
    key = ("owed", fleet.driver.uid, marks.holder, marks.settled, marks.reserved)
    if not mine and scene.age(*key) < PATIENCE_SECONDS:
        return Allocation(due=scene.due(PATIENCE_SECONDS, *key))
    return Allocation(IdMarks(marks.reserved, marks.settled, next_holder(scene)))


def _creations(fleet: Fleet, not_after: float) -> tuple[CreateExecutor, ...]:
    driver = fleet.driver
    if driver.ip is None:
        return ()
    return tuple(
        CreateExecutor(number, driver.name, driver.uid, driver.ip, not_after) for number in sorted(fleet.owed)
    )


def _next_round(scene: Scene, fleet: Fleet, allocation: AllocationSettings) -> tuple[int, float | None]:
    """Size of a round to begin now, 0 for none, and when to look again if time alone may change that."""
    wanted = allocation.target - fleet.alive
    slots = allocation.max_pending_pods - len(fleet.pending)
    size = min(wanted, slots, allocation.batch_size)
    if size <= 0 or fleet.outstanding:
        return 0, _forgetting_due(scene, allocation)
    earliest = max(
        scene.since[("reserved", fleet.driver.uid, fleet.marks.reserved)] + allocation.batch_delay_seconds
        if fleet.marks.reserved
        else scene.now,
        scene.state.backoff(CREATE).until,
        scene.now + pause_after_failures(scene, fleet, allocation),
    )
    return (size, None) if earliest <= scene.now else (0, earliest)


def _forgetting_due(scene: Scene, allocation: AllocationSettings) -> float | None:
    oldest = min(scene.state.requested.values(), default=None)
    return None if oldest is None else oldest + allocation.request_timeout_seconds


def _settled(scene: Scene, fleet: Fleet, allocation: AllocationSettings) -> IdMarks | None:
    """
    Marks that call every id settled, if there is a reason to write them before the next round does.

    A pod of an unsettled id cannot be deleted, and a controller that comes after this one would wonder.
    """
    marks = fleet.marks
    if marks == fleet.driver.marks and marks.settled == marks.reserved:
        return None
    waiting = fleet.driver.history.entries.keys() & fleet.pods.keys()
    if fleet.alive < allocation.target and not waiting:
        return None
    return IdMarks(marks.reserved, marks.reserved, next_holder(scene))


def pause_after_failures(scene: Scene, fleet: Fleet, allocation: AllocationSettings) -> float:
    """
    Seconds to wait before the next round because executors failed to start, 0 if none did.

    It doubles with every round that brought nothing but such failures, so that a broken image does not burn
    pods for ever; one executor that works ends it.
    """
    entries = fleet.driver.history.entries.values()
    proofs = [entry.executor_id for entry in entries if not (entry.start_failure or entry.too_early)]
    working = fleet.registered if fleet.registered is not None else _running_for_long(scene, fleet)
    latest_proof = max([*proofs, *working], default=0)
    failures = [entry for entry in entries if entry.start_failure and entry.executor_id > latest_proof]
    rounds = math.ceil(len(failures) / min(allocation.target, allocation.batch_size))
    pause = doubling(FIRST_START_PAUSE_SECONDS, rounds, LONGEST_START_PAUSE_SECONDS)
    waits = [entry.at_epoch_seconds + pause for entry in failures]
    if 0 <= scene.age(*open_key(fleet)) < EARLY_WINDOW_SECONDS:
        waits += [entry.at_epoch_seconds + EARLY_PAUSE_SECONDS for entry in entries if entry.too_early]
    longest = max(pause, EARLY_PAUSE_SECONDS)
    # Clocks of two machines differ: no wait is longer than the pause itself.
    return max((min(moment - scene.now, longest) for moment in waits), default=0.0)


def _running_for_long(scene: Scene, fleet: Fleet) -> list[int]:
    return [
        number for number in fleet.running if scene.age("running", fleet.pods[number].uid) >= START_SECONDS
    ]
