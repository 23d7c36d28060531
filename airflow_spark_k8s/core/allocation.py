"""How many executors to ask for, and when: rounds, limits and pauses of Spark's own allocator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from airflow_spark_k8s.core.actions import CreateExecutor, FindExecutor
from airflow_spark_k8s.core.backoff import doubling
from airflow_spark_k8s.core.cleanup import EARLY_WINDOW_SECONDS, START_SECONDS
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.fleet import Fleet, holds, unseen_key
from airflow_spark_k8s.core.gate import last_end, open_key, still_wants
from airflow_spark_k8s.core.history import History
from airflow_spark_k8s.core.recovery import Recovery
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.state import CREATE, Scene

CLAIM_SECONDS = 5.0
"""How long after their ids were claimed pods are created; later the claim is renewed first."""

CREATE_TIMEOUT_SECONDS = 10.0
"""Longest time of one creation: a pod may appear this long after the claim has run out."""

PATIENCE_SECONDS = 20.0
"""A pod not seen for this long is asked for by name: by then it was created or never will be."""

EARLY_PAUSE_SECONDS = 5.0
"""Pause after an executor that found no driver listening."""

FIRST_START_PAUSE_SECONDS = 1.0
LONGEST_START_PAUSE_SECONDS = 300.0
"""Pause between rounds while executors fail to start again and again."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """What to do about executors now."""

    marks: IdMarks | None = None  # to be written; None: leave them
    first_new: int | None = None  # lowest id that they reserve; None: they reserve none
    creations: tuple[CreateExecutor, ...] = ()
    searches: tuple[FindExecutor, ...] = ()
    due: float | None = None  # look again then, even if nothing happens; None: no need


def allocate(
    scene: Scene,
    fleet: Fleet,
    allocation: AllocationSettings,
    known: History,
    recovery: Recovery | None = None,
) -> Allocation:
    """
    The next step towards the target: create reserved pods, look for unseen ones, or reserve a new round.

    :param known: the driver's history with what this look adds to it.
    :param recovery: what follows from executors that ran out of memory; None if recovery is off.

    Source: org.apache.spark.scheduler.cluster.k8s.ExecutorPodsAllocator.onNewSnapshots
    """
    searches, search_due = _searches(scene, fleet)
    if fleet.owed:
        step = _pay(scene, fleet, sizes_of(fleet, recovery))
    else:
        step = _advance(scene, fleet, _worthwhile(allocation, recovery), known)
    due = _earlier(_earlier(step.due, search_due), _recovery_due(scene, recovery))
    return replace(step, searches=searches, due=due)


def sizes_of(fleet: Fleet, recovery: Recovery | None) -> Mapping[int, Size | None]:
    """
    The size of every id that is spoken for and whose pod is not in sight; None: what the task says.

    It follows from what can be seen, so that it stays the same until the pod is there.
    """
    if recovery is None:
        return dict.fromkeys(fleet.outstanding)
    live = [fleet.pods[number].size for number in fleet.pending | fleet.running]
    return recovery.sizes(live, fleet.outstanding)


def _worthwhile(allocation: AllocationSettings, recovery: Recovery | None) -> AllocationSettings:
    if recovery is None:
        return allocation
    return replace(allocation, target=recovery.target(allocation.target))


def _advance(scene: Scene, fleet: Fleet, allocation: AllocationSettings, known: History) -> Allocation:
    size, due = _next_round(scene, fleet, allocation, known)
    if size == 0:
        full = fleet.alive >= allocation.target
        return Allocation(_settled(scene, fleet, even_without_need=full), due=due)
    marks = fleet.marks
    raised = IdMarks(marks.reserved + size, marks.reserved, next_holder(scene))
    return Allocation(raised, first_new=marks.reserved + 1)


def _recovery_due(scene: Scene, recovery: Recovery | None) -> float | None:
    moment = None if recovery is None else recovery.due_epoch_seconds
    return None if moment is None else scene.moment_of(moment)


def _earlier(one: float | None, other: float | None) -> float | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def next_holder(scene: Scene) -> str:
    """The name this controller writes on the marks next; no two writes share one."""
    return f"{scene.state.holder}-{scene.state.claims + 1}"


def _pay(scene: Scene, fleet: Fleet, sizes: Mapping[int, Size | None]) -> Allocation:
    """
    Create the pods of reserved ids that certainly have none yet, under a claim that is fresh.

    Owed ids that may have been created, by this controller or another one, are left alone until it is known.
    """
    claim, marks = scene.state.claim, fleet.marks
    if claim is None or not holds(scene, fleet):
        return Allocation()
    creatable, backoff = fleet.owed & scene.state.free, scene.state.backoff(CREATE)
    if not creatable or not backoff.open(scene.now):
        return Allocation(_settled(scene, fleet), due=backoff.until if creatable else None)
    if scene.now < claim.at + CLAIM_SECONDS:
        return Allocation(creations=_creations(fleet, creatable, claim.at + CLAIM_SECONDS, sizes))
    return Allocation(IdMarks(marks.reserved, marks.settled, next_holder(scene)))


def _searches(scene: Scene, fleet: Fleet) -> tuple[tuple[FindExecutor, ...], float | None]:
    """Ids to ask for by name because their pods should have been seen by now, and when to look again."""
    free = scene.state.free if holds(scene, fleet) else frozenset()
    times = {number: _search_time(scene, fleet, number) for number in fleet.outstanding - free}
    driver = fleet.driver
    searches = [
        FindExecutor(number, driver.name, driver.uid)
        for number, moment in sorted(times.items())
        if moment <= scene.now
    ]
    return tuple(searches), min((moment for moment in times.values() if moment > scene.now), default=None)


def _search_time(scene: Scene, fleet: Fleet, number: int) -> float:
    first = scene.since[unseen_key(scene, fleet, number)]
    return max(first, scene.state.looked.get(number, first)) + PATIENCE_SECONDS


def _creations(
    fleet: Fleet, numbers: Iterable[int], not_after: float, sizes: Mapping[int, Size | None]
) -> tuple[CreateExecutor, ...]:
    driver = fleet.driver
    return tuple(
        CreateExecutor(number, driver.name, driver.uid, driver.ip, not_after, sizes[number])
        for number in sorted(numbers)
    )


def _next_round(
    scene: Scene, fleet: Fleet, allocation: AllocationSettings, known: History
) -> tuple[int, float | None]:
    """Size of a round to begin now, 0 for none, and when to look again if time alone may change that."""
    wanted = allocation.target - fleet.alive
    slots = allocation.max_pending_pods - len(fleet.pending)
    size = min(wanted, slots, allocation.batch_size)
    if size <= 0 or fleet.outstanding or not still_wants(scene, fleet):
        return 0, _forgetting_due(scene, allocation)
    earliest = max(
        scene.since[("reserved", fleet.driver.uid, fleet.marks.reserved)] + allocation.batch_delay_seconds
        if fleet.marks.reserved
        else scene.now,
        scene.state.backoff(CREATE).until,
        scene.now + pause_after_failures(scene, fleet, allocation, known),
    )
    return (size, None) if earliest <= scene.now else (0, earliest)


def _forgetting_due(scene: Scene, allocation: AllocationSettings) -> float | None:
    oldest = min(scene.state.requested.values(), default=None)
    return None if oldest is None else oldest + allocation.request_timeout_seconds


def _settled(scene: Scene, fleet: Fleet, *, even_without_need: bool = False) -> IdMarks | None:
    """
    Marks that call as many ids settled as are, if there is a reason to write them before the next round does.

    The pod of an id that is not settled cannot be deleted; and a controller that comes after this one would
    look for ids that are not settled one by one.
    """
    marks = fleet.marks
    highest = min(fleet.owed, default=marks.reserved + 1) - 1
    if highest <= marks.settled and marks.reserved == fleet.driver.marks.reserved:
        return None
    deletable = fleet.driver.history.entries.keys() & fleet.pods.keys()
    if not even_without_need and not any(marks.settled < number <= highest for number in deletable):
        return None
    return IdMarks(marks.reserved, max(highest, marks.settled), next_holder(scene))


def pause_after_failures(scene: Scene, fleet: Fleet, allocation: AllocationSettings, known: History) -> float:
    """
    Seconds to wait before the next round because executors failed to start, 0 if none did.

    It doubles with every round that brought nothing but such failures, so that a broken image does not burn
    pods for ever; one executor that works ends it.
    """
    entries = known.entries.values()
    proofs = [entry.executor_id for entry in entries if not (entry.start_failure or entry.too_early)]
    working = fleet.registered if fleet.registered is not None else _running_for_long(scene, fleet)
    latest_proof = max([*proofs, *working], default=0)
    failures = [entry for entry in entries if entry.start_failure and entry.executor_id > latest_proof]
    rounds = math.ceil(len(failures) / min(allocation.target, allocation.batch_size))
    pause = doubling(FIRST_START_PAUSE_SECONDS, rounds, LONGEST_START_PAUSE_SECONDS)
    ends = [(entry, pause) for entry in failures]
    if 0 <= scene.age(*open_key(fleet.driver)) < EARLY_WINDOW_SECONDS:
        ends += [(entry, EARLY_PAUSE_SECONDS) for entry in entries if entry.too_early]
    # The clock of the controller that wrote an entry may be ahead of this one's.
    latest = last_end(scene, fleet)
    waits = [min(scene.moment_of(entry.at_epoch_seconds), latest) + wait - scene.now for entry, wait in ends]
    return max(waits, default=0.0)


def _running_for_long(scene: Scene, fleet: Fleet) -> list[int]:
    return [
        number for number in fleet.running if scene.age("running", fleet.pods[number].uid) >= START_SECONDS
    ]
