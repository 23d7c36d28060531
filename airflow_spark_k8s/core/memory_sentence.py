"""What to tell a user whose executors ran out of memory."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_spark_k8s.core.history import History
from airflow_spark_k8s.core.memory_losses import (
    CORES,
    Advice,
    MemoryLoss,
    advice,
    lost_to_memory,
    memory_losses,
    what_happened,
)
from airflow_spark_k8s.core.recovery import Recovery, recover
from airflow_spark_k8s.core.recovery_settings import RECOVERY_MODE
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.size import ladder


def memory_sentence(
    settings: ControllerSettings, known: History, stages: Mapping[int, str], epoch_seconds: float
) -> str:
    """
    What happened to the executors of the stage that is not over, and what to set; empty if they are well.

    :param stages: as the driver told them last; empty: it never did.
    """
    if settings.recovery is None:
        return ""
    steps = ladder(settings.recovery, settings.executor_cores)
    recovery = recover(settings, known, stages, epoch_seconds)
    lost = recovery.losses if recovery is not None else lost_to_memory(known.entries.values())
    losses = memory_losses(lost, steps)
    if not losses:
        return ""
    many = "1 executor" if len(losses) == 1 else f"{len(losses)} executors"
    return (
        f"{many} ran out of memory, the last one: {_of(losses[-1])}{_limit(settings, recovery)}; "
        f"set {_remedy(advice(losses, steps))}"
    )


def _of(loss: MemoryLoss) -> str:
    where = "" if loss.node is None else f" on {loss.node}"
    return f"{what_happened(loss)}{where}, with {memory_text(loss.cores, loss.heap_mib, loss.overhead_mib)}"


def memory_text(cores: int, heap_mib: int, overhead_mib: int) -> str:
    """What an executor has to work with: `2 cores, heap 1024 MiB, overhead 384 MiB`."""
    many = "1 core" if cores == 1 else f"{cores} cores"
    return f"{many}, heap {heap_mib} MiB, overhead {overhead_mib} MiB"


def _limit(settings: ControllerSettings, recovery: Recovery | None) -> str:
    given = settings.recovery
    if given is None or recovery is None:
        return f"; they were not replaced otherwise, since {RECOVERY_MODE} is false"
    if not recovery.given_up:
        return ""
    limits = [f"max_memory_steps is {given.max_memory_steps}"]
    if given.max_executor_memory_mib is not None:
        limits.append(f"executors have at most {given.max_executor_memory_mib} MiB")
    limits.append(f"max_executor_ooms is {given.max_executor_ooms} in {given.window_seconds:g} s")
    return f"; they are not replaced any more ({', '.join(limits)})"


def _remedy(found: tuple[Advice, ...]) -> str:
    return ", ".join(
        f"{one.property_name}={one.after}{'' if one.dimension == CORES else 'm'}" for one in found
    )
