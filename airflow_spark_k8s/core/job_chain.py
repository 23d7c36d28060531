"""The Jobs of one application: the one that counts, those before it, and the one that is being made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from airflow_spark_k8s.core.job_state import JobState

MAX_ORDINAL = 99
"""The highest ordinal for which an application's name leaves room; see `core.identity`."""

_ORDINAL = re.compile(r"(.*)-r(\d+)")


@dataclass(frozen=True, slots=True)
class JobChain:
    """Jobs that continue one another."""

    job: JobState | None = None  # the one that counts; None: there is none
    next_job: JobState | None = None  # in the making, to continue that one
    earlier_jobs: tuple[JobState, ...] = ()  # still there, oldest first


def job_chain(jobs: Iterable[JobState], uid: str) -> JobChain:
    """
    The chain that the Job with this uid belongs to.

    The Job that counts is the youngest that has been resumed: one in the making may never start.
    """
    known = sorted(jobs, key=lambda job: len(job.earlier_uids))
    later = [job for job in known if uid in (job.uid, *job.earlier_uids)]
    resumed = [job for job in later if not job.in_the_making]
    if not resumed:
        return JobChain()
    current = resumed[-1]
    return JobChain(
        job=current,
        next_job=next(
            (job for job in later if job.in_the_making and job.earlier_uids[-1] == current.uid), None
        ),
        earlier_jobs=tuple(job for job in known if job.uid in current.earlier_uids and not job.deleting),
    )


def jobs_of_chain(jobs: Iterable[JobState], uid: str) -> tuple[JobState, ...]:
    """The Job with this uid, those that it continues and those that continue it; oldest first."""
    known = sorted((job for job in jobs if not job.deleting), key=lambda job: len(job.earlier_uids))
    own = {uid} | {each for job in known if job.uid == uid for each in job.earlier_uids}
    return tuple(job for job in known if job.uid in own or uid in job.earlier_uids)


def next_job_name(job_name: str) -> str | None:
    """The name of the Job that continues the one with this name; None if no ordinal is left."""
    found = _ORDINAL.fullmatch(job_name)
    if found is None or int(found[2]) >= MAX_ORDINAL:
        return None
    return f"{found[1]}-r{int(found[2]) + 1}"
