from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    NotFound,
    ServerError,
    TooManyRequests,
)
from airflow_spark_k8s.kube.spark_rest import (
    MAX_FAILED_TASKS,
    Answered,
    FailedTask,
    JobProgress,
    NotYet,
    SparkApplicationInfo,
    SparkExecutor,
    SparkRest,
    TaskProgress,
    Unknown,
)
from tests.unit.kube.fake_api import Answers

APPLICATION = {
    "id": "pi-r0-abcde",
    "name": "pi",
    "attempts": [{"appSparkVersion": "4.3.0", "completed": False, "endTime": "1969-12-31T23:59:59.999GMT"}],
}
EXECUTORS = [
    {"id": "driver", "isActive": True, "hostPort": "10.0.0.1:7079", "totalCores": 0},
    {
        "id": "1",
        "hostPort": "10.0.0.2:40001",
        "isActive": True,
        "totalCores": 2,
        "activeTasks": 1,
        "completedTasks": 7,
        "failedTasks": 1,
        "rddBlocks": 3,
        "resourceProfileId": 0,
        "addTime": "2026-11-23T05:00:00.000GMT",
        "peakMemoryMetrics": {
            "JVMHeapMemory": 10**12,
            "ProcessTreeJVMVMemory": 10**12,
            "ProcessTreeJVMRSSMemory": 250 * 2**20,
            "ProcessTreePythonRSSMemory": 301 * 2**20 + 1,
            "ProcessTreeOtherRSSMemory": 2 * 2**20,
        },
    },
    {"id": "2", "isActive": False, "hostPort": "10.0.0.3:1", "removeReason": "Executor heartbeat timed out"},
]
STAGES = [
    {
        "status": "ACTIVE",
        "numTasks": 100,
        "numActiveTasks": 4,
        "numCompletedIndices": 30,
        "numCompleteTasks": 33,
    },
    {"status": "PENDING", "numTasks": 50, "numActiveTasks": 0, "numCompletedIndices": 0},
    {
        "status": "COMPLETE",
        "numTasks": 10,
        "numActiveTasks": 0,
        "numCompletedIndices": 10,
        "numFailedTasks": 2,
    },
    {"status": "FAILED", "numTasks": 70, "numActiveTasks": 0, "numCompletedIndices": 5, "numFailedTasks": 1},
    {"status": "SKIPPED", "numTasks": 999, "numActiveTasks": 0, "numCompletedIndices": 0},
]
JOBS = [
    {"status": "RUNNING", "numTasks": 60, "numSkippedTasks": 10, "numCompletedIndices": 20},
    {"status": "SUCCEEDED", "numTasks": 5, "numCompletedIndices": 5},
    {"status": "FAILED", "numTasks": 1, "numCompletedIndices": 0},
]


def rest(answers: dict[str, Any]) -> tuple[SparkRest, Answers]:
    cluster = Answers(answers)
    return SparkRest(cluster, "spark", "pi-r0-abcde", "pi-r0-abcde"), cluster  # type: ignore[arg-type]


async def test_the_driver_is_asked_through_the_pod_proxy() -> None:
    spark, cluster = rest({"/applications/pi-r0-abcde": APPLICATION})
    assert await spark.application() == Answered(SparkApplicationInfo("pi-r0-abcde", "4.3.0"))
    assert cluster.asked == [
        "/api/v1/namespaces/spark/pods/pi-r0-abcde:4040/proxy/api/v1/applications/pi-r0-abcde"
    ]


async def test_executors_are_told_without_the_driver() -> None:
    spark, _ = rest({"/applications/pi-r0-abcde/allexecutors": EXECUTORS})
    assert await spark.executors() == Answered(
        (
            SparkExecutor("1", True, 2, 1, 7, 1, 3, None, 554),
            SparkExecutor("2", False, 0, 0, 0, 0, 0, "Executor heartbeat timed out"),
        )
    )


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"peakMemoryMetrics": None},
        {"peakMemoryMetrics": {"JVMHeapMemory": 9, "ProcessTreeJVMRSSMemory": 0}},
    ],
    ids=["nothing told", "no task has reported", "processes are not measured"],
)
async def test_a_peak_that_was_not_measured_is_not_known(told: dict[str, Any]) -> None:
    spark, _ = rest({"/applications/pi-r0-abcde/allexecutors": [{"id": "1", "isActive": True, **told}]})
    answer = await spark.executors()
    assert isinstance(answer, Answered)
    assert [executor.peak_memory_mib for executor in answer.data] == [None]


async def test_tasks_are_summed_by_partition_without_skipped_stages_and_what_failed_ones_left() -> None:
    spark, _ = rest({"/applications/pi-r0-abcde/stages": STAGES})
    assert await spark.tasks() == Answered(TaskProgress(1, 165, 45))


async def test_the_latest_attempt_of_a_stage_counts() -> None:
    tasks = {"numTasks": 1, "numActiveTasks": 0}
    stages = [
        {"stageId": 8, "attemptId": 0, "status": "PENDING", **tasks},
        {"stageId": 7, "attemptId": 1, "status": "ACTIVE", **tasks},
        {"stageId": 7, "attemptId": 0, "status": "FAILED", **tasks},
        {"stageId": 6, "attemptId": 0, "status": "SKIPPED", **tasks},
    ]
    spark, _ = rest({"/applications/pi-r0-abcde/stages": stages})
    answer = await spark.tasks()
    assert isinstance(answer, Answered)
    assert answer.data.stages == {6: "SKIPPED", 7: "ACTIVE", 8: "PENDING"}


async def test_running_stages_with_failed_tasks_are_told_apart() -> None:
    tasks = {"numTasks": 1, "numActiveTasks": 0}
    stages = [
        {"stageId": 7, "attemptId": 1, "status": "ACTIVE", "numFailedTasks": 3, **tasks},
        {"stageId": 7, "attemptId": 0, "status": "FAILED", "numFailedTasks": 4, **tasks},
        {"stageId": 8, "attemptId": 0, "status": "ACTIVE", "numFailedTasks": 0, **tasks},
    ]
    spark, _ = rest({"/applications/pi-r0-abcde/stages": stages})
    answer = await spark.tasks()
    assert isinstance(answer, Answered)
    assert answer.data.failed == {(7, 1): 3}


@pytest.mark.parametrize(("count", "offset"), [(3, "0"), (MAX_FAILED_TASKS + 7, "7")])
async def test_of_failed_tasks_the_executor_and_the_error_are_told(count: int, offset: str) -> None:
    told = [{"executorId": "2", "errorMessage": "boom"}, {"executorId": "3"}]
    spark, cluster = rest({"/applications/pi-r0-abcde/stages/7/1/taskList": told})
    assert await spark.failed_tasks((7, 1), count) == Answered((FailedTask(2, "boom"), FailedTask(3, "")))
    assert cluster.params[-1] == {"status": "failed", "sortBy": "ID", "offset": offset, "length": "50"}


async def test_jobs_are_counted_by_state() -> None:
    spark, _ = rest({"/applications/pi-r0-abcde/jobs": JOBS})
    assert await spark.jobs() == Answered(JobProgress(56, 25))


async def test_the_environment_is_the_spark_properties() -> None:
    body = {"sparkProperties": [["spark.master", "k8s://https://x:443"], ["spark.executor.instances", "0"]]}
    spark, _ = rest({"/applications/pi-r0-abcde/environment": body})
    assert await spark.environment() == Answered(
        {"spark.master": "k8s://https://x:443", "spark.executor.instances": "0"}
    )


REFUSED = ServerError("error trying to reach service: dial tcp 10.0.0.1:4040: connect: connection refused")
NO_ROUTE = ServerError("error trying to reach service: dial tcp 10.0.0.1:4040: connect: no route to host")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(REFUSED, NotYet, id="nobody listens: not yet"),
        pytest.param(NotFound("no such app"), NotYet, id="the application is not there: not yet"),
        pytest.param(ServerError("error trying to reach service: EOF"), NotYet, id="hung up: not yet"),
        pytest.param(Forbidden("cannot get pods/proxy"), Unknown, id="no right: unknown"),
        pytest.param(NO_ROUTE, Unknown, id="the pod network is out of reach: unknown"),
        pytest.param(ClusterUnreachable("timed out"), Unknown, id="no answer in time: unknown"),
        pytest.param(TooManyRequests("slow down"), Unknown, id="throttled: unknown"),
    ],
)
async def test_without_an_answer(error: ClusterError, expected: type[NotYet | Unknown]) -> None:
    spark, _ = rest({"/applications": error})
    answer = await spark.applications()
    assert type(answer) is expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<html>Spark is starting up. Please wait a while until it's ready.</html>", id="a page"),
        pytest.param("{}", id="other JSON"),
        pytest.param("[]", id="a list"),
    ],
)
async def test_a_page_that_asks_for_patience_is_no_answer_yet(body: str) -> None:
    spark, _ = rest({"/applications/pi-r0-abcde": body})
    assert isinstance(await spark.application(), NotYet)
