"""What will happen in one simulation, drawn from its seed before it starts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from airflow_spark_k8s.local.simulation.weather import OF_EVENTS, READS, WRITES, Kind, Spell

MAX_TRIES = 4


class Temper(StrEnum):
    """How much goes wrong."""

    CALM = "calm"
    LIGHT = "light"
    HEAVY = "heavy"


class Mishap(StrEnum):
    """What may happen to the cluster or to Airflow."""

    EVICT_DRIVER = "driver evicted"
    EVICT_EXECUTOR = "executor evicted"
    PRESS_DRIVER = "driver's node short of memory"
    PRESS_EXECUTOR = "executor's node short of memory"
    PREEMPT_DRIVER = "driver preempted"
    PREEMPT_EXECUTOR = "executor preempted"
    DELETE_DRIVER = "driver pod deleted by hand"
    DELETE_EXECUTOR = "executor pod deleted by hand"
    DELETE_JOB = "Job deleted by hand"
    DRIVER_OOM = "driver out of memory"
    EXECUTOR_OOM = "executor out of memory"
    DRIVER_CRASH = "driver crashes"
    EXECUTOR_CRASH = "executor crashes"
    SILENT_NODE = "node silent"
    LOST_NODE = "node lost"
    DRAINED_NODE = "node drained"
    QUOTA = "quota exhausted"
    IMAGE_PULL = "image pull failure"
    ADMISSION = "admission refusal"
    CLOCK_JUMP = "clock jump"
    ROTATION = "credentials rotated"
    WATCHES_CUT = "all watches cut"


_COMMON = (
    Mishap.EVICT_DRIVER,
    Mishap.EVICT_EXECUTOR,
    Mishap.DELETE_DRIVER,
    Mishap.EXECUTOR_OOM,
    Mishap.EXECUTOR_CRASH,
)
_CHURN = (  # of executors: an id can only be given out twice where many are given out
    Mishap.EXECUTOR_CRASH,
    Mishap.EXECUTOR_OOM,
    Mishap.EVICT_EXECUTOR,
    Mishap.DELETE_EXECUTOR,
)
_SELDOM = (Mishap.DRIVER_OOM, Mishap.DRIVER_CRASH, Mishap.DELETE_JOB)


class Interruption(StrEnum):
    """What a user may do to a task that runs."""

    KILL = "task killed"
    CLEAR = "task cleared"


@dataclass(frozen=True, slots=True)
class Planned:
    """A mishap, when it begins and how long it lasts; `dice` decides what it hits."""

    mishap: Mishap
    at: float
    seconds: float
    dice: int


@dataclass(frozen=True, slots=True)
class Application:
    """What is submitted and how its driver behaves."""

    palette: int  # which of the prepared requests
    tasks: int
    exit_code: int  # of the driver after its last task
    ui: bool  # whether the driver's REST API can be asked
    registration_seconds: float
    term_seconds: float  # that driver and executors take to end after SIGTERM


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a process dies: after some time, or after some of its steps."""

    seconds: float | None
    steps: int | None


IMMORTAL = Lifetime(None, None)


@dataclass(frozen=True, slots=True)
class TryPlan:
    """What Airflow does with one try of the task."""

    triggers: int  # alive at once
    lifetimes: tuple[Lifetime, ...]  # of the triggers' processes one after the other; later ones live on
    worker_steps: int | None  # after which the worker dies in the submission; None: it does not
    interruption: Interruption | None
    interrupted_after: float  # seconds since the submission
    stopped_after: float | None  # seconds into the submission, instead of after it; None: after it
    changed: bool  # whether the next try asks for something else
    deadline_seconds: float | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulation."""

    seed: int
    temper: Temper
    nodes: int
    history: int  # changes that the API server remembers
    latency: float  # longest one-way delay of a call, in seconds
    calm_at: float  # no fault from then on
    application: Application
    tries: tuple[TryPlan, ...]
    mishaps: tuple[Planned, ...]
    spells: tuple[Spell, ...]

    def chance(self, purpose: str) -> random.Random:
        """A random source for one purpose: draws for other purposes do not change it."""
        return random.Random(f"{self.seed} {purpose}")  # noqa: S311 (it has to be repeatable)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = random.Random(f"{seed} scenario")  # noqa: S311
    temper = chance.choices(list(Temper), [1, 5, 4])[0]
    calm = temper is Temper.CALM
    calm_at = 0.0 if calm else chance.uniform(30, 400)
    most = {Temper.CALM: 0, Temper.LIGHT: 3, Temper.HEAVY: 10}[temper]
    churn = 0 if calm else chance.choice([0, 0, chance.randint(5, 30)])
    return Scenario(
        seed=seed,
        temper=temper,
        nodes=chance.randint(2, 4),
        history=10_000 if calm else chance.choice([60, 300, 10_000]),
        latency=chance.choice([0.0, 0.02, 0.02, 0.2]) if calm else chance.choice([0.0, 0.02, 0.2, 1.0]),
        calm_at=calm_at,
        application=_application(chance),
        tries=tuple(_try(chance, temper) for _ in range(MAX_TRIES)),
        mishaps=(
            *(
                _mishap(chance, calm_at, [*Mishap, *_COMMON, *_COMMON])
                for _ in range(chance.randint(0, most))
            ),
            *(_mishap(chance, calm_at, _CHURN) for _ in range(churn)),
        ),
        spells=tuple(_spell(chance, calm_at) for _ in range(chance.randint(0, most))),
    )


def _application(chance: random.Random) -> Application:
    return Application(
        palette=chance.randrange(1000),
        tasks=chance.choice([5, 40, 150, 400]),
        exit_code=chance.choice([0, 0, 0, 0, 1, 3, 101]),
        ui=chance.random() < 0.9,
        registration_seconds=chance.uniform(0.5, 8.0),
        term_seconds=chance.choice([0.0, 0.0, chance.uniform(0, 5), chance.uniform(5, 40)]),
    )


def _try(chance: random.Random, temper: Temper) -> TryPlan:
    calm = temper is Temper.CALM
    deaths = 0 if calm else chance.choice([0, 0, 1, 2, 4])
    interruption = None if calm else chance.choices([None, *Interruption], [6, 1, 1.5])[0]
    stopped = interruption is not None and chance.random() < 0.3
    return TryPlan(
        triggers=1 if calm else chance.choice([1, 1, 2, 3]),
        lifetimes=tuple(_lifetime(chance) for _ in range(deaths)),
        worker_steps=chance.randint(0, 24) if not calm and chance.random() < 0.15 else None,
        interruption=interruption,
        interrupted_after=chance.expovariate(1 / 60),
        stopped_after=chance.choice([chance.uniform(0, 0.1), chance.expovariate(1 / 5)]) if stopped else None,
        changed=chance.random() < 0.3,
        deadline_seconds=chance.uniform(5, 600) if chance.random() < 0.15 else None,
    )


def _lifetime(chance: random.Random) -> Lifetime:
    if chance.random() < 0.5:
        return Lifetime(chance.expovariate(1 / 40), None)
    return Lifetime(None, int(chance.expovariate(1 / 40)))


def _mishap(chance: random.Random, calm_at: float, kinds: Sequence[Mishap]) -> Planned:
    mishap = chance.choice(kinds)
    if mishap in _SELDOM and chance.random() < 0.5:
        mishap = chance.choice(_COMMON)
    seconds = chance.choice([chance.uniform(1, 30), chance.uniform(30, 400)])
    return Planned(mishap, chance.uniform(0, calm_at), seconds, chance.getrandbits(32))


_VERBS: tuple[Callable[[random.Random], tuple[str, ...]], ...] = (
    lambda _: (),
    lambda _: (),
    lambda _: WRITES,
    lambda _: READS,
    lambda chance: (chance.choice([*WRITES, *READS, "WATCH"]),),
)


def _spell(chance: random.Random, calm_at: float) -> Spell:
    kind = chance.choice(list(Kind))
    start = chance.uniform(0, calm_at)
    seconds = chance.choice([chance.uniform(0.5, 15), chance.uniform(15, 150), chance.uniform(60, 600)])
    verbs = () if kind in OF_EVENTS else chance.choice(_VERBS)(chance)
    share = chance.choice([1.0, chance.uniform(0.02, 0.6)])
    if kind in OF_EVENTS:
        share = min(share, 0.5)
    network = chance.choice([None, None, 0, 1])
    return Spell(kind, start, min(start + seconds, calm_at), share, verbs, network)
