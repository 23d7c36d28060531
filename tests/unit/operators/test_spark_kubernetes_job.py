from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields
from airflow.serialization.serialized_objects import DagSerialization

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

SECRET = "correct-horse-battery"


def operator(**kwargs: Any) -> SparkKubernetesJobOperator:
    return SparkKubernetesJobOperator(task_id="t", **{"application": "local:///pi.py", **kwargs})


def rendered(task: SparkKubernetesJobOperator, **context: Any) -> SparkKubernetesJobOperator:
    copy: SparkKubernetesJobOperator = task.prepare_for_execution()
    copy.render_template_fields(context)  # type: ignore[arg-type]
    return copy


def shown(task: SparkKubernetesJobOperator) -> Mapping[str, Any]:
    """What Airflow stores as rendered fields."""
    return _serialize_rendered_fields(task)


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"max_driver_restarts": -1}, "max_driver_restarts"),
        ({"retention_seconds": "600"}, "retention_seconds"),
        ({"log_lines": 1.5}, "log_lines"),
        ({"driver_template": 3}, "driver_template"),
        ({"executor_template": ""}, "executor_template"),
        ({"conf": {"spark.executor.instances": [3]}}, "spark.executor.instances"),
        ({"conf": {"spark.redaction.regex": "("}}, "spark.redaction.regex"),
    ],
)
def test_what_cannot_work_fails_when_the_dag_is_parsed(kwargs: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        operator(**kwargs)
    assert field in raised.value.field


def test_an_argument_it_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="executor_cores"):
        operator(executor_cores=2)


def test_conf_is_rendered_and_its_secrets_are_not_shown() -> None:
    task = operator(
        conf={
            "spark.executor.instances": "{{ params_n }}",
            "spark.hadoop.fs.s3a.access.key": "{{ key }}",
            "spark.kubernetes.driverEnv.PIN": "abc",
            "spark.my.token": "abc",
        }
    )
    conf = shown(rendered(task, params_n=4, key=SECRET))["conf"]
    assert conf["spark.executor.instances"] == "4"
    assert conf["spark.hadoop.fs.s3a.access.key"] == "***"
    assert conf["spark.my.token"] == "***", "also a secret too short to be masked everywhere"
    assert conf["spark.kubernetes.driverEnv.PIN"] == "abc"


def test_a_secret_of_the_conf_is_masked_in_every_other_field() -> None:
    task = operator(conf={"spark.my.token": "{{ key }}"}, application_args=["--key", "{{ key }}"])
    assert SECRET not in json.dumps(shown(rendered(task, key=SECRET)))


def test_rendering_one_run_leaves_nothing_in_the_next() -> None:
    task = operator(conf={"spark.my.token": "{{ key }}", "spark.a": "{{ key }}"})
    rendered(task, key="first-secret")
    second = rendered(task, key="second")
    assert second._full_conf() == {"spark.my.token": "second", "spark.a": "second"}


def test_rendering_twice_loses_no_secret() -> None:
    task = rendered(operator(conf={"spark.my.token": "{{ key }}"}), key=SECRET)
    task.render_template_fields({"key": "unused"})  # type: ignore[arg-type]
    assert task._full_conf() == {"spark.my.token": SECRET}


def test_a_conf_that_renders_to_no_conf_fails_for_good() -> None:
    task = operator(conf={"spark.redaction.regex": "{{ regex }}"})
    with pytest.raises(AirflowFailException, match=r"spark\.redaction\.regex"):
        rendered(task, regex="(")


def test_a_serialized_dag_holds_no_secret() -> None:
    with DAG("d", schedule=None) as dag:
        operator(conf={"spark.hadoop.fs.s3a.access.key": SECRET})
    assert SECRET not in json.dumps(DagSerialization.serialize(dag), default=str)


def test_templates_are_left_to_the_renderer_of_manifests() -> None:
    text = "kind: Job\nname: {{ spark.name }}\n"
    assert rendered(operator(driver_template=text)).driver_template == text


def test_a_mapped_task_hides_its_secrets_too() -> None:
    with DAG("d", schedule=None) as dag:
        SparkKubernetesJobOperator.partial(task_id="m", application="local:///pi.py").expand(
            conf=[{"spark.my.token": SECRET}]
        )
    task = dag.get_task("m").unmap({"conf": {"spark.my.token": SECRET}})
    task._do_render_template_fields(task, task.template_fields, {}, dag.get_template_env(), set())
    assert shown(task)["conf"] == {"spark.my.token": "***"}
    assert task._full_conf() == {"spark.my.token": SECRET}


def test_killing_a_task_that_has_submitted_nothing_does_nothing() -> None:
    operator().on_kill()


def test_a_literal_secret_of_the_dag_file_is_there_when_the_task_runs() -> None:
    task = operator(conf={"spark.hadoop.fs.s3a.access.key": SECRET})
    assert task.conf == {"spark.hadoop.fs.s3a.access.key": "***"}
    assert rendered(task)._full_conf() == {"spark.hadoop.fs.s3a.access.key": SECRET}
