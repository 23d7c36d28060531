"""What is worth a line in the log: one for every change of state, none twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from airflow_spark_k8s.core.actions import Note
from airflow_spark_k8s.core.cleanup import Cleanup
from airflow_spark_k8s.core.closing import known_outcome
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.pod_state import Deleted, Failed, Pending, Succeeded
from airflow_spark_k8s.core.progress import progress
from airflow_spark_k8s.core.recovery_notes import ended_text, recovery_lines
from airflow_spark_k8s.core.restart import restart_text
from airflow_spark_k8s.core.snapshot import DriverPod, Reach, SparkView
from airflow_spark_k8s.core.state import CREATE, RESTART, Said, Scene

COUNTS_PAUSE_SECONDS = 2.0
"""The line with the executors' counts comes at most this often."""

UNKNOWN_SECONDS = 10.0
"""That the driver cannot be asked is worth a line only if it lasts: single calls time out now and then."""

REPEAT_SECONDS = 60.0
"""Trouble that lasts is repeated this often."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something that holds and should have been said."""

    topic: str
    text: str
    pause_seconds: float = 0.0  # after the last line on this topic
    repeat_seconds: float | None = None  # whatever the text; None: whenever the text changes


@dataclass(frozen=True, slots=True)
class Spoken:
    """The lines that are due, and the memory of all that were said."""

    notes: tuple[Note, ...]
    said: Mapping[str, Said]
    due: float | None  # when a line that was held back may be said


def speak(said: Mapping[str, Said], lines: Iterator[Line], now: float) -> Spoken:
    """The notes among `lines` that have not been said yet; a topic that is not among them is forgotten."""
    notes: list[Note] = []
    memory: dict[str, Said] = {}
    held: list[float] = []
    for line in lines:
        last = said.get(line.topic)
        if last is not None and not _is_news(line, last, now):
            memory[line.topic] = last
        elif last is not None and now < last.at + line.pause_seconds:
            memory[line.topic] = last
            held.append(last.at + line.pause_seconds)
        else:
            memory[line.topic] = Said(line.text, now)
            notes.append(Note(line.text))
    return Spoken(tuple(notes), memory, min(held, default=None))


def _is_news(line: Line, last: Said, now: float) -> bool:
    if line.repeat_seconds is not None:
        return now >= last.at + line.repeat_seconds
    return line.text != last.text


def lines(scene: Scene, fleet: Fleet | None, cleaning: Cleanup | None) -> Iterator[Line]:
    """Everything that holds at one look and is worth a line."""
    outcome = known_outcome(scene)
    if outcome is not None:
        yield Line("verdict", f"application {outcome.application}: {outcome.verdict}: {outcome.message}")
        return
    yield from _job_lines(scene)
    if fleet is None:
        return
    yield Line("driver", _driver_text(fleet.driver))
    yield from _spark_lines(scene, fleet.driver, fleet.spark)
    for entry in cleaning.ended if cleaning else ():
        yield Line(f"ended {entry.executor_id}", ended_text(entry, scene.desired.settings))
    for topic, text in recovery_lines(fleet, cleaning):
        yield Line(topic, text)
    if not fleet.driver.ended:
        yield from _executor_lines(scene, fleet)


def _job_lines(scene: Scene) -> Iterator[Line]:
    job, again = scene.observed.job, restart_text(scene)
    name = job.name if job else scene.desired.reference.job_name
    if again is not None:
        yield Line("restart", again)
    elif job is not None and job.phase is JobPhase.SUSPENDED:
        yield Line("job", f"Job {name} is suspended")
    elif scene.observed.driver is None:
        yield Line("job", f"Job {name} has no driver pod yet")
    if RESTART in scene.state.troubles:
        text = f"the application cannot be started again: {scene.state.troubles[RESTART]}; trying again"
        yield Line("restart refused", text, repeat_seconds=REPEAT_SECONDS)
    if scene.observed.settings_problem is not None:
        yield Line("settings", f"settings not readable: {scene.observed.settings_problem}")


def _driver_text(driver: DriverPod) -> str:
    state = driver.state
    where = f" on {driver.node}" if driver.node else ""
    leaving = f", being removed ({driver.disruption or 'deleted'})" if driver.deleting else ""
    if isinstance(state, Succeeded | Failed | Deleted):
        return f"driver pod {driver.name} {type(state).__name__.lower()}: {state.ending.text}"
    if isinstance(state, Pending):
        why = ": ".join(part for part in (state.reason, state.message) if part)
        return f"driver pod {driver.name} is pending{where}{leaving}" + (f": {why}" if why else "")
    return f"driver pod {driver.name} is {type(state).__name__.lower()}{where}{leaving}"


def _spark_lines(scene: Scene, driver: DriverPod, spark: SparkView) -> Iterator[Line]:
    if driver.ended:
        return
    if spark.reach is Reach.YES or spark.version is not None:
        version = f", Spark {spark.version}" if spark.version else ""
        yield Line("spark", f"application {driver.name} is up{version}")
    if scene.age("reach", driver.uid, Reach.UNKNOWN.value) >= UNKNOWN_SECONDS:
        text = f"cannot ask the driver about registered executors: {spark.why}"
        yield Line("unknown", text, repeat_seconds=math.inf)


def _executor_lines(scene: Scene, fleet: Fleet) -> Iterator[Line]:
    seen = progress(scene, fleet)
    if fleet.marks.unsettled():
        yield Line("round", _round_text(fleet.marks.unsettled()))
    if fleet.marks.reserved > 0:
        registered = "unknown" if seen.registered is None else seen.registered
        text = (
            f"executors: {seen.expected} expected, {seen.requested} requested, {seen.pending} pending, "
            f"{seen.running} running, {registered} registered"
        )
        yield Line("executors", text + (f", {seen.ended} ended" if seen.ended else ""), COUNTS_PAUSE_SECONDS)
    if CREATE in scene.state.troubles:
        text = f"executors cannot be created: {scene.state.troubles[CREATE]}; trying again"
        yield Line("create", text, repeat_seconds=REPEAT_SECONDS)
    for reason, (count, message) in sorted(_waiting(fleet).items()):
        text = f"executors wait: {reason}: {message} ({count} of them)"
        yield Line(f"waiting {reason}", text, REPEAT_SECONDS)


def _round_text(ids: range) -> str:
    which = f"executor {ids[0]}" if len(ids) == 1 else f"executors {ids[0]} to {ids[-1]}"
    return f"new round: asking for {which}"


def _waiting(fleet: Fleet) -> dict[str, tuple[int, str]]:
    """Reasons for which executors wait -> how many, and the message of one."""
    states = [fleet.pods[number].state for number in sorted(fleet.pending)]
    waiting = [state for state in states if isinstance(state, Pending) and state.reason not in _ORDINARY]
    counts = Counter(str(state.reason) for state in waiting)
    messages = {str(state.reason): state.message or "no message" for state in waiting}
    return {reason: (count, messages[reason]) for reason, count in counts.items()}


_ORDINARY = (None, "ContainerCreating", "PodInitializing")
