"""When to read the events of what does not start: seldom, since they are expensive to look up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from airflow_spark_k8s.core.actions import ReadEvents
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.pod_state import Pending
from airflow_spark_k8s.core.state import Key, Scene
from airflow_spark_k8s.core.waiting import SILENT_REASONS, UNSCHEDULABLE, lacks_answer, lacks_driver

LONGEST_PAUSE_SECONDS = 300.0

_FIRST_SECONDS = {"silent": 15.0, "unschedulable": 20.0, "pull": 5.0, "no pod": 5.0}
"""What is asked about -> seconds for which it must have lasted before events are read."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What to read now, and when to look again."""

    questions: tuple[ReadEvents, ...] = ()
    due: float | None = None  # None: nothing is to be read later


@dataclass(frozen=True, slots=True)
class _Subject:
    """Something whose events may say why it waits."""

    kind: Literal["Pod", "Job"]
    name: str
    uid: str
    why: str  # key of _FIRST_SECONDS

    @property
    def key(self) -> Key:
        """The condition that it waits."""
        return asking_key(self.uid, self.why)


def asking_key(uid: str, why: str) -> Key:
    """The condition that an object's events may say more than its status."""
    return ("asking", uid, why)


def asking_conditions(scene: Scene, fleet: Fleet | None) -> set[Key]:
    """Conditions whose age decides when events are read."""
    return {subject.key for subject in _subjects(scene, fleet)}


def event_reads(scene: Scene, fleet: Fleet | None) -> Reads:
    """
    The events to read at this look.

    Of all executors that wait for the same thing only the first is asked about. The pause after the first
    reading doubles, up to 5 min; without the right to read events it is 5 min from the start.
    """
    moments = [(subject, _moment(scene, subject)) for subject in _subjects(scene, fleet)]
    now = [subject for subject, moment in moments if moment <= scene.now]
    return Reads(
        tuple(ReadEvents(subject.name, subject.kind, subject.uid) for subject in now),
        min((moment for _, moment in moments if moment > scene.now), default=None),
    )


def _moment(scene: Scene, subject: _Subject) -> float:
    since, first = scene.since[subject.key], _FIRST_SECONDS[subject.why]
    account = scene.observed.accounts.get(subject.uid)
    if account is None or account.asked_at < since:
        return since + first
    if scene.observed.events_refused is not None:
        return account.asked_at + LONGEST_PAUSE_SECONDS
    return account.asked_at + min(max(first, account.asked_at - since), LONGEST_PAUSE_SECONDS)


def _subjects(scene: Scene, fleet: Fleet | None) -> Iterator[_Subject]:
    job, driver = scene.observed.job, scene.observed.driver
    if job is not None and job.phase is JobPhase.ACTIVE and not job.deleting and lacks_driver(scene):
        yield _Subject("Job", job.name, job.uid, "no pod")
    if driver is not None and isinstance(driver.state, Pending):
        why = _why(driver.state)
        if why is not None:
            yield _Subject("Pod", driver.name, driver.uid, why)
    if fleet is not None:
        yield from _executors(fleet)


def _executors(fleet: Fleet) -> Iterator[_Subject]:
    asked: set[str] = set()
    for number in sorted(fleet.pending):
        pod = fleet.pods[number]
        why = _why(pod.state) if isinstance(pod.state, Pending) else None
        if why is not None and why not in asked:
            asked.add(why)
            yield _Subject("Pod", pod.name, pod.uid, why)


def _why(state: Pending) -> str | None:
    if state.reason in SILENT_REASONS:
        return "silent"
    if state.reason == UNSCHEDULABLE:
        return "unschedulable"
    return "pull" if lacks_answer(state) else None
