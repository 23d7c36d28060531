"""One simulation from its seed to its report."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from airflow_spark_k8s.local.simulation.event_loop import SimulationLoop
from airflow_spark_k8s.local.simulation.leftovers import check_leftovers
from airflow_spark_k8s.local.simulation.mishaps import befall
from airflow_spark_k8s.local.simulation.scenario import Scenario, draw
from airflow_spark_k8s.local.simulation.stage import Stage
from airflow_spark_k8s.local.simulation.task import Ended, Task
from airflow_spark_k8s.local.simulation.trace import LAST_LINES, Trace

BOUND_SECONDS = 3600.0
"""How long after the last fault every application must have ended."""

SETTLING_SECONDS = 150.0
"""How long after its end nothing of an application may be left."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one simulation."""

    seed: int
    problems: tuple[str, ...]  # empty: every promise was kept
    digest: str  # of everything that happened
    lines: tuple[str, ...]  # the last of them, or all
    counts: Counter[str]  # faults and other happenings by kind
    applications: int
    pods: int
    state: str  # of the task at the end
    seconds: float  # of virtual time


def simulate(seed: int, *, all_lines: bool = False) -> Report:
    """
    The report of the simulation with this seed; the same for the same seed, wherever it runs.

    :param all_lines: keep every line of the trace instead of the last ones.
    """
    scenario = draw(seed)
    with asyncio.Runner(loop_factory=lambda: SimulationLoop(scenario.chance("event loop"))) as runner:
        return runner.run(_simulated(scenario, all_lines))


async def _simulated(scenario: Scenario, all_lines: bool) -> Report:
    loop = asyncio.get_running_loop()
    trace = Trace(loop.time, keep=None if all_lines else LAST_LINES)
    trace.say("seed", f"{scenario.seed}: {scenario.temper}, calm at {scenario.calm_at:.1f} s")
    stage = Stage.build(scenario, trace)
    life = loop.create_task(_life(stage))
    stopped = loop.create_task(stage.stopped.wait())
    bound = scenario.calm_at + BOUND_SECONDS
    await asyncio.wait([life, stopped], timeout=bound, return_when=asyncio.FIRST_COMPLETED)
    state = _state_of(stage, life, bound)
    stage.processes.clear()
    for task in (life, stopped):
        task.cancel()
    await asyncio.wait([life, stopped])
    watcher = stage.watcher
    return Report(
        seed=scenario.seed,
        problems=tuple(stage.problems),
        digest=trace.digest,
        lines=tuple(trace.lines),
        counts=trace.counts,
        applications=len(watcher.jobs),
        pods=len(watcher.drivers) + watcher.executors_created,
        state=state,
        seconds=loop.time(),
    )


def _state_of(stage: Stage, life: asyncio.Task[Ended], bound: float) -> str:
    if not life.done():
        if not stage.problems:
            stage.broken(f"the task has not ended after {bound:.0f} s")
        return "unfinished"
    error = life.exception()
    if error is not None:
        stage.broken(f"{type(error).__name__}: {error}")
        return "unfinished"
    return life.result().state


async def _life(stage: Stage) -> Ended:
    """The task under everything that happens, and the time after its end."""
    loop = asyncio.get_running_loop()
    mishaps = [loop.create_task(befall(stage, planned)) for planned in stage.scenario.mishaps]
    task = Task(stage)
    ended = await task.run()
    for mishap in mishaps:
        await mishap
    await asyncio.sleep(max(0.0, stage.scenario.calm_at - stage.now))
    await task.collect_orphans()
    await asyncio.sleep(SETTLING_SECONDS)
    check_leftovers(stage, ended.killed)
    return ended
