"""Whether a verdict agrees with what the driver really did."""

from __future__ import annotations

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.core.start import HOPELESS_SECONDS, REFUSED_SECONDS
from airflow_spark_k8s.local.simulation.scenario import Mishap
from airflow_spark_k8s.local.simulation.stage import Stage
from airflow_spark_k8s.local.simulation.watcher import Driver, JobRecord
from airflow_spark_k8s.local.simulation.weather import Kind, Spell

MARGIN_SECONDS = 5.0
"""How much earlier or later than it happens a controller may see something."""


def check_outcome(stage: Stage, reference: ApplicationReference, outcome: Outcome) -> None:
    """Report to the stage if an outcome that a controller reports is not true."""
    record = stage.watcher.jobs[outcome.job_of(reference).job_uid]
    jobs = {outcome.job_of(reference).job_uid, *record.earlier_uids}
    drivers = [each for each in stage.watcher.drivers.values() if each.job_uid in jobs]
    problem = _problem(stage, outcome, drivers, record)
    if outcome.verdict is Verdict.TIMED_OUT:
        # The outcome may have been recorded by another controller, with another clock or of another try.
        latest = max(process.clock.latest() for process in stage.processes)
        timed_out = any(latest >= deadline for deadline in stage.deadlines)
        problem = None if timed_out else "no deadline had passed"
    if problem is None and _differs(outcome, record):
        problem = f"on the Job stands: {record.outcome.verdict if record.outcome else None}"
    if problem is not None:
        stage.broken(f"false verdict on {record.name}: {outcome.verdict} ({outcome.message}): {problem}")


def _differs(outcome: Outcome, record: JobRecord) -> bool:
    """Whether the outcome recorded on the Job, which later controllers repeat, has another verdict."""
    if record.outcome is None or record.deleted or outcome.verdict is Verdict.TIMED_OUT:
        return False
    return record.outcome.verdict is not outcome.verdict


def _problem(stage: Stage, outcome: Outcome, drivers: list[Driver], record: JobRecord) -> str | None:
    """Why the verdict cannot be true; None if it may be."""
    verdict = outcome.verdict
    succeeded = [each for each in drivers if each.succeeded_at is not None]
    if verdict is Verdict.SUCCEEDED:
        return None if succeeded else "no driver has succeeded"
    if verdict is Verdict.TIMED_OUT:
        return None
    if succeeded and not record.deleted:
        return f"driver {succeeded[0].name} has succeeded"
    return _failure_problem(stage, outcome, drivers, record)


def _waited_in_vain(driver: Driver, now: float) -> bool:
    """Whether a driver has waited to start for long enough to be given up."""
    limits = [HOPELESS_SECONDS[reason] for reason in driver.waiting if reason in HOPELESS_SECONDS]
    begun = [at for reason, at in driver.waiting.items() if reason in HOPELESS_SECONDS]
    return bool(limits) and now - min(begun) >= min(limits) - MARGIN_SECONDS


def _kept_out(stage: Stage, cause: str | None) -> bool:
    """Whether pods were refused for long enough to give up, or images could not be pulled."""
    kind = Mishap.ADMISSION if cause == Cause.REFUSED else Mishap.IMAGE_PULL
    least = REFUSED_SECONDS - MARGIN_SECONDS if cause == Cause.REFUSED else 0.0
    mishaps = [each for each in stage.scenario.mishaps if each.mishap is kind and each.seconds >= least]
    if any(each.at + least <= stage.now for each in mishaps):
        return True
    return cause == Cause.REFUSED and any(
        _lacked_a_right(spell, least, stage.now) for spell in stage.scenario.spells
    )


def _lacked_a_right(spell: Spell, least: float, now: float) -> bool:
    """Whether nothing might be created for so long."""
    if spell.kind is not Kind.FORBIDDEN or "POST" not in (spell.verbs or ("POST",)):
        return False
    return spell.end - spell.start >= least and spell.start + least <= now


def _failure_problem(stage: Stage, outcome: Outcome, drivers: list[Driver], record: JobRecord) -> str | None:
    verdict = outcome.verdict
    codes = {each.exit_code for each in drivers if not each.succeeded_at}
    if verdict is Verdict.DRIVER_FAILED:
        return None if outcome.exit_code in codes - {0, None} else f"the drivers' exit codes are {codes}"
    if verdict is Verdict.DRIVER_OUT_OF_MEMORY:
        killed = any(each.reason == "OOMKilled" or each.exit_code == 52 for each in drivers)
        return None if killed else "no driver was killed for memory"
    if verdict is Verdict.DRIVER_LOST:
        if record.deleted:
            return None
        taken_away = sum(each.taken_away for each in drivers)
        limit = stage.limits[outcome.application]
        return None if taken_away > limit else f"it was taken away {taken_away} times of {limit} allowed"
    if verdict is Verdict.EXECUTOR_START_FAILED or outcome.cause == Cause.REFUSED:
        return None if _kept_out(stage, outcome.cause) else "nothing has kept its pods from starting"
    if verdict is Verdict.DRIVER_START_FAILED:
        waited = any(_waited_in_vain(each, stage.now) for each in drivers)
        return None if waited or "ConfigMap" in outcome.message else "its driver could start"
    if verdict is Verdict.EXECUTOR_MEMORY_SPENT:
        uids = {each.uid for each in drivers}
        return None if uids & stage.watcher.short_of_memory else "no executor was killed for memory"
    return "nothing of that kind happened"
