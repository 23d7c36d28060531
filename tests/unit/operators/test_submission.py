"""What the task log says at submission."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_spark_k8s.core.settings import SETTINGS_KEY, ControllerSettings
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.operators.plan import Plan, arguments_of, make_plan
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator
from airflow_spark_k8s.operators.submission import Submission, Watching, submit_application
from tests.unit.kube.fake_api import FakeApi

SETTINGS = ConnectionSettings(cluster=ClusterSettings(), namespace="spark", image="apache/spark:4.3.0")


class Nodes(FakeApi):
    """A cluster with one small node."""

    def _answer(self, method: str, path: str, params: Any, body: Any, content_type: str) -> Any:
        if path == "/api/v1/nodes":
            return {"items": [{"metadata": {"name": "n"}, "status": {"allocatable": {"memory": "4Gi"}}}]}
        return super()._answer(method, path, params, body, content_type)


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def info(self, event: str, *args: object) -> None:
        self.lines.append(event % args)

    def warning(self, event: str, *args: object) -> None:
        self.warnings.append(event % args)


def plan(**kwargs: Any) -> Plan:
    task = SparkKubernetesJobOperator(task_id="t", application="local:///pi.py", **kwargs)
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1, id="ti")
    arguments = arguments_of(task, task._full_conf(), default_name="d.t")
    return make_plan(arguments, SETTINGS, {"dag": DAG("d", schedule=None), "ti": ti})


async def logged(cluster: FakeApi, **kwargs: Any) -> Log:
    log = Log()
    await submitted_to(cluster, log, **kwargs)
    return log


async def submitted_to(cluster: FakeApi, log: Log, **kwargs: Any) -> Submission:
    return await submitted_plan(cluster, log, plan(**kwargs))


async def submitted_plan(cluster: FakeApi, log: Log, submitted: Plan) -> Submission:
    async def connected() -> FakeApi:
        return cluster

    hook: Any = SimpleNamespace(cluster=connected)
    return await submit_application(hook, submitted, log=log, watching=Watching(to_the_end=False))


async def test_it_says_what_executors_may_use_and_how_they_are_treated() -> None:
    log = await logged(FakeApi(), conf={"spark.executor.memory": "8g"}, burst_factor="1.1")
    assert any(
        line.startswith("Executors: request 10321 MiB, limit 11468 MiB (1147 MiB shared, burst factor 1.1): ")
        and "QoS class Burstable" in line
        for line in log.lines
    )
    assert any(line.startswith("Driver: request ") for line in log.lines)
    assert log.warnings == []


async def test_pods_that_no_node_can_hold_are_warned_of() -> None:
    log = await logged(Nodes(), conf={"spark.executor.memory": "8g"})
    (warning,) = log.warnings
    assert warning.startswith("Executors: the pod requests 11468 MiB of memory (heap 8192 MiB, overhead 3276")


async def test_a_template_that_requests_less_than_the_heap_is_warned_of() -> None:
    container = {"name": "spark-kubernetes-executor", "resources": {"requests": {"memory": "512Mi"}}}
    log = await logged(FakeApi(), executor_template={"spec": {"containers": [container]}})
    (warning,) = log.warnings
    assert "less than the JVM's heap of 1024 MiB" in warning


async def test_executors_may_grow_to_what_the_largest_node_leaves_room_for() -> None:
    cluster = Nodes()
    submitted = await submitted_to(cluster, Log(), conf={"spark.executor.memory": "2g"})
    (app,) = [one for name, one in cluster.of_kind("configmaps").items() if name.endswith("-app")]
    recovery = ControllerSettings.from_json(app["data"][SETTINGS_KEY]).recovery
    assert recovery is not None
    assert recovery.max_executor_memory_mib == submitted.node_limit_mib == 4096 * 19 // 20


async def test_a_limit_of_the_task_is_not_one_of_the_nodes() -> None:
    submitted = await submitted_to(Nodes(), Log(), max_executor_memory="8g")
    assert submitted.node_limit_mib is None


async def test_a_priority_class_that_is_not_there_creates_nothing() -> None:
    cluster = FakeApi()
    with pytest.raises(InvalidConfiguration, match=r"^executor_priority_class='vip': no such priority class"):
        await logged(cluster, executor_priority_class="vip")
    assert cluster.objects == {}
