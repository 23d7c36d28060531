"""Which applications are orphans: a decision from what the cluster and Airflow's database say."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_spark_k8s.kube.leftovers import FoundApplication, TaskKey

OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which nothing looks after a task instance any more."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task instance as Airflow's database has it: its latest try."""

    ti_id: str  # changes with every try
    state: str | None  # None: not scheduled yet
    started_epoch_seconds: float | None  # None: not started yet


@dataclass(frozen=True, slots=True)
class Known:
    """What Airflow's database says about the applications found."""

    tasks: dict[TaskKey, TaskState]
    dag_ids: frozenset[str]  # of those found, the ones that this Airflow knows


@dataclass(frozen=True, slots=True)
class Rules:
    """What is decided by the caller."""

    now_epoch_seconds: float
    grace_seconds: float
    deployment_is_named: bool  # False: its id is the default, which other Airflows may have, too
    unknown: bool = False  # remove as well what no task of this Airflow can be found for


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether an application is an orphan, and why or why not."""

    orphan: bool
    why: str


def judge(application: FoundApplication, known: Known, rules: Rules) -> Judgement:
    """
    Whether nobody looks after the application, now or soon.

    What is doubtful is no orphan: a later run of the command finds it again.
    """
    if application.deleting:
        return Judgement(False, "is being removed")
    if application.task is None:
        return Judgement(False, "its annotations do not tell which task it belongs to")
    left_seconds = _left_seconds(application, rules)
    if left_seconds is not None:
        return Judgement(False, f"has ended, and is kept for another {duration(left_seconds)}")
    judgement = _by_task(application, application.task, known, rules)
    age_seconds = rules.now_epoch_seconds - application.created_epoch_seconds
    if judgement.orphan and age_seconds < rules.grace_seconds:
        return Judgement(False, f"{judgement.why}, but it is younger than {duration(rules.grace_seconds)}")
    return judgement


def duration(seconds: float) -> str:
    """`seconds`, as exactly as matters: 45s, 12m, 3h5m, 2d4h."""
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    if seconds < 120:
        return f"{max(0, int(seconds))}s"
    if hours < 1:
        return f"{minutes}m"
    if hours < 48:
        return f"{hours}h{minutes % 60}m"
    return f"{hours // 24}d{hours % 24}h"


def _by_task(application: FoundApplication, key: TaskKey, known: Known, rules: Rules) -> Judgement:
    task = known.tasks.get(key)
    if task is None:
        return _without_task(key, known, rules)
    state = task.state or "not scheduled yet"
    if task.state in OVER:
        return Judgement(True, f"its task is over: {state}")
    if task.ti_id == application.ti_id or not application.has_job:
        # Objects without a Job may carry the id of an earlier try than the one that uses them.
        return Judgement(False, f"its task is {state}")
    if _has_submitted(task, rules):
        return Judgement(True, f"a later try has replaced it, which is {state}")
    return Judgement(False, f"a later try is {state}, and adopts or removes it")


def _without_task(key: TaskKey, known: Known, rules: Rules) -> Judgement:
    if rules.unknown:
        return Judgement(True, "its task instance does not exist in this Airflow")
    if key.dag_id not in known.dag_ids:
        return Judgement(False, "this Airflow does not know its DAG: if it never will, use --unknown")
    if not rules.deployment_is_named:
        return Judgement(
            False,
            "its task instance does not exist here, but another Airflow may be named `airflow`, too: give "
            "this one a deployment_id, or use --unknown",
        )
    return Judgement(True, "its task instance does not exist any more")


def _has_submitted(task: TaskState, rules: Rules) -> bool:
    """Whether the later try must have come past the point where it adopts what an earlier one left."""
    if task.state == "deferred":
        return True
    started = task.started_epoch_seconds
    return (
        task.state == "running"
        and started is not None
        and started + rules.grace_seconds <= rules.now_epoch_seconds
    )


def _left_seconds(application: FoundApplication, rules: Rules) -> float | None:
    """How long Kubernetes keeps it yet; None if it is not to be expected to remove it."""
    removed_at = application.removed_at_epoch_seconds
    if removed_at is None or removed_at + rules.grace_seconds < rules.now_epoch_seconds:
        return None
    return max(0.0, removed_at - rules.now_epoch_seconds)
