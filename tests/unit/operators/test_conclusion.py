from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.log import mask_secret

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import DriverTookOver, Forbidden
from airflow_spark_k8s.kube.paths import object_path
from airflow_spark_k8s.operators.conclusion import conclude
from tests.fakes.cluster import FakeCluster, Fault

JOB = object_path("Job", "spark", "a-r0")
LOG = object_path("Pod", "spark", "a-r0-abcde") + "/log"
REFERENCE = ApplicationReference(
    namespace="spark", application="a", job_name="a-r0", job_uid="uid-job", ti_id="ti"
)
FAILED = Outcome(
    verdict=Verdict.DRIVER_FAILED,
    message="exit code 1",
    namespace="spark",
    application="a",
    job_name="a-r0",
    driver_pod="a-r0-abcde",
    exit_code=1,
)
SUCCEEDED = replace(FAILED, verdict=Verdict.SUCCEEDED, exit_code=0)
LOCAL_MASTER = (
    "ERROR SparkContext: Error initializing SparkContext.\n"
    "java.lang.IllegalArgumentException: Secret keys provided via files is only allowed in Kubernetes mode.\n"
    + "\tat org.apache.spark.Deep.stack(Deep.scala:1)\n"
    * 60
)


class Lines:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, event: Any, *args: Any) -> None:
        self.infos.append(event % args if args else event)

    def warning(self, event: Any, *args: Any) -> None:
        self.warnings.append(event % args)


class Cluster(FakeCluster):
    """Takes JSON patches of the kind `test uid, then set` as well."""

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        body = more.get("body")
        if isinstance(body, list):
            test, change = body
            assert self.objects[path]["metadata"]["uid"] == test["value"]
            self.objects[path]["spec"][change["path"].rpartition("/")[2]] = change["value"]
            return self.objects[path]
        return await super().request(method, path, **more)


@pytest.fixture
def cluster() -> FakeCluster:
    cluster = Cluster()
    cluster.put(JOB, {"kind": "Job", "metadata": {"name": "a-r0", "uid": "uid-job"}, "spec": {}})
    return cluster


def says(cluster: FakeCluster, log: str) -> None:
    def tail(params: Any) -> str:
        return "".join(log.splitlines(keepends=True)[-int(params["tailLines"]) :])

    cluster.texts[LOG] = tail


async def concluded(
    cluster: FakeCluster, outcome: Outcome, log: Lines, log_lines: int = 2, retention_seconds: int = 60
) -> Outcome:
    return await conclude(
        cluster, REFERENCE, outcome, log_lines=log_lines, retention_seconds=retention_seconds, log=log
    )


@pytest.mark.parametrize("outcome", [SUCCEEDED, FAILED])
async def test_no_more_lines_are_printed_than_asked_for(cluster: FakeCluster, outcome: Outcome) -> None:
    says(cluster, "one\ntwo\nthree\n")
    log = Lines()
    assert await concluded(cluster, outcome, log) == outcome
    assert log.infos[1:-1] == ["two", "three"]


@pytest.mark.parametrize("outcome", [SUCCEEDED, FAILED])
async def test_no_lines_asked_for_are_no_lines(cluster: FakeCluster, outcome: Outcome) -> None:
    says(cluster, "one\n")
    log = Lines()
    await concluded(cluster, outcome, log, log_lines=0)
    assert log.infos == []


@pytest.mark.parametrize("log_lines", [0, 5])
async def test_code_that_sets_the_master_is_told_so(cluster: FakeCluster, log_lines: int) -> None:
    says(cluster, LOCAL_MASTER)
    outcome = await concluded(cluster, FAILED, Lines(), log_lines=log_lines)
    assert outcome.verdict is Verdict.DRIVER_TOOK_OVER
    assert isinstance(outcome.error(), DriverTookOver)
    assert "spark.master" in outcome.message
    assert outcome.exit_code == 1


@pytest.mark.parametrize("log_lines", [0, 5])
async def test_the_last_exception_of_the_log_is_part_of_the_message(
    cluster: FakeCluster, log_lines: int
) -> None:
    says(cluster, "Traceback (most recent call last):\n  File x\nValueError: no rows\n" + "stopping\n" * 50)
    outcome = await concluded(cluster, FAILED, Lines(), log_lines=log_lines)
    assert outcome.message == f"{FAILED.message}; its log says: ValueError: no rows"
    assert "ValueError: no rows" in str(outcome.error())


async def test_what_the_log_says_never_spoils_a_success(cluster: FakeCluster) -> None:
    says(cluster, LOCAL_MASTER)
    assert await concluded(cluster, SUCCEEDED, Lines(), log_lines=100) == SUCCEEDED


async def test_a_log_that_cannot_be_read_changes_nothing(cluster: FakeCluster) -> None:
    cluster.faults.append(Fault(lambda method, path: path == LOG, lambda: Forbidden("no", status=403)))
    log = Lines()
    assert await concluded(cluster, FAILED, log) == FAILED
    assert "cannot be read" in log.warnings[0]
    assert cluster.objects[JOB]["spec"]["ttlSecondsAfterFinished"] == 60


async def test_a_driver_that_is_gone_took_its_log_along(cluster: FakeCluster) -> None:
    log = Lines()
    assert await concluded(cluster, FAILED, log) == FAILED
    assert "is gone" in log.infos[0]


async def test_an_application_that_nobody_saw_end_is_left_alone(cluster: FakeCluster) -> None:
    says(cluster, "one\n")
    log = Lines()
    unseen = replace(FAILED, verdict=Verdict.SIGHT_LOST)
    assert await concluded(cluster, unseen, log, log_lines=100, retention_seconds=0) == unseen
    assert (log.infos, log.warnings) == ([], [])
    assert "ttlSecondsAfterFinished" not in cluster.objects[JOB]["spec"]


async def test_a_retention_of_zero_removes_the_job(cluster: FakeCluster) -> None:
    await concluded(cluster, replace(SUCCEEDED, driver_pod=None), Lines(), retention_seconds=0)
    assert JOB not in cluster.objects


async def test_a_secret_in_that_exception_is_not_told(cluster: FakeCluster) -> None:
    mask_secret("tr0ub4dor-and-3")
    says(cluster, "Traceback (most recent call last):\nValueError: cannot log in with tr0ub4dor-and-3\n")
    outcome = await concluded(cluster, FAILED, Lines())
    assert outcome.message == f"{FAILED.message}; its log says: ValueError: cannot log in with ***"
