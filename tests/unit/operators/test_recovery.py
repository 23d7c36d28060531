"""Arguments about executors that run out of memory: what is refused, rendered and left to the connection."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_spark_k8s.core.request import RecoveryRequest
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators.recovery import RECOVERY_FIELDS, recovery_of
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator


def operator(**kwargs: Any) -> SparkKubernetesJobOperator:
    return SparkKubernetesJobOperator(task_id="t", application="local:///pi.py", **kwargs)


def rendered(task: SparkKubernetesJobOperator, **context: Any) -> RecoveryRequest:
    copy: SparkKubernetesJobOperator = task.prepare_for_execution()
    copy.render_template_fields(context)  # type: ignore[arg-type]
    return recovery_of(copy)


def test_every_argument_is_a_template_field() -> None:
    assert set(RECOVERY_FIELDS) == set(RecoveryRequest.__dataclass_fields__)
    assert set(RECOVERY_FIELDS) <= set(SparkKubernetesJobOperator.template_fields)


def test_a_task_that_says_nothing_leaves_it_to_the_connection() -> None:
    assert recovery_of(operator()) == RecoveryRequest()


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"memory_step_factor": 1}, "memory_step_factor"),
        ({"memory_step_factor": "much"}, "memory_step_factor"),
        ({"max_executor_memory": "0g"}, "max_executor_memory"),
        ({"max_executor_memory": 1.5}, "max_executor_memory"),
        ({"max_memory_steps": -1}, "max_memory_steps"),
        ({"max_executor_ooms": "2.5"}, "max_executor_ooms"),
        ({"recovery_window_seconds": 0}, "recovery_window_seconds"),
        ({"drain_fraction": 1.5}, "drain_fraction"),
        ({"sticky_recovery": "perhaps"}, "sticky_recovery"),
        ({"recovery_node_selector": ["pool"]}, "recovery_node_selector"),
        ({"recovery_node_selector": "{"}, "recovery_node_selector"),
        ({"recovery_tolerations": {"key": "spot"}}, "recovery_tolerations"),
        ({"recovery_priority_class": "High Priority"}, "recovery_priority_class"),
        ({"learn": "always"}, "learn"),
        ({"learn": None}, "learn"),
        ({"apply_advice": "yes", "learn": "runs"}, "apply_advice"),
        ({"apply_advice": True}, "apply_advice"),
        ({"apply_advice": True, "learn": "off"}, "apply_advice"),
    ],
)
def test_a_constant_that_cannot_work_fails_when_the_dag_is_parsed(kwargs: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        operator(**kwargs)
    assert raised.value.field == field


@pytest.mark.parametrize(
    "kwargs",
    [
        pytest.param({"max_executor_memory": "{{ params.most }}"}, id="a template"),
        pytest.param({"recovery_node_selector": {"pool": "{{ pool }}"}}, id="a template in a mapping"),
        pytest.param({"recovery_tolerations": [{"key": "{{ key }}"}]}, id="a template in a list"),
    ],
)
def test_what_is_still_to_be_rendered_is_left_to_the_run(kwargs: dict[str, Any]) -> None:
    operator(**kwargs)


def test_a_value_from_another_task_is_left_to_the_run() -> None:
    with DAG("d", schedule=None):
        other = SparkKubernetesJobOperator(task_id="other", application="local:///pi.py")
        operator(max_executor_memory=other.output)


def test_templates_are_rendered_wherever_they_stand() -> None:
    task = operator(
        max_executor_memory="{{ most }}",
        drain_fraction="{{ 0 if small else 0.5 }}",
        recovery_node_selector={"pool": "{{ pool }}"},
        recovery_tolerations=[{"key": "{{ pool }}", "operator": "Exists", "tolerationSeconds": 60}],
    )
    assert rendered(task, most="16g", pool="steady", small=True) == RecoveryRequest(
        max_executor_memory="16g",
        drain_fraction="0",
        recovery_node_selector={"pool": "steady"},
        recovery_tolerations=[{"key": "steady", "operator": "Exists", "tolerationSeconds": 60}],
    )


def test_mapped_tasks_have_limits_of_their_own() -> None:
    with DAG("d", schedule=None) as dag:
        SparkKubernetesJobOperator.partial(
            task_id="m", application="local:///pi.py", learn="runs", apply_advice=True
        ).expand(max_executor_memory=["8g", "16g"])
    task: Any = dag.get_task("m").unmap({"max_executor_memory": "16g"})
    assert recovery_of(task) == RecoveryRequest(max_executor_memory="16g")
    assert (task.learn, task.apply_advice) == ("runs", True)


def test_a_dag_with_them_can_be_serialized() -> None:
    with DAG("d", schedule=None) as dag:
        operator(recovery_tolerations=[{"key": "spot"}], max_executor_ooms=3, learn="off")
    task: Any = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("t")
    assert task.max_executor_ooms == 3
