"""What one try learns for the next: in the task state store within a run, in XComs across runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators import conclusion

if TYPE_CHECKING:
    from airflow_spark_k8s.core.advice import Learnt
    from airflow_spark_k8s.core.spec import Application

KEY = "spark_advice"
"""Under which both the task state store and XCom have it."""

OFF, TRIES, RUNS = "off", "tries", "runs"

_STORE = "task_state_store"


class Log(conclusion.Log, Protocol):
    """The part of a logger that is used here."""

    def debug(self, event: Any, *args: Any) -> Any:
        """Log what is of interest to those who look for a mistake."""
        ...


@dataclass(frozen=True, slots=True)
class Recalled:
    """What earlier tries or runs found out."""

    learnt: Learnt | None = None  # None: nothing
    apply: bool = False  # False: only to be told


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an application starts with of all that was learnt before."""

    known: Learnt  # without evidence: nothing
    conf: Mapping[str, str] = field(default_factory=dict)  # properties that go over the task's own ones
    text: str | None = None  # for the task log; None: nothing was recalled


NOTHING = Recalled()


def check_learn(value: object) -> str:
    """
    `value` itself.

    :raises InvalidConfiguration: if it is none of "off", "tries" and "runs".
    """
    if value not in (OFF, TRIES, RUNS):
        raise InvalidConfiguration("learn", value, f'must be "{OFF}", "{TRIES}" or "{RUNS}"')
    return str(value)


def recalled(context: Mapping[str, Any], learn: str, *, apply_advice: bool, log: Log) -> Recalled:
    """
    What earlier tries of this run found out, else, with `learn="runs"`, an earlier run; never an error.

    :param context: Airflow's, on a worker: no trigger can read the store.
    :param apply_advice: whether what an earlier run found out is applied.
    """
    if learn == OFF:
        return NOTHING
    own = _from_store(context, log)
    if own is not None:
        return Recalled(own, apply=True)
    return Recalled(_from_earlier_run(context, log) if learn == RUNS else None, apply_advice)


def lesson(recalled: Recalled, application: Application) -> Lesson:
    """
    What an application starts with.

    :param application: resolved as if nothing had been learnt.
    """
    from airflow_spark_k8s.core.advice import Learnt, base_of, use_of

    nothing = Learnt.nothing(base_of(application))
    if recalled.learnt is None:
        return Lesson(nothing)
    use = use_of(recalled.learnt, application, apply=recalled.apply)
    return Lesson(recalled.learnt if use.conf else nothing, use.conf, use.text)


def keep(context: Mapping[str, Any], learnt: Learnt, *, news: bool, push: bool, log: Log) -> None:
    """
    Put what is known where the next try and the next run look for it; never an error.

    :param news: the application taught something that was not known when it started.
    :param push: whether the task pushes XComs.
    """
    if news:
        _into_store(context, learnt, log)
    if not push:
        return
    try:
        context["ti"].xcom_push(key=KEY, value=learnt.as_dict())
    except Exception as error:
        log.warning("The XCom %s was not pushed: %s: %s", KEY, type(error).__name__, error)


def _into_store(context: Mapping[str, Any], learnt: Learnt, log: Log) -> None:
    store = context.get(_STORE)
    if store is None:
        log.debug("Airflow has no task state store here: the next try will know nothing of this one.")
        return
    try:
        store.set(KEY, learnt.as_dict())
    except Exception as error:
        log.warning("The next try will know nothing of this one: %s: %s", type(error).__name__, error)
        return
    log.info("Kept for the next try of this task: %s", "; ".join(learnt.lines))


def _from_store(context: Mapping[str, Any], log: Log) -> Learnt | None:
    store = context.get(_STORE)
    if store is None:
        log.debug("Airflow has no task state store here: nothing is known of earlier tries.")
        return None
    try:
        return _read(store.get(KEY), log)
    except Exception as error:
        log.warning("Nothing is known of earlier tries: %s: %s", type(error).__name__, error)
        return None


def _from_earlier_run(context: Mapping[str, Any], log: Log) -> Learnt | None:
    ti = context["ti"]
    index = -1 if ti.map_index is None else ti.map_index
    try:
        # Airflow has removed what an earlier try of this run pushed.
        found = ti.xcom_pull(task_ids=ti.task_id, key=KEY, include_prior_dates=True, map_indexes=index)
    except Exception as error:
        log.warning("Nothing is known of earlier runs: %s: %s", type(error).__name__, error)
        return None
    return _read(found, log)


def _read(values: Any, log: Log) -> Learnt | None:
    from airflow_spark_k8s.core.advice import learnt_of

    if values is None:
        return None
    learnt = learnt_of(values)
    if learnt is None or not learnt.evidence:
        log.warning("What was kept as %s is not readable here, perhaps of a newer version: ignored", KEY)
        return None
    return learnt
