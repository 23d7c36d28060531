"""What follows from executors that ran out of memory: sizes of new ones, and how many are still worth it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.memory_losses import lost_to_memory
from airflow_spark_k8s.core.recovery_settings import OFF, ON
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import Ladder, Size, ladder
from airflow_spark_k8s.core.spec import RecoverySettings
from airflow_spark_k8s.core.stages import is_over

LOSSES_TO_DRAIN = 2
"""From so many multi-task executors on that a stage has cost, the others are not left to it."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """
    What one look says about executors and memory.

    An *episode* is made of the losses whose stages are not over. Nothing is remembered beyond the history of
    the driver: whoever looks at the same cluster comes to the same answer.
    """

    settings: RecoverySettings
    ladder: Ladder
    losses: tuple[EndedExecutor, ...]  # of the episode, oldest first
    past: tuple[EndedExecutor, ...]  # losses whose stages are over
    demand: Mapping[Size, int]  # executors of special sizes that the losses ask for
    given_up: tuple[EndedExecutor, ...]  # losses that are not made up for
    drains: bool  # executors that take several tasks are retired
    last_chance: bool  # one more loss may be the end of the application
    due_epoch_seconds: float | None  # when the window lets one more loss be made up for; None: no matter

    @property
    def base(self) -> Size | None:
        """The size of executors that no loss asks for; None: as the task says."""
        return self.ladder.single_task if self.drains or self.settings.mode == ON else None

    def target(self, wanted: int) -> int:
        """How many executors of those wanted are still worth creating."""
        return max(wanted - len(self.given_up), 0)

    def sizes(self, live: Iterable[Size | None], outstanding: Iterable[int]) -> dict[int, Size | None]:
        """
        The size of each id that is spoken for and has no pod in sight: special ones first, largest first.

        :param live: sizes of the executors that are there.
        """
        there = Counter(live)
        missing = [
            size for size in sorted(self.demand, reverse=True) for _ in range(self.demand[size] - there[size])
        ]
        ids = sorted(outstanding)
        sizes = [*missing, *[self.base] * len(ids)]
        return dict(zip(ids, sizes, strict=False))

    def counts(self, entry: EndedExecutor, stages: Mapping[int, str]) -> bool:
        """Whether `entry` belongs to the episode: its stage is not over, or not known."""
        return not _is_over(self.settings, entry, stages)


def recovers(settings: ControllerSettings) -> bool:
    """Whether executors that run out of memory are replaced otherwise than others."""
    return settings.recovery is not None and settings.recovery.mode != OFF


def recover(
    settings: ControllerSettings, history: History, stages: Mapping[int, str], epoch_seconds: float
) -> Recovery | None:
    """
    What follows from `history`; None if recovery is off.

    :param stages: as the driver told them last; empty: it never did.
    """
    given = settings.recovery
    if given is None or given.mode == OFF:
        return None
    steps = ladder(given, settings.executor_cores)
    every = lost_to_memory(history.entries.values())
    over = {loss.executor_id for loss in every if _is_over(given, loss, stages)}
    losses = tuple(loss for loss in every if loss.executor_id not in over)
    older = history.forgotten_losses if given.sticky or not stages else ()
    last_chance = len(losses) >= max(given.max_task_failures - 1, 1)
    multi_task = sum(loss.size is None for loss in losses)
    multi_task += sum(some.count for some in older if some.size is None)
    can_drain = Fraction(given.drain_fraction) > 0 and steps.multi_task
    drains = can_drain and (multi_task >= LOSSES_TO_DRAIN or last_chance)
    given_up, due = _given_up(given, steps, every, losses, epoch_seconds)
    answers = [_Answer(some.size or steps.normal, some.kind, some.count) for some in older]
    lost = {loss.executor_id for loss in given_up}
    answers += [
        _Answer(loss.size or steps.normal, loss.kind, int(loss.executor_id not in lost)) for loss in losses
    ]
    return Recovery(
        settings=given,
        ladder=steps,
        losses=losses,
        past=tuple(loss for loss in every if loss.executor_id in over),
        demand=_demand(steps, int(drains or given.mode == ON), answers),
        given_up=given_up,
        drains=drains,
        last_chance=last_chance,
        due_epoch_seconds=due,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    """Executors of one size that ended in one way, and how many of them are to be replaced."""

    size: Size
    kind: str
    count: int


def _is_over(settings: RecoverySettings, entry: EndedExecutor, stages: Mapping[int, str]) -> bool:
    """A loss without any stage may have been anybody's fault: it counts for ever."""
    if settings.sticky or not entry.stages:
        return False
    return all(is_over(stages, stage) for stage in entry.stages)


def _given_up(
    settings: RecoverySettings,
    steps: Ladder,
    every: Sequence[EndedExecutor],
    losses: Sequence[EndedExecutor],
    epoch_seconds: float,
) -> tuple[tuple[EndedExecutor, ...], float | None]:
    """
    Losses that are not made up for, and when that changes with time.

    Once an executor of the largest size was lost, the rest of its episode is lost, too: the same tasks would
    come to their end on smaller ones.
    """
    hopeless = (n for n, loss in enumerate(losses) if _following(steps, loss) is None)
    spent = losses[next(hopeless, len(losses)) :]
    recent = [loss for loss in every if loss.at_epoch_seconds > epoch_seconds - settings.window_seconds]
    beyond = recent[settings.max_executor_ooms :]
    due = recent[0].at_epoch_seconds + settings.window_seconds if beyond else None
    lost = {loss.executor_id for loss in (*spent, *beyond)}
    return tuple(loss for loss in every if loss.executor_id in lost), due


def _following(steps: Ladder, loss: EndedExecutor) -> Size | None:
    return steps.after(loss.size or steps.normal, loss.kind)


def _demand(steps: Ladder, base_step: int, answers: Iterable[_Answer]) -> dict[Size, int]:
    """
    How many executors of which size the losses ask for, each in the place of one that it asked for before.

    Above the base every executor was itself the answer to a loss; if that loss is over, there is nothing to
    take back.
    """
    demand: Counter[Size] = Counter()
    for answer in answers:
        if answer.size.step > base_step:
            demand[answer.size] = max(demand[answer.size] - max(answer.count, 1), 0)
        following = steps.after(answer.size, answer.kind)
        if following is not None:
            demand[following] += answer.count
    return {size: count for size, count in demand.items() if count > 0}
