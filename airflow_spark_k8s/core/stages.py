"""Stages of a Spark application, as far as it matters which of them are over."""

from __future__ import annotations

from collections.abc import Mapping

ACTIVE, PENDING, COMPLETE, FAILED, SKIPPED = "ACTIVE", "PENDING", "COMPLETE", "FAILED", "SKIPPED"
"""States of a stage's latest attempt, in the words of Spark's REST API."""

MAX_STAGES = 6
"""Stages remembered of one executor."""


def is_over(stages: Mapping[int, str], stage: int) -> bool:
    """
    Whether nothing of `stage` is left to run; False if that is not known.

    :param stages: id -> state of its latest attempt, as far as the driver remembers; empty: it never told.

    A driver forgets the oldest stages first. A stage that failed is repeated once what it reads has been
    computed again, unless its job was given up: then nothing waits for it, and a later job may have begun.

    Source: org.apache.spark.status.AppStatusListener, org.apache.spark.scheduler.DAGScheduler
    """
    state = stages.get(stage)
    if state is None:
        return any(other > stage for other in stages)
    if state != FAILED:
        return state in (COMPLETE, SKIPPED)
    awaited = any(other > stage and now == PENDING for other, now in stages.items())
    repeated = any(other < stage and now in (ACTIVE, PENDING) for other, now in stages.items())
    return max(stages) > stage and not awaited and not repeated


def at_work(stages: Mapping[int, str]) -> tuple[int, ...]:
    """
    The stages that run, or wait if none does, newest first, at most `MAX_STAGES`.

    One of them is to blame for what happens to an executor just now; the newest are the last to be over.
    """
    for wanted in (ACTIVE, PENDING):
        found = sorted((stage for stage, state in stages.items() if state == wanted), reverse=True)
        if found:
            return tuple(found[:MAX_STAGES])
    return ()
