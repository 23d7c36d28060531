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
from airflow_spark_k8s.core.lost_node import lost_node_text
from airflow_spark_k8s.core.pod_state import Deleted, Failed, Pending, Succeeded
from airflow_spark_k8s.core.progress import progress
from airflow_spark_k8s.core.recovery_notes import ended_text, recovery_lines
from airflow_spark_k8s.core.restart import restart_text
from airflow_spark_k8s.core.snapshot import DriverPod, ExecutorPod, Reach, SparkView
from airflow_spark_k8s.core.state import RESTART, Said, Scene
from airflow_spark_k8s.core.waiting import (
    SILENT_REASONS,
    create_wait,
    job_wait,
    lacks_driver,
    wait_of,
)

COUNTS_PAUSE_SECONDS = 2.0
"""The line with the executors' counts comes at most this often."""

UNKNOWN_SECONDS = 10.0
"""That the driver cannot be asked is worth a line only if it lasts: single calls time out now and then."""

WAITING_PAUSE_SECONDS = 30.0
"""What a driver waits for is said at most this often, however often its cluster words it anew."""

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
    yield from _driver_lines(scene, fleet.driver)
    silent = lost_node_text(scene)
    if silent is not None:
        yield Line("silent node", silent)
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
    elif lacks_driver(scene):
        yield from _no_driver_lines(scene, name)
    if RESTART in scene.state.troubles:
        text = f"the application cannot be started again: {scene.state.troubles[RESTART].text}; trying again"
        yield Line("restart refused", text, repeat_seconds=REPEAT_SECONDS)
    if scene.observed.events_refused is not None:
        text = f"why pods wait is known only from their status: {scene.observed.events_refused}"
        yield Line("events", text, repeat_seconds=math.inf)
    if scene.observed.settings_problem is not None:
        yield Line("settings", f"settings not readable: {scene.observed.settings_problem}")


def _no_driver_lines(scene: Scene, name: str) -> Iterator[Line]:
    wait = job_wait(scene)
    if wait is not None:
        text = f"Job {name} has no driver pod: {wait.message}"
        yield Line("job without a pod", text, WAITING_PAUSE_SECONDS)
    elif scene.observed.driver is None:
        yield Line("job", f"Job {name} has no driver pod yet")


def _driver_lines(scene: Scene, driver: DriverPod) -> Iterator[Line]:
    """A state is said at once; the reason for waiting, which may change with every node, less often."""
    wait, text = wait_of(scene, driver), _driver_text(driver)
    if wait is None:
        yield Line("driver", text)
    else:
        yield Line("driver waits", f"{text}: {wait.text}", WAITING_PAUSE_SECONDS)


def _driver_text(driver: DriverPod) -> str:
    state = driver.state
    where = f" on {driver.node}" if driver.node else ""
    leaving = f", being removed ({driver.disruption or 'deleted'})" if driver.deleting else ""
    if driver.ended and isinstance(state, Succeeded | Failed | Deleted):
        return f"driver pod {driver.name} {type(state).__name__.lower()}: {state.ending.text}"
    word = "pending" if isinstance(state, Deleted) else type(state).__name__.lower()
    return f"driver pod {driver.name} is {word}{where}{leaving}"


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
    trouble = create_wait(scene)
    if trouble is not None:
        text = f"executors cannot be created: {trouble.message}; trying again"
        yield Line("create", text, repeat_seconds=REPEAT_SECONDS)
    for reason, (count, text) in sorted(_waiting(scene, fleet).items()):
        yield Line(f"waiting {reason}", f"executors wait: {text} ({count} of them)", REPEAT_SECONDS)
    yield from _silent_lines(scene, fleet)


def _round_text(ids: range) -> str:
    which = f"executor {ids[0]}" if len(ids) == 1 else f"executors {ids[0]} to {ids[-1]}"
    return f"new round: asking for {which}"


def _waiting(scene: Scene, fleet: Fleet) -> dict[str, tuple[int, str]]:
    """Reasons that executors' status tells -> how many wait for that, and the text of one."""
    counts: Counter[str] = Counter()
    texts: dict[str, str] = {}
    for number in sorted(fleet.pending, reverse=True):
        pod = fleet.pods[number]
        wait = None if _is_silent(pod) else wait_of(scene, pod)
        if wait is not None:
            counts[wait.reason] += 1
            texts[wait.reason] = wait.text
    return {reason: (count, texts[reason]) for reason, count in counts.items()}


def _silent_lines(scene: Scene, fleet: Fleet) -> Iterator[Line]:
    """Of executors whose status tells nothing one was asked about: the others wait beside it."""
    silent = [number for number in sorted(fleet.pending) if _is_silent(fleet.pods[number])]
    for number in silent:
        wait = wait_of(scene, fleet.pods[number])
        if wait is not None:
            text = f"executors wait: {wait.text} (executor {number}; {len(silent)} are being started)"
            yield Line(f"waiting {wait.reason}", text, REPEAT_SECONDS)
            return


def _is_silent(pod: ExecutorPod) -> bool:
    return isinstance(pod.state, Pending) and pod.state.reason in SILENT_REASONS
