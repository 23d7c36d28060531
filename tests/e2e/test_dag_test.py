"""`dag.test()`: what a DAG author runs in a debugger, with real Airflow, real Spark and no daemon."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_spark_k8s.core.job_state import job_state
from airflow_spark_k8s.core.labels import ANNOTATION_DAG_ID, LABEL_APPLICATION, LABEL_DEPLOYMENT
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.kube.paths import collection_path
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from tests.e2e.processes import PATIENCE_SECONDS, SMALL, copy_dags

pytestmark = [pytest.mark.airflow, pytest.mark.cluster, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_dags"
ABOUT_IMAGES = ("image", "spark_version")
OWNED = LABEL_APPLICATION
DEPLOYMENT = f"dag-test-{uuid.uuid4().hex[:8]}"  # not the same as in another session on the same cluster

Runs = list[dict[str, Any]]
RunDag = Callable[..., Runs]


def connection(**extra: Any) -> str:
    return json.dumps({"conn_type": "spark_kubernetes", "extra": extra})


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, spark_cluster: SparkCluster) -> dict[str, str]:
    """Environment of an Airflow with an empty database and a connection to the cluster."""
    home = tmp_path_factory.mktemp("airflow")
    extra = {**spark_cluster.connection_extra(), "conf": SMALL}
    nowhere = {"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}
    nowhere |= {"users": [{"name": "u", "user": {"token": "t"}}], "current-context": "x"}
    nowhere |= {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__SPARK_KUBERNETES__MINIMUM_TRIGGER_SECONDS": "0",
        "AIRFLOW__SPARK_KUBERNETES__DEPLOYMENT_ID": DEPLOYMENT,
        "AIRFLOW_CONN_SPARK_KUBERNETES_DEFAULT": connection(**extra),
        "AIRFLOW_CONN_NO_IMAGE": connection(**{k: v for k, v in extra.items() if k not in ABOUT_IMAGES}),
        "AIRFLOW_CONN_UNREACHABLE": connection(kube_config=nowhere, image="apache/spark:4.3.0"),
        "AIRFLOW_CONN_MALFORMED": connection(kube_config="- no\n- kubeconfig\n"),
    }
    airflow = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(airflow, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return environment


def command(dag_file: Path, dag_id: str, times: int, result: Path) -> list[str]:
    return [sys.executable, str(HERE / "run_dag.py"), str(dag_file), dag_id, str(times), str(result)]


@pytest.fixture
def run_dag(environment: dict[str, str], tmp_path: Path) -> RunDag:
    """Runs a DAG file's DAG some times in one process and returns what became of it."""

    def run(dag_file: Path, dag_id: str, times: int = 1, **more: str) -> Runs:
        result = tmp_path / "result.json"
        env = {**environment, "AIRFLOW__CORE__DAGS_FOLDER": str(dag_file.parent), **more}
        argv = command(dag_file, dag_id, times, result)
        with (tmp_path / "log").open("w") as log:
            done = subprocess.run(
                argv, env=env, stdout=log, stderr=log, check=False, timeout=2 * PATIENCE_SECONDS
            )
        output = (tmp_path / "log").read_text()
        assert done.returncode == 0, output[-4000:]
        runs: Runs = json.loads(result.read_text())
        runs[0]["log"] = output
        return runs

    return run


def objects(cluster: SparkCluster, kind: str, selector: str = OWNED) -> list[dict[str, Any]]:
    async def listed() -> list[dict[str, Any]]:
        settings = ClusterSettings(
            kube_config_path=str(cluster.kubeconfig_path), cluster_context=cluster.context
        )
        async with await ApiServer.open(settings) as api:
            path = collection_path(kind, cluster.namespace)
            answer = await api.request("GET", path, params={"labelSelector": selector})
            return list(answer["items"])

    return asyncio.run(listed())


def uids(cluster: SparkCluster) -> set[str]:
    """Uids of what this Airflow has in the cluster; what earlier runs left may go at any moment."""
    kinds = ("Job", "Pod", "Secret", "ConfigMap")
    found = [objects(cluster, kind, f"{LABEL_DEPLOYMENT}={DEPLOYMENT}") for kind in kinds]
    return {item["metadata"]["uid"] for items in found for item in items}


@pytest.mark.spark
def test_the_example_runs_twice_in_one_process(
    run_dag: RunDag, tmp_path: Path, spark_cluster: SparkCluster
) -> None:
    copy_dags(EXAMPLES, tmp_path / "dags", spark_cluster)
    runs = run_dag(tmp_path / "dags" / "spark_pi.py", "spark_pi", times=2)
    assert [run["state"] for run in runs] == ["success", "success"]
    log = runs[0]["log"]
    assert log.count("Pi is roughly 3.1") == 2
    for run in runs:
        summary = run["tasks"]["pi"]["xcom"]
        assert summary["verdict"] == "succeeded"
        assert summary["exit_code"] == 0
        assert len(summary["executors"]) == 3
    assert len({run["tasks"]["pi"]["xcom"]["application"] for run in runs}) == 2


def test_mistakes_are_refused_one_by_one_and_create_nothing(
    run_dag: RunDag, spark_cluster: SparkCluster
) -> None:
    before = uids(spark_cluster)
    (run,) = run_dag(HERE / "dags" / "refused.py", "refused")
    assert run["state"] == "failed"
    expected = {
        "unknown_connection": "nobody",
        "malformed_kubeconfig": "kube_config",
        "missing_file": "jobs/missing.py",
        "no_image": "image",
        "unknown_version": "spark_version",
        "unparsable_memory": "spark.executor.memory",
        "no_executors": "spark.executor.instances",
        "illegal_label": "spark.kubernetes.driver.label.team",
        "no_ui": "spark.ui.enabled",
        "contradiction": "spark.kubernetes.container.image",
        "volumes": "spark.kubernetes.driver.volumes.emptyDir.a.mount.path",
        "undefined_name": "nobody",
        "no_pod": "kind",
        "wrong_field": "contaners",
    }
    assert set(run["errors"]) == set(expected)
    messages = {task: run["errors"][task]["message"] for task in expected}
    assert {task: word for task, word in expected.items() if word not in messages[task]} == {}, messages
    types = {task: run["errors"][task]["type"] for task in expected}
    # Airflow may only have failed to look it up.
    assert types.pop("unknown_connection") == "UnknownConnection"
    # Another try would end the same way.
    assert set(types.values()) == {"AirflowFailException"}
    assert uids(spark_cluster) - before == set()


@pytest.mark.spark
def test_without_deferral_the_worker_does_it_all(run_dag: RunDag, spark_cluster: SparkCluster) -> None:
    (run,) = run_dag(HERE / "dags" / "on_worker.py", "on_worker")
    assert run["state"] == "success", run["errors"]
    summary = run["tasks"]["count"]["xcom"]
    assert summary["verdict"] == "succeeded"
    assert "counted to 1" in run["log"]
    assert "Pausing task as DEFERRED" not in run["log"]
    # A retention of 0 leaves nothing.
    eventually(lambda: objects(spark_cluster, "Job", f"{OWNED}={summary['application']}") == [])


@pytest.mark.spark
def test_the_time_limit_of_a_task_holds_on_the_worker(run_dag: RunDag, spark_cluster: SparkCluster) -> None:
    (run,) = run_dag(HERE / "dags" / "on_worker.py", "on_worker_late")
    assert run["state"] == "failed"
    assert run["errors"]["count"]["type"] in ("ApplicationTimedOut", "AirflowTaskTimeout")
    eventually(lambda: running_jobs(spark_cluster, "on_worker_late") == [])


@pytest.mark.spark
def test_a_killed_worker_takes_its_application_along(
    environment: dict[str, str], tmp_path: Path, spark_cluster: SparkCluster
) -> None:
    dag_file, result = HERE / "dags" / "on_worker.py", tmp_path / "result.json"
    env = {**environment, "AIRFLOW__CORE__DAGS_FOLDER": str(dag_file.parent)}
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            command(dag_file, "on_worker_killed", 1, result), env=env, stdout=log, stderr=log
        )
    try:
        eventually(lambda: running_jobs(spark_cluster, "on_worker_killed") != [])
        worker.terminate()
        worker.wait(60)
    finally:
        worker.kill()
        worker.wait()
    (run,) = json.loads(result.read_text())
    assert run["state"] == "failed"
    eventually(lambda: running_jobs(spark_cluster, "on_worker_killed") == [])


def running_jobs(cluster: SparkCluster, dag_id: str) -> list[str]:
    """Names of the Jobs of a DAG that have not ended."""
    return [
        job["metadata"]["name"]
        for job in objects(cluster, "Job", f"{LABEL_DEPLOYMENT}={DEPLOYMENT}")
        if (job["metadata"].get("annotations") or {}).get(ANNOTATION_DAG_ID) == dag_id
        and not job_state(job).finished
    ]


def eventually(holds: Callable[[], bool], timeout_seconds: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.5)
