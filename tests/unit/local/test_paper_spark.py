from __future__ import annotations

import json
from typing import Any

from airflow_spark_k8s.local.conditions import is_ready
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.kubelet_runtime import ProxyRequest
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_spark import PaperSpark, SparkModel
from airflow_spark_k8s.local.resources import PODS

PROBE = {"tcpSocket": {"port": 7078}, "periodSeconds": 1}


def driver(cluster: PaperCluster, name: str = "app") -> dict[str, Any]:
    container = {"name": "driver", "image": "spark", "readinessProbe": PROBE}
    metadata = {"name": name, "namespace": "default", "labels": {"spark-role": "driver"}}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return cluster.store.create(PODS, {"metadata": metadata, "spec": spec})


def executor(cluster: PaperCluster, number: int, app: str = "app", cores: int = 1) -> dict[str, Any]:
    labels = {"spark-role": "executor", "spark-app-selector": app, "spark-exec-id": str(number)}
    env = [{"name": "SPARK_EXECUTOR_CORES", "value": str(cores)}]
    spec = {"restartPolicy": "Never", "containers": [{"name": "executor", "image": "spark", "env": env}]}
    metadata = {"name": f"{app}-exec-{number}", "namespace": "default", "labels": labels}
    return cluster.store.create(PODS, {"metadata": metadata, "spec": spec})


def ask(cluster: PaperCluster, path: str, app: str = "app") -> Any:
    request = ProxyRequest("GET", 4040, f"/api/v1/applications/{app}{path}")
    answer = cluster.kubelets["node-1"].answer("default", app, request)
    if answer.refused:
        return None
    return json.loads(answer.body) if answer.status == 200 else answer.status


def phase(cluster: PaperCluster, name: str) -> str:
    return str(cluster.pod(name)["status"]["phase"])


def test_the_port_opens_before_the_application_is_there() -> None:
    cluster = PaperCluster()
    PaperSpark(cluster, SparkModel(port_seconds=2, application_seconds=6))
    driver(cluster)
    cluster.advance(4)
    open_port, early = is_ready(cluster.pod("app")), ask(cluster, "")
    cluster.advance(4)

    assert open_port
    assert early is None
    assert ask(cluster, "")["id"] == "app"
    assert ask(cluster, "", app="app")["attempts"][0]["appSparkVersion"] == "4.3.0"


def test_an_executor_that_comes_too_early_exits_1() -> None:
    cluster = PaperCluster()
    PaperSpark(cluster, SparkModel(application_seconds=20, registration_seconds=3))
    driver(cluster)
    executor(cluster, 1)
    cluster.advance(10)

    status = cluster.pod("app-exec-1")["status"]
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 1


def test_executors_register_and_the_tasks_get_done() -> None:
    cluster = PaperCluster()
    PaperSpark(cluster, SparkModel(tasks=20, task_seconds=1))
    driver(cluster)
    cluster.advance(10)
    executor(cluster, 1, cores=2)
    executor(cluster, 2)
    cluster.advance(8)
    executors, (stage,) = ask(cluster, "/allexecutors"), ask(cluster, "/stages")
    cluster.advance(10)

    assert [(each["id"], each["totalCores"]) for each in executors] == [("driver", 0), ("1", 2), ("2", 1)]
    assert 0 < stage["numCompletedIndices"] < 20
    assert [phase(cluster, name) for name in ("app", "app-exec-1", "app-exec-2")] == ["Succeeded"] * 3


def test_an_executor_can_be_made_not_to_register() -> None:
    cluster = PaperCluster()
    PaperSpark(cluster, SparkModel(lost_registrations=frozenset({"1"})))
    driver(cluster)
    cluster.advance(10)
    executor(cluster, 1)
    cluster.advance(30)

    assert [each["id"] for each in ask(cluster, "/allexecutors")] == ["driver"]
    assert phase(cluster, "app-exec-1") == "Running"


def test_a_lost_executor_is_no_longer_active() -> None:
    cluster = PaperCluster()
    PaperSpark(cluster, SparkModel(tasks=1000))
    driver(cluster)
    cluster.advance(10)
    pod = executor(cluster, 1)
    cluster.advance(10)
    cluster.runtime.kill(pod, reason="OOMKilled")
    cluster.advance(2)

    (entry,) = [each for each in ask(cluster, "/allexecutors") if each["id"] == "1"]
    assert entry["isActive"] is False
    assert [each["id"] for each in ask(cluster, "/executors")] == ["driver"]


def test_executors_of_a_lost_driver_exit_1() -> None:
    cluster = PaperCluster()
    PaperSpark(cluster, SparkModel(tasks=1000))
    pod = driver(cluster)
    cluster.advance(10)
    executor(cluster, 1)
    cluster.advance(10)
    cluster.runtime.kill(pod)
    cluster.advance(2)

    assert phase(cluster, "app-exec-1") == "Failed"


def test_without_a_ui_nothing_answers_but_work_goes_on() -> None:
    cluster = PaperCluster()
    PaperSpark(cluster, SparkModel(ui=False, tasks=5))
    driver(cluster)
    cluster.advance(10)
    executor(cluster, 1)
    cluster.advance(5)
    silent = ask(cluster, "")
    cluster.advance(20)

    assert silent is None
    assert phase(cluster, "app") == "Succeeded"


def test_a_thousand_executors_register() -> None:
    cluster = PaperCluster(nodes=[NodeOffer(name="node-1", cpu="3000", memory="8Ti", pods=3000)])
    PaperSpark(cluster, SparkModel(tasks=200_000))
    driver(cluster)
    cluster.advance(10)
    for number in range(1, 1001):
        executor(cluster, number)
    cluster.advance(10)

    assert len(ask(cluster, "/executors")) == 1001
