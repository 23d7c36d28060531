"""How an application ended: the verdict, its evidence and what became of the executors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.memory_groups import MemoryGroup
from airflow_spark_k8s.core.memory_losses import Advice, MemoryLoss
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import (
    ApplicationFailed,
    ApplicationTimedOut,
    DriverFailed,
    DriverLost,
    DriverMisconfigured,
    DriverOutOfMemory,
    DriverRefused,
    DriverStartFailed,
    DriverTookOver,
    ExecutorMemorySpent,
    ExecutorStartFailed,
    ImagePullFailed,
    QuotaUsedUp,
    SightLost,
    SparkVersionMismatch,
    Unschedulable,
)

MAX_TABLE_ROWS = 200
"""Executors listed one by one in an outcome: more would not fit beside the other annotations of a Job."""


class Verdict(StrEnum):
    """What is said about an application in the end."""

    SUCCEEDED = "succeeded"
    DRIVER_FAILED = "driver failed"
    DRIVER_OUT_OF_MEMORY = "driver out of memory"
    DRIVER_LOST = "driver lost"
    DRIVER_TOOK_OVER = "driver took over"
    DRIVER_START_FAILED = "driver start failed"
    EXECUTOR_START_FAILED = "executor start failed"
    SPARK_VERSION_MISMATCH = "spark version mismatch"
    EXECUTOR_MEMORY_SPENT = "executor memory spent"
    TIMED_OUT = "timed out"
    SIGHT_LOST = "sight lost"


_ERRORS: Mapping[Verdict, type[ApplicationFailed]] = {
    Verdict.DRIVER_FAILED: DriverFailed,
    Verdict.DRIVER_OUT_OF_MEMORY: DriverOutOfMemory,
    Verdict.DRIVER_LOST: DriverLost,
    Verdict.DRIVER_TOOK_OVER: DriverTookOver,
    Verdict.DRIVER_START_FAILED: DriverStartFailed,
    Verdict.SPARK_VERSION_MISMATCH: SparkVersionMismatch,
    Verdict.EXECUTOR_MEMORY_SPENT: ExecutorMemorySpent,
    Verdict.EXECUTOR_START_FAILED: ExecutorStartFailed,
    Verdict.TIMED_OUT: ApplicationTimedOut,
    Verdict.SIGHT_LOST: SightLost,
}

_ERRORS_OF_CAUSE: Mapping[tuple[Verdict, str | None], type[ApplicationFailed]] = {
    (Verdict.DRIVER_START_FAILED, Cause.IMAGE): ImagePullFailed,
    (Verdict.DRIVER_START_FAILED, Cause.CONFIGURATION): DriverMisconfigured,
    (Verdict.DRIVER_START_FAILED, Cause.REFUSED): DriverRefused,
    (Verdict.TIMED_OUT, Cause.UNSCHEDULABLE): Unschedulable,
    (Verdict.TIMED_OUT, Cause.QUOTA): QuotaUsedUp,
}


@dataclass(frozen=True, slots=True)
class ExecutorRecord:
    """One line of the executor table."""

    executor_id: int
    pod: str
    state: str  # requested, pending, running, succeeded, failed, deleted or unknown
    node: str | None = None  # None: never scheduled
    reason: str | None = None  # None: nothing out of the ordinary
    exit_code: int | None = None  # None: still running, or nobody saw it end
    cores: int | None = None
    completed_tasks: int | None = None  # None: the driver's REST API never told
    failed_tasks: int | None = None
    kind: str | None = None  # how it ended, a value of EndKind; None: it runs, or nobody saw its end
    disruption: str | None = None  # why the cluster took it away; None: it did not
    peak_memory_mib: int | None = None  # of all its processes; None: never told
    memory_group: str | None = None  # burst or plain; None: no executor of the application bursts


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one application, as pushed to XCom and recorded on its Job."""

    verdict: Verdict
    message: str  # one sentence for the log and the exception
    namespace: str
    application: str  # value of the label airflow-spark-k8s/application
    job_name: str
    driver_pod: str | None = None  # None: no driver pod was ever seen
    application_id: str | None = None  # spark.app.id; None without a driver pod
    exit_code: int | None = None  # of the driver's container; None: not recorded
    reason: str | None = None  # of the driver's end, in Kubernetes' words
    cause: str | None = None  # of what never started, a value of Cause; None: it started, or nobody knows
    driver_restarts: int = 0  # driver pods beyond the first
    executors: tuple[ExecutorRecord, ...] = ()  # of the last driver, at most MAX_TABLE_ROWS
    executor_counts: Mapping[str, int] = field(
        default_factory=dict
    )  # state or reason -> executors, all of them
    # When the driver was asked last, which may be seconds before its end: it closes its interface first.
    completed_tasks: int | None = None  # None: the driver's REST API never told
    total_tasks: int | None = None
    driver_node: str | None = None
    spark_version: str | None = None  # what the driver reported; None: never told
    memory_groups: tuple[MemoryGroup, ...] = ()  # empty: no executor bursts
    ooms: tuple[MemoryLoss, ...] = ()  # executors of the last driver that ran out of memory, the latest
    advice: tuple[Advice, ...] = ()  # what would have spared them that
    job_uid: str | None = None  # None: recorded by a version that did not know

    @property
    def succeeded(self) -> bool:
        """Whether there is evidence that the driver ended well."""
        return self.verdict is Verdict.SUCCEEDED

    def job_of(self, reference: ApplicationReference) -> ApplicationReference:
        """`reference`, with the Job that the application ended in: it may not be the one that it began in."""
        if self.job_uid is None:
            return reference
        return replace(reference, job_name=self.job_name, job_uid=self.job_uid)

    def error(self, text: str | None = None) -> ApplicationFailed | None:
        """
        The exception to raise for this outcome, with `as_dict()` as its summary; None after success.

        :param text: what it says; None: the outcome's message.
        """
        error = _ERRORS_OF_CAUSE.get((self.verdict, self.cause)) or _ERRORS.get(self.verdict)
        return None if error is None else error(text or self.message, self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them."""
        return {
            **asdict(self),
            "verdict": self.verdict.value,
            "executors": [asdict(executor) for executor in self.executors],
            "executor_counts": dict(self.executor_counts),
            "memory_groups": [asdict(group) for group in self.memory_groups],
            "ooms": [{**asdict(loss), "stages": list(loss.stages)} for loss in self.ooms],
            "advice": [asdict(advice) for advice in self.advice],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Outcome:
        """
        The outcome that `as_dict` wrote, also by a newer version of this package.

        Raises:
            ValueError: these are no values of an outcome.

        """
        try:
            known = _known(cls, values)
            known["verdict"] = Verdict(known["verdict"])
            rows = known.get("executors", ())
            known["executors"] = tuple(ExecutorRecord(**_known(ExecutorRecord, row)) for row in rows)
            groups = known.get("memory_groups", ())
            known["memory_groups"] = tuple(MemoryGroup(**_known(MemoryGroup, group)) for group in groups)
            known["ooms"] = tuple(_loss(row) for row in known.get("ooms", ()))
            known["advice"] = tuple(Advice(**_known(Advice, row)) for row in known.get("advice", ()))
            return cls(**known)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no outcome: {error}") from error


def _loss(row: Mapping[str, Any]) -> MemoryLoss:
    known = _known(MemoryLoss, row)
    return MemoryLoss(**{**known, "stages": tuple(known.get("stages", ()))})


def _known(
    of: type[Outcome | ExecutorRecord | MemoryGroup | MemoryLoss | Advice], given: Mapping[str, Any]
) -> dict[str, Any]:
    names = {field.name for field in fields(of)}
    return {name: value for name, value in given.items() if name in names}
