"""A driver's own REST API, asked through the API server's pod proxy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    NotFound,
    ServerError,
    Unauthorized,
)
from airflow_spark_k8s.kube.cluster import Cluster

UI_PORT = 4040

MAX_FAILED_TASKS = 50
"""Of one answer: each has a stack of its own."""

_RESIDENT = ("ProcessTreeJVMRSSMemory", "ProcessTreePythonRSSMemory", "ProcessTreeOtherRSSMemory")
_BYTES_PER_MIB = 2**20

T = TypeVar("T")

StageAttempt = tuple[int, int]
"""Id of a stage, and which attempt of it."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """The driver's answer."""

    data: T


@dataclass(frozen=True, slots=True)
class NotYet:
    """The driver can be reached, or will be, but does not answer this yet, or no more: it starts or stops."""

    reason: str
    answers: bool = False  # the REST API is there, and does not know the application: it may run another


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known, and nothing may be concluded: the driver cannot be asked, now or at all."""

    reason: str
    retry_after_seconds: float = 0.0  # how long the API server wants to be left alone; 0: it did not say


Answer = Answered[T] | NotYet | Unknown


@dataclass(frozen=True, slots=True)
class SparkApplicationInfo:
    """What `/applications/<id>` tells."""

    application_id: str
    spark_version: str | None  # None: the driver does not tell


@dataclass(frozen=True, slots=True)
class SparkExecutor:
    """One entry of `/allexecutors` that is no driver."""

    executor_id: str
    is_active: bool
    total_cores: int
    active_tasks: int
    completed_tasks: int
    failed_tasks: int
    rdd_blocks: int
    remove_reason: str | None  # None: not removed, or Spark has forgotten
    peak_memory_mib: int | None = None  # resident memory of all its processes; None: not measured (yet)


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Tasks of the stages that run or wait, and of those that are complete."""

    active_stages: int
    total_tasks: int
    complete_tasks: int
    stages: Mapping[int, str] = field(default_factory=dict)  # id -> state of the latest attempt, all of them
    failed: Mapping[StageAttempt, int] = field(default_factory=dict)  # running ones -> their failed tasks


@dataclass(frozen=True, slots=True)
class FailedTask:
    """One attempt of a task that failed."""

    executor_id: int
    error: str  # free text, with a stack; empty: not told


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Tasks of all Spark jobs (actions) of the application."""

    total_tasks: int
    complete_tasks: int


class SparkRest:
    """The REST API of one driver pod; every method answers, none raises a ClusterError."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        driver_pod: str,
        application_id: str,
        *,
        port: int = UI_PORT,
        timeout_seconds: float = 10.0,
    ) -> None:
        self._cluster = cluster
        self._root = f"/api/v1/namespaces/{namespace}/pods/{driver_pod}:{port}/proxy/api/v1"
        self.application_id = application_id
        self._timeout_seconds = timeout_seconds

    async def application(self) -> Answer[SparkApplicationInfo]:
        """The application itself; `Answered` means that executors may register from now on."""
        return await self._ask("", application_from_json)

    async def applications(self) -> Answer[tuple[str, ...]]:
        """Ids of the applications that the driver knows, whatever their ids are."""
        return await self._get(
            f"{self._root}/applications", lambda body: tuple(str(entry["id"]) for entry in body)
        )

    async def executors(self) -> Answer[tuple[SparkExecutor, ...]]:
        """Every executor that ever registered and that the driver remembers, without the driver itself."""
        return await self._ask("/allexecutors", executors_from_json)

    async def tasks(self) -> Answer[TaskProgress]:
        """Progress by tasks, over all stages but the skipped ones."""
        return await self._ask("/stages", tasks_from_json, {"details": "false"})

    async def failed_tasks(self, of: StageAttempt, count: int) -> Answer[tuple[FailedTask, ...]]:
        """The `count` failed tasks of a stage; of many only those that were started last."""
        (stage, attempt), offset = of, max(count - MAX_FAILED_TASKS, 0)
        params = {"status": "failed", "sortBy": "ID", "offset": str(offset), "length": str(MAX_FAILED_TASKS)}
        return await self._ask(f"/stages/{stage}/{attempt}/taskList", failed_tasks_from_json, params)

    async def jobs(self) -> Answer[JobProgress]:
        """Progress by Spark jobs."""
        return await self._ask("/jobs", jobs_from_json)

    async def environment(self) -> Answer[dict[str, str]]:
        """The driver's Spark properties, with the values that Spark redacts."""
        return await self._ask("/environment", properties_from_json)

    async def _ask(
        self, path: str, parse: Callable[[Any], T], params: Mapping[str, str] | None = None
    ) -> Answer[T]:
        return await self._get(f"{self._root}/applications/{self.application_id}{path}", parse, params)

    async def _get(
        self, path: str, parse: Callable[[Any], T], params: Mapping[str, str] | None = None
    ) -> Answer[T]:
        try:
            text = await self._cluster.text(path, params=params, timeout_seconds=self._timeout_seconds)
        except ClusterError as error:
            return without_answer(error)
        try:
            return Answered(parse(json.loads(text)))
        except (ValueError, KeyError, TypeError, AttributeError):
            # While it starts, the UI answers every path with a page that asks for patience.
            return NotYet("the driver's UI answers, but not with the REST API")


def without_answer(error: ClusterError) -> NotYet | Unknown:
    """
    What a failed call through the pod proxy means.

    Source: k8s.io/apimachinery/pkg/util/proxy (`error trying to reach service: …`).
    """
    if isinstance(error, NotFound):
        return NotYet("the driver does not know the application (yet)", answers=True)
    if isinstance(error, Forbidden | Unauthorized):
        return Unknown(f"no right to the pod proxy: {error}")
    if isinstance(error, ServerError):
        return _from_proxy(error)
    if isinstance(error, ClusterUnreachable):
        return Unknown(f"the API server does not answer: {error}")
    return Unknown(str(error), retry_after_seconds=error.retry_after_seconds or 0.0)


_NOBODY_LISTENS = ("connection refused", "connection reset", "EOF", "no address")


def _from_proxy(error: ServerError) -> NotYet | Unknown:
    text = str(error)
    if any(sign in text for sign in _NOBODY_LISTENS):
        return NotYet("the driver's UI port is not open")
    patience = error.retry_after_seconds or 0.0
    return Unknown(f"the API server cannot reach the driver pod: {text}", retry_after_seconds=patience)


def application_from_json(body: Mapping[str, Any]) -> SparkApplicationInfo:
    """The application of an answer of `/applications/<id>`; its last attempt counts."""
    attempts: Sequence[Mapping[str, Any]] = body.get("attempts") or [{}]
    latest = attempts[0]
    return SparkApplicationInfo(body["id"], latest.get("appSparkVersion") or None)


def executors_from_json(body: Sequence[Mapping[str, Any]]) -> tuple[SparkExecutor, ...]:
    """The executors of an answer of `/allexecutors`."""
    return tuple(_executor(entry) for entry in body if entry["id"] != "driver")


def _executor(entry: Mapping[str, Any]) -> SparkExecutor:
    return SparkExecutor(
        executor_id=entry["id"],
        is_active=bool(entry["isActive"]),
        total_cores=entry.get("totalCores", 0),
        active_tasks=entry.get("activeTasks", 0),
        completed_tasks=entry.get("completedTasks", 0),
        failed_tasks=entry.get("failedTasks", 0),
        rdd_blocks=entry.get("rddBlocks", 0),
        remove_reason=entry.get("removeReason"),
        peak_memory_mib=_peak_memory_mib(entry.get("peakMemoryMetrics") or {}),
    )


def _peak_memory_mib(peaks: Mapping[str, int]) -> int | None:
    """
    The highest resident memory of the JVM, of Python and of other processes together, rounded up.

    Each has a peak of its own, at its own moment, and forked processes count what they share more than once:
    the true peak is at most this, except for what happened between two samples. All are 0 unless
    spark.executor.processTreeMetrics.enabled is true, and until they are sampled: with the first heartbeat,
    10 s after the start or later, or every spark.executor.metrics.pollingInterval if that is set.

    Source: org.apache.spark.metrics.ProcessTreeMetrics, org.apache.spark.executor.ExecutorMetricsPoller
    """
    return math.ceil(sum(peaks.get(name, 0) for name in _RESIDENT) / _BYTES_PER_MIB) or None


def tasks_from_json(body: Sequence[Mapping[str, Any]]) -> TaskProgress:
    """
    Sums over the stages of an answer of `/stages`; skipped stages count for nothing.

    Tasks done are counted by partition: a task that is repeated or speculated does not count twice. What a
    failed attempt of a stage left undone is in the next attempt's tasks.
    """
    stages = [stage for stage in body if stage["status"] != "SKIPPED"]
    return TaskProgress(
        active_stages=sum(stage["status"] == "ACTIVE" for stage in stages),
        total_tasks=sum(
            _complete(stage) if stage["status"] == "FAILED" else stage["numTasks"] for stage in stages
        ),
        complete_tasks=sum(_complete(stage) for stage in stages),
        stages=_latest_attempts(body),
        failed={
            (int(stage["stageId"]), int(stage.get("attemptId", 0))): stage["numFailedTasks"]
            for stage in stages
            if stage["status"] == "ACTIVE" and stage.get("numFailedTasks") and "stageId" in stage
        },
    )


def failed_tasks_from_json(body: Sequence[Mapping[str, Any]]) -> tuple[FailedTask, ...]:
    """The tasks of an answer of `/stages/<id>/<attempt>/taskList`."""
    return tuple(FailedTask(int(task["executorId"]), str(task.get("errorMessage") or "")) for task in body)


def _latest_attempts(body: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """The state of every stage; one that is repeated is in the answer once for each attempt."""
    ordered = sorted(body, key=lambda stage: int(stage.get("attemptId", 0)))
    return {int(stage["stageId"]): str(stage["status"]) for stage in ordered if "stageId" in stage}


def _complete(stage: Mapping[str, Any]) -> int:
    complete: int = stage.get("numCompletedIndices", stage.get("numCompleteTasks", 0))
    return complete


def jobs_from_json(body: Sequence[Mapping[str, Any]]) -> JobProgress:
    """Sums over the Spark jobs of an answer of `/jobs`."""
    return JobProgress(
        total_tasks=sum(job["numTasks"] - job.get("numSkippedTasks", 0) for job in body),
        complete_tasks=sum(_complete(job) for job in body),
    )


def properties_from_json(body: Mapping[str, Any]) -> dict[str, str]:
    """The Spark properties of an answer of `/environment`."""
    return {key: value for key, value in body["sparkProperties"]}
