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
from airflow_spark_k8s.operators.learning import KEY
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
        for dag_id in (
            "spark_pi",
            "burst_memory",
            "slow_allocation",
            "killed_by_user",
            "too_slow",
            "fails",
            "cannot_start",
            "learns",
        ):
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


def test_executors_that_burst_are_told_of_and_compared(
    airflow: LocalAirflow, spark_cluster: SparkCluster
) -> None:
    run_id = airflow.trigger("burst_memory", {"burst_factor": 1.5})
    assert finished(airflow, "burst_memory", run_id) == "success"
    lines = log_of(airflow, "burst_memory", run_id, "trial")
    quality = [line for line in lines if "QoS class" in line and line.startswith("Executors")]
    assert len(quality) == 2, lines
    assert "(50 % of them)" in quality[0]
    assert "request 768 MiB, limit 1536 MiB (768 MiB shared, burst factor 1.5)" in quality[0]
    assert "QoS class Burstable" in quality[0]
    assert "request 1536 MiB, limit 1536 MiB" in quality[1]
    groups = airflow.xcom("burst_memory", run_id, "trial")["memory_groups"]
    told = [(row["name"], row["burst_factor"], row["request_mib"], row["executors"]) for row in groups]
    assert told == [("burst", "1.5", 768, 1), ("plain", "1", 1536, 1)]
    assert all(row["limit_mib"] == 1536 for row in groups)
    # A task holds 500 MiB in a Python worker; it may be that one executor gets all of them.
    peaks = [row["peak_memory_mib"] for row in groups]
    assert 0 < min(peaks) <= max(peaks) < 1536, groups
    assert max(peaks) > 500, groups
    assert all(row["out_of_memory_kills"] == row["evictions"] == 0 for row in groups), groups
    assert sum(line.split()[:3] in (["burst", "1.5", "768"], ["plain", "1", "1536"]) for line in lines) == 2

    compared = [mapped(airflow, run_id, index) for index in (0, 1)]
    requests = [row["request_mib"] for summary in compared for row in summary["memory_groups"]]
    assert requests == [1152, 615]

    left = objects_of(spark_cluster, "burst_memory", run_id)
    of_trial = [pod for pod in left["pods"] if "trial" in pod["metadata"]["name"]]
    shapes = {
        (
            pod["metadata"]["labels"]["spark-exec-id"],
            pod["metadata"]["labels"]["airflow-spark-k8s/memory"],
            pod["spec"]["containers"][0]["resources"]["requests"]["memory"],
        )
        for pod in of_trial
        if pod["metadata"]["labels"]["spark-role"] == "executor"
    }
    assert shapes == {("1", "burst", "768Mi"), ("2", "plain", "1536Mi")}
    path = f"/api/v2/dags/burst_memory/dagRuns/{run_id}/taskInstances/trial"
    rendered = airflow.api("GET", path)["rendered_fields"]
    assert rendered["burst_factor"] == {"factor": "1.5", "fraction": 0.5}
    assert "memory: 768Mi" in rendered["executor_containers"]
    assert "memory: 1536Mi" in rendered["executor_containers"]
    assert "airflow-spark-k8s/memory: plain" in rendered["plain_executor_manifest"]
    assert "memory: 768Mi" not in rendered["plain_executor_containers"]
    secrets = {secret["data"]["auth-secret-base64"] for secret in left["secrets"]}
    told_to_users = json.dumps([left["jobs"], left["pods"], left["configmaps"], lines, rendered])
    assert not any(secret in told_to_users for secret in secrets)


def mapped(airflow: LocalAirflow, run_id: str, index: int) -> dict[str, Any]:
    """Summary of one mapped task of `burst_memory`."""
    path = f"/api/v2/dags/burst_memory/dagRuns/{run_id}/taskInstances/compare"
    return xcom_of_mapped(airflow, path, "return_value", index)


def xcom_of_mapped(airflow: LocalAirflow, path: str, key: str, index: int = 0) -> dict[str, Any]:
    params = {"map_index": index, "deserialize": "false", "stringify": "false"}
    value: dict[str, Any] = airflow.api("GET", f"{path}/xcomEntries/{key}", params=params)["value"]
    return value


def test_the_next_try_and_the_next_run_start_with_what_the_first_try_needed(airflow: LocalAirflow) -> None:
    first = airflow.trigger("learns")
    assert finished(airflow, "learns", first) == "success"
    path = f"/api/v2/dags/learns/dagRuns/{first}/taskInstances/skewed"
    failed, succeeded = log_of_mapped(airflow, path, 1), log_of_mapped(airflow, path, 2)
    assert any(line.startswith("executor memory spent: ") for line in failed), failed
    assert any(line.startswith("Kept for the next try of this task: ") for line in failed), failed
    (started,) = [line for line in succeeded if line.startswith("starting with ")]
    assert "recoveryMode.enabled=true" in started
    assert f"as try 1 of run {first} learnt: spark.executor.cores 2 -> 1: executor 1 was killed" in started
    assert xcom_of_mapped(airflow, path, "return_value")["ooms"] == []
    assert xcom_of_mapped(airflow, path, KEY)["origin"] == f"try 1 of run {first}"

    second = airflow.trigger("learns")
    assert finished(airflow, "learns", second) == "success"
    path = f"/api/v2/dags/learns/dagRuns/{second}/taskInstances/skewed"
    (started,) = [line for line in log_of_mapped(airflow, path, 1) if line.startswith("starting with ")]
    assert f"as try 1 of run {first} learnt" in started
    assert xcom_of_mapped(airflow, path, "return_value")["verdict"] == "succeeded"
    assert xcom_of_mapped(airflow, path, KEY)["origin"] == f"try 1 of run {first}", "for the run after that"


def log_of_mapped(airflow: LocalAirflow, path: str, try_number: int) -> list[str]:
    params = {"map_index": 0, "full_content": "true"}
    content = airflow.api("GET", f"{path}/logs/{try_number}", params=params)["content"]
    return [str(entry.get("event", "")) if isinstance(entry, dict) else entry for entry in content]


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
    runs["cannot_start"] = airflow.trigger("cannot_start")

    assert finished(airflow, "fails", runs["fails"]) == "failed"
    lines = log_of(airflow, "fails", runs["fails"])
    assert any("counted to 0" in line for line in lines)
    assert any(line.startswith("driver failed") and "exit code 3" in line for line in lines), lines

    assert finished(airflow, "too_slow", runs["too_slow"]) == "failed"
    assert any("execution_timeout" in line for line in log_of(airflow, "too_slow", runs["too_slow"]))
    wait_until(lambda: not left("too_slow"), seconds=180, what="removal after the deadline")

    assert finished(airflow, "cannot_start", runs["cannot_start"]) == "failed"
    lines = log_of(airflow, "cannot_start", runs["cannot_start"])
    why = 'CreateContainerConfigError: secret "nope" not found'
    assert any(line.startswith("driver pod") and "is pending" in line and why in line for line in lines), (
        lines
    )
    # The retry policy knows the verdict by its class.
    assert airflow.task_instance("cannot_start", runs["cannot_start"], "count")["try_number"] == 1
