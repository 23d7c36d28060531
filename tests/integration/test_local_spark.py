"""Real Spark on the local cluster with hand-made driver and executor pods: nothing else of this package."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from kubernetes_asyncio import client, config

from airflow_spark_k8s.local.cluster import LocalCluster

pytestmark = [pytest.mark.spark, pytest.mark.timeout(240)]

SUFFICIENT = 0.05

APPLICATION = """
import operator, random, time
from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("pi").getOrCreate()
tracker = spark.sparkContext._jsc.sc().statusTracker()

def wait_for_executors(number):
    while len(tracker.getExecutorInfos()) - 1 != number:
        time.sleep(0.1)

def pi(partitions):
    def hit(_):
        x, y = random.random() * 2 - 1, random.random() * 2 - 1
        return 1 if x * x + y * y <= 1 else 0
    n = 20000 * partitions
    hits = spark.sparkContext.parallelize(range(n), partitions).map(hit).reduce(operator.add)
    return 4.0 * hits / n

wait_for_executors(2)
print("Pi with two executors is roughly", pi(8), flush=True)
wait_for_executors(1)
print("Pi with one executor is roughly", pi(4), flush=True)
wait_for_executors(0)
spark.stop()
"""

DRIVER_CONF = {
    "spark.kubernetes.namespace": "$(POD_NAMESPACE)",
    "spark.kubernetes.driver.pod.name": "$(POD_NAME)",
    "spark.app.id": "$(POD_NAME)",
    "spark.driver.host": "$(POD_IP)",
    "spark.driver.port": "7078",
    "spark.driver.blockManager.port": "7079",
    "spark.ui.port": "4040",
    "spark.dynamicAllocation.executorIdleTimeout": "2147483647s",
    "spark.executor.maxNumFailures": "1000",
    "spark.kubernetes.executor.deleteOnTermination": "false",
    "spark.decommission.enabled": "true",
    # Only the watch may tell the driver of a deleted executor: polling comes too late for this test.
    "spark.kubernetes.executor.apiPollingInterval": "1h",
}


def container(name: str, args: list[str], env: list[dict[str, Any]], image: str) -> dict[str, Any]:
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "POD_IP": "status.podIP"}
    downward = [{"name": n, "valueFrom": {"fieldRef": {"fieldPath": path}}} for n, path in fields.items()]
    return {
        "name": name,
        "image": image,
        "args": args,
        "env": [*downward, *env, {"name": "SPARK_LOCAL_DIRS", "value": "/var/data/spark"}],
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1408Mi"}},
        "volumeMounts": [{"name": "spark-local-dir-1", "mountPath": "/var/data/spark"}],
    }


def driver(name: str, image: str) -> dict[str, Any]:
    args = ["driver", "--master", "k8s://https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"]
    for key, value in DRIVER_CONF.items():
        args += ["--conf", f"{key}={value}"]
    env = [
        {"name": "SPARK_DRIVER_BIND_ADDRESS", "value": "$(POD_IP)"},
        {"name": "SPARK_SUBMIT_OPTS", "value": "-Dspark.executor.instances=0"},
    ]
    spark = container("spark-kubernetes-driver", [*args, "/opt/app/app.py"], env, image)
    spark["volumeMounts"].append({"name": "app", "mountPath": "/opt/app"})
    return {
        "metadata": {"name": name, "labels": {"spark-role": "driver"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [spark],
            "volumes": [
                {"name": "app", "configMap": {"name": f"{name}-app"}},
                {"name": "spark-local-dir-1", "emptyDir": {}},
            ],
        },
    }


def executor(driver_pod: Any, number: int, image: str, *, decommissions: bool) -> dict[str, Any]:
    name = driver_pod.metadata.name
    values = {
        "SPARK_DRIVER_URL": f"spark://CoarseGrainedScheduler@{driver_pod.status.pod_ip}:7078",
        "SPARK_EXECUTOR_ID": str(number),
        "SPARK_EXECUTOR_CORES": "1",
        "SPARK_EXECUTOR_MEMORY": "512m",
        "SPARK_APPLICATION_ID": name,
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "$(POD_NAME)",
        "SPARK_EXECUTOR_POD_IP": "$(POD_IP)",
        "SPARK_JAVA_OPT_0": "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
        "SPARK_JAVA_OPT_1": "--add-opens=java.base/java.nio=ALL-UNNAMED",
    }
    env = [{"name": n, "value": value} for n, value in values.items()]
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": name,
        "uid": driver_pod.metadata.uid,
        "controller": True,
    }
    spark = container("spark-kubernetes-executor", ["executor"], env, image)
    if decommissions:
        spark["lifecycle"] = {"preStop": {"exec": {"command": ["/opt/decom.sh"]}}}
    return {
        "metadata": {
            "name": f"{name}-exec-{number}",
            "labels": {
                "spark-app-selector": name,
                "spark-role": "executor",
                "spark-exec-id": str(number),
                "spark-exec-resourceprofile-id": "0",
            },
            "ownerReferences": [owner],
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [spark],
            "volumes": [{"name": "spark-local-dir-1", "emptyDir": {}}],
        },
    }


class Pods:
    """Pods of one namespace, with waiting."""

    def __init__(self, api: client.CoreV1Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    async def create(self, body: dict[str, Any]) -> Any:
        return await self.api.create_namespaced_pod(self.namespace, body)

    async def get(self, name: str) -> Any:
        return await self.api.read_namespaced_pod(name, self.namespace)

    async def log(self, name: str) -> str:
        return str(await self.api.read_namespaced_pod_log(name, self.namespace))

    async def until(self, name: str, condition: Callable[[Any], bool]) -> Any:
        while not condition(pod := await self.get(name)):
            if pod.status.phase == "Failed":
                pytest.fail(f"{name} failed:\n{await self.log(name)}")
            await asyncio.sleep(0.2)
        return pod

    async def until_log(self, name: str, text: str) -> None:
        while text not in await self.log(name):
            await self.until(name, lambda _: True)
            await asyncio.sleep(0.2)

    async def until_gone(self, name: str) -> None:
        while True:
            try:
                await self.get(name)
            except client.ApiException as error:
                if error.status == 404:
                    return
                raise
            await asyncio.sleep(0.1)

    async def spark_rest(self, name: str, path: str) -> Any:
        while True:
            try:
                answer = await self.api.connect_get_namespaced_pod_proxy_with_path(
                    f"{name}:4040",
                    self.namespace,
                    f"api/v1/applications/{name}{path}",
                    _preload_content=False,
                )
                body = await answer.read()
                # Before the context is there, the UI answers every path with 200 and a sentence.
                if answer.status == 200 and body[:1] in b"{[":
                    return json.loads(body)
            except client.ApiException as error:
                if error.status not in (404, 503):
                    raise
            await asyncio.sleep(0.2)


@pytest.fixture(scope="module")
def hand_made() -> Iterator[LocalCluster]:
    """A cluster where drivers may do everything: these ones use Spark's own settings."""
    with LocalCluster() as cluster:
        yield cluster


@pytest_asyncio.fixture
async def pods(hand_made: LocalCluster) -> AsyncIterator[Pods]:
    connection = await config.new_client_from_config(
        config_file=str(hand_made.kubeconfig_path), context=hand_made.context
    )
    async with connection:
        yield Pods(client.CoreV1Api(connection), hand_made.namespace)


async def test_pi_with_hand_made_executors(pods: Pods, hand_made: LocalCluster) -> None:
    name, image = "hand-made-pi", hand_made.spark_image
    app = {"metadata": {"name": f"{name}-app"}, "data": {"app.py": APPLICATION}}
    await pods.api.create_namespaced_config_map(pods.namespace, app)
    await pods.create(driver(name, image))
    running = await pods.until(name, lambda pod: pod.status.phase == "Running")
    await pods.spark_rest(name, "")
    for number in (1, 2):
        await pods.create(executor(running, number, image, decommissions=number == 1))

    await pods.until_log(name, "Pi with two executors")
    executors = await pods.spark_rest(name, "/executors")
    assert {e["id"] for e in executors} == {"driver", "1", "2"}
    await pods.api.delete_namespaced_pod(f"{name}-exec-2", pods.namespace)
    await pods.until_log(name, "Pi with one executor")
    await pods.api.delete_namespaced_pod(f"{name}-exec-1", pods.namespace)

    done = await pods.until(name, lambda pod: pod.status.phase == "Succeeded")
    assert done.status.container_statuses[0].state.terminated.exit_code == 0
    log = await pods.log(name)
    results = [float(n) for n in re.findall(r"Pi with .* is roughly ([\d.]+)", log)]
    assert len(results) == 2
    assert all(abs(result - 3.1416) < SUFFICIENT for result in results)

    assert "executor with id 2 was deleted" in log
    assert re.search(r"Executor 1 on \S+ is decommissioned", log)
    await pods.api.delete_namespaced_pod(name, pods.namespace)
    await pods.until_gone(f"{name}-exec-1")
    await pods.api.delete_namespaced_config_map(f"{name}-app", pods.namespace)
