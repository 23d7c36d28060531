"""What a plan asks the shell to do: values, each of which becomes at most one call, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import History
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.core.size import Size


@dataclass(frozen=True, slots=True)
class Note:
    """Say one line: something has changed."""

    text: str


@dataclass(frozen=True, slots=True)
class MarkDriver:
    """Write executor ids and ended executors on the driver pod, if it is still at this resource version."""

    driver_name: str
    driver_uid: str
    resource_version: str
    marks: IdMarks | None = None  # None: leave them
    first_new: int | None = None  # lowest id that these marks reserve; None: they reserve none
    history: History | None = None  # None: leave it


@dataclass(frozen=True, slots=True)
class CreateExecutor:
    """Create one executor pod; that it exists already is success."""

    executor_id: int
    driver_name: str
    driver_uid: str
    driver_ip: str
    not_after: float  # the right to create this id ends here; too late: leave it, somebody else may have it
    size: Size | None = None  # None: what the task says


@dataclass(frozen=True, slots=True)
class FindExecutor:
    """Ask the API server itself whether the pod of an id is there; a watch may be late."""

    executor_id: int
    driver_name: str
    driver_uid: str


@dataclass(frozen=True, slots=True)
class ListPods:
    """Ask the API server itself for all pods of the application; a watch may be silent."""


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete one pod, if it is still this one; that it is gone is success."""

    name: str
    uid: str
    grace_seconds: int | None = None  # None: what the pod says


@dataclass(frozen=True, slots=True)
class RemoveByForce:
    """
    Delete a driver pod without waiting for its node, if it is still this one; that it is gone is success.

    Its Job's finalizer goes as well: it would keep the pod until its node has confirmed the end.
    """

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RecordDrivers:
    """Write the uids of all driver pods seen on the Job, if it is still at this resource version."""

    job_name: str
    resource_version: str
    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """
    Write the outcome on the Job, if it is still at this resource version.

    With `stop` the same write makes the Job end: its pods are removed, it stays with the outcome on it until
    its time to live is over.
    """

    job_name: str
    resource_version: str
    outcome: Outcome
    stop: bool


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the Job and all it owns, if it is still this one; that it is gone is success."""

    name: str
    uid: str
    propagation: Literal["Background", "Foreground"] = "Background"


@dataclass(frozen=True, slots=True)
class MarkContinued:
    """Write on the Job which one continues it, if it is still at this resource version."""

    job_name: str
    resource_version: str
    continued_by: str


@dataclass(frozen=True, slots=True)
class StartAgain:
    """
    Have the next Job continue this one: create it, let it own what the application needs, and resume it.

    Any step may have been made by another controller already; that counts as success.
    """

    job_name: str
    job_uid: str
    driver_uids: tuple[str, ...]  # of all driver pods so far


@dataclass(frozen=True, slots=True)
class ShowDriverLog:
    """Say the last lines of a driver's log, before its pod is removed."""

    driver_name: str
    lines: int = 30


@dataclass(frozen=True, slots=True)
class ShowExecutorLog:
    """Say the last lines of an executor's log, before its pod is removed."""

    pod_name: str
    pod_uid: str
    lines: int = 20


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """
    Ask the API server what happened to an object.

    Without `uid` the object is a pod that is gone: it is asked about once, and a failed call counts as "no
    events". With `uid` the object waits to start: whether the call succeeded is remembered.
    """

    name: str
    kind: Literal["Pod", "Job"] = "Pod"
    uid: str = ""


Action = (
    Note
    | MarkDriver
    | CreateExecutor
    | FindExecutor
    | ListPods
    | DeletePod
    | RemoveByForce
    | RecordDrivers
    | RecordOutcome
    | DeleteJob
    | MarkContinued
    | StartAgain
    | ShowDriverLog
    | ShowExecutorLog
    | ReadEvents
)


class Trouble(StrEnum):
    """What a call met, as far as it matters for the next attempt."""

    NONE = "none"
    ABSENT = "absent"  # what was looked for is not there
    CONFLICT = "conflict"  # what was seen is out of date; nothing was done
    REFUSED = "refused"  # the server said no, and may say yes later; nothing was done
    UNCERTAIN = "uncertain"  # no answer: it may have been done


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one action."""

    action: Action
    trouble: Trouble = Trouble.NONE
    message: str = ""  # of the trouble, one line
    retry_after_seconds: float = 0.0  # what the server asked for
