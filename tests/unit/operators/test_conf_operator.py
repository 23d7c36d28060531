"""Spark properties that are known only when the task runs, and secrets that Airflow must not store."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator
from tests.unit.operators.test_spark_kubernetes_job import SECRET, operator, shown


def test_a_value_of_conf_may_come_from_another_task_or_an_argument_of_the_dag() -> None:
    with DAG("d", schedule=None) as dag:
        before = SparkKubernetesJobOperator(task_id="b", application="local:///b.py")
        task = operator(
            conf={
                "spark.executor.instances": dag.param("n", 3),
                "spark.my.token": before.output,
                "spark.a": "1",
            }
        )
    assert task.upstream_task_ids == {"b"}
    DagSerialization.serialize(dag)

    class TI:
        def xcom_pull(self, **_: Any) -> str:
            return SECRET

    ready = task.prepare_for_execution()
    ready.render_template_fields({"ti": TI(), "dag_run": type("R", (), {"conf": {}})})
    assert ready._full_conf() == {"spark.executor.instances": "3", "spark.my.token": SECRET, "spark.a": "1"}
    assert shown(ready)["conf"] == {"spark.executor.instances": "3", "spark.my.token": "***", "spark.a": "1"}


def test_a_serialized_dag_holds_no_secret_of_mapped_tasks() -> None:
    conf = {"spark.my.token": SECRET, "spark.other.token": "{{ key }}", "spark.a": 1}
    with DAG("d", schedule=None) as dag:
        mapped = SparkKubernetesJobOperator.partial(task_id="m", application="local:///pi.py", conf=conf)
        mapped.expand(application_args=[["1"], ["2"]])
    assert SECRET not in json.dumps(DagSerialization.serialize(dag), default=str)
    task = copy.deepcopy(dag).get_task("m").unmap({"application_args": ["1"]})
    env = dag.get_template_env()
    task._do_render_template_fields(task, task.template_fields, {"key": "other"}, env, set())
    assert shown(task)["conf"] == {"spark.my.token": "***", "spark.other.token": "***", "spark.a": "1"}
    assert task._full_conf() == {"spark.my.token": SECRET, "spark.other.token": "other", "spark.a": "1"}


def test_a_task_is_no_template_of_mapped_ones() -> None:
    with pytest.raises(TypeError):
        operator().partial(task_id="m")
