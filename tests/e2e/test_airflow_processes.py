"""The whole path through real Airflow processes: scheduler, triggerer, dag processor and API server."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_spark_k8s.local.airflow import LocalAirflow
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from tests.e2e.processes import (
    PATIENCE_SECONDS,
    SMALL,
    copy_dags,
    finished,
    log_of,
    objects_of,
    wait_until,
)

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.cluster, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def airflow(spark_cluster: SparkCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    dags = tmp_path_factory.mktemp("dags")
    copy_dags(ROOT / "example_dags", dags, spark_cluster)
    copy_dags(Path(__file__).parent / "dags", dags, spark_cluster)
    extra = {
        name: value for name, value in spark_cluster.connection_extra().items() if name != "kube_config_path"
    }
    extra["conf"] = SMALL
    with LocalAirflow(dags, spark_cluster.kubeconfig_path, extra) as running:
        for dag_id in ("spark_pi", "slow_allocation", "killed_by_user", "too_slow", "fails"):
            running.wait_for_dag(dag_id)
        yield running


def test_the_example_dag_computes_pi_with_executors_of_the_trigger(
    airflow: LocalAirflow, spark_cluster: SparkCluster
) -> None:
    run_id = airflow.trigger("spark_pi")
    assert finished(airflow, "spark_pi", run_id) == "success"
    lines = log_of(airflow, "spark_pi", run_id, "pi")
    assert any("Pi is roughly 3.1" in line for line in lines)
    summary = airflow.xcom("spark_pi", run_id, "pi")
    assert summary["verdict"] == "succeeded"
    assert summary["exit_code"] == 0
    assert [row["executor_id"] for row in summary["executors"]] == [1, 2, 3]
    assert {row["state"] for row in summary["executors"]} == {"succeeded"}
    # Retention keeps the Job and what it owns, logs of driver and executors included; nothing of it runs.
    left = objects_of(spark_cluster, "spark_pi", run_id)
    assert len(left["jobs"]) == 1
    assert {pod["status"]["phase"] for pod in left["pods"]} == {"Succeeded"}
    assert left["jobs"][0]["spec"]["ttlSecondsAfterFinished"] == 600
    path = f"/api/v2/dags/spark_pi/dagRuns/{run_id}/taskInstances/pi"
    rendered = airflow.api("GET", path)["rendered_fields"]
    assert f"name: {summary['job_name']}" in rendered["driver_manifest"]
    assert "name: spark-kubernetes-driver" in rendered["driver_containers"]
    assert "name: spark-kubernetes-executor" in rendered["executor_containers"]
    assert "spark.properties: '***'" in rendered["other_manifests"]
    secret = left["secrets"][0]["data"]["auth-secret-base64"]
    assert secret not in json.dumps([left["jobs"], left["pods"], left["configmaps"], lines, rendered])


def test_a_triggerer_killed_in_mid_allocation_changes_nothing(
    airflow: LocalAirflow, spark_cluster: SparkCluster
) -> None:
    run_id = airflow.trigger("slow_allocation")

    def executors() -> set[str]:
        pods = objects_of(spark_cluster, "slow_allocation", run_id).get("pods", [])
        names = {pod["metadata"]["name"] for pod in pods}
        return {name for name in names if "-exec-" in name}

    wait_until(executors, seconds=PATIENCE_SECONDS, what="the first executor")
    assert len(executors()) < 3
    os.killpg(airflow.process("triggerer").pid, signal.SIGKILL)
    airflow.process("triggerer").wait()
    airflow.start("triggerer")
    assert finished(airflow, "slow_allocation", run_id) == "success"
    summary = airflow.xcom("slow_allocation", run_id, "count")
    assert summary["driver_restarts"] == 0
    assert [row["executor_id"] for row in summary["executors"]] == [1, 2, 3]
    assert any("counted to 15" in line for line in log_of(airflow, "slow_allocation", run_id))
    left = objects_of(spark_cluster, "slow_allocation", run_id)
    pods = [pod["metadata"]["name"] for pod in left["pods"]]
    assert [name for name in pods if "-exec-" not in name] == [summary["driver_pod"]]


def test_every_way_to_end_leaves_a_true_verdict_and_no_leftovers(
    airflow: LocalAirflow, spark_cluster: SparkCluster
) -> None:
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in ("fails", "too_slow", "killed_by_user")}

    def left(dag_id: str) -> dict[str, list[dict[str, Any]]]:
        return objects_of(spark_cluster, dag_id, runs[dag_id])

    def running_executor() -> bool:
        return any("-exec-" in pod["metadata"]["name"] for pod in left("killed_by_user").get("pods", []))

    wait_until(running_executor, seconds=PATIENCE_SECONDS, what="an executor of killed_by_user")
    run_id = runs["killed_by_user"]
    airflow.api(
        "PATCH",
        f"/api/v2/dags/killed_by_user/dagRuns/{run_id}/taskInstances/count",
        json={"new_state": "failed"},
    )
    # The grace periods of driver and executors, one after the other, and the garbage collector's time.
    wait_until(lambda: not left("killed_by_user"), seconds=180, what="removal after the kill")

    assert finished(airflow, "fails", runs["fails"]) == "failed"
    lines = log_of(airflow, "fails", runs["fails"])
    assert any("counted to 0" in line for line in lines)
    assert any(line.startswith("driver failed") and "exit code 3" in line for line in lines), lines

    assert finished(airflow, "too_slow", runs["too_slow"]) == "failed"
    assert any("execution_timeout" in line for line in log_of(airflow, "too_slow", runs["too_slow"]))
    wait_until(lambda: not left("too_slow"), seconds=180, what="removal after the deadline")
