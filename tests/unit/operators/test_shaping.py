"""Arguments that shape pods: what is refused while a DAG file is parsed, and what templates make of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_spark_k8s.core.request import Shaping
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators.shaping import SHAPING_FIELDS, shaping_of
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator


def operator(**kwargs: Any) -> SparkKubernetesJobOperator:
    return SparkKubernetesJobOperator(task_id="t", application="local:///pi.py", **kwargs)


def rendered(task: SparkKubernetesJobOperator, **context: Any) -> Shaping:
    copy: SparkKubernetesJobOperator = task.prepare_for_execution()
    copy.render_template_fields(context)  # type: ignore[arg-type]
    return shaping_of(copy)


def test_every_argument_is_a_template_field() -> None:
    assert set(SHAPING_FIELDS) == set(Shaping.__dataclass_fields__)
    assert set(SHAPING_FIELDS) <= set(SparkKubernetesJobOperator.template_fields)


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"burst_factor": 0.9}, "burst_factor"),
        ({"burst_factor": "much"}, "burst_factor"),
        ({"burst_factor": float("nan")}, "burst_factor"),
        ({"burst_factor": True}, "burst_factor"),
        ({"burst_factor": {"factor": 1.2, "share": 0.25}}, 'burst_factor["share"]'),
        ({"burst_factor": {"factor": 1.2, "fraction": 0}}, 'burst_factor["fraction"]'),
        ({"min_guaranteed_ratio": 1.5}, "min_guaranteed_ratio"),
        ({"burst_offheap": "perhaps"}, "burst_offheap"),
        ({"min_guaranteed_offheap_ratio": "-1"}, "min_guaranteed_offheap_ratio"),
        ({"driver_priority_class": "High Priority"}, "driver_priority_class"),
        ({"executor_priority_class": 3}, "executor_priority_class"),
        ({"executor_qos_class": "BestEffort"}, "executor_qos_class"),
    ],
)
def test_a_constant_that_cannot_work_fails_when_the_dag_is_parsed(kwargs: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfiguration) as raised:
        operator(**kwargs)
    assert raised.value.field == field


@pytest.mark.parametrize(
    "kwargs",
    [
        pytest.param({"burst_factor": "{{ params.factor }}"}, id="a template"),
        pytest.param({"burst_factor": {"factor": "{{ params.factor }}"}}, id="a template in a mapping"),
        pytest.param({"executor_qos_class": "{% if a %}Guaranteed{% endif %}"}, id="a condition"),
    ],
)
def test_what_is_still_to_be_rendered_is_left_to_the_run(kwargs: dict[str, Any]) -> None:
    operator(**kwargs)


def test_a_value_from_another_task_is_left_to_the_run() -> None:
    with DAG("d", schedule=None):
        other = SparkKubernetesJobOperator(task_id="other", application="local:///pi.py")
        operator(burst_factor=other.output)


def test_a_try_may_have_a_factor_of_its_own() -> None:
    task = operator(burst_factor="{{ 1.2 if ti.try_number == 1 else 1 }}")
    assert rendered(task, ti=SimpleNamespace(try_number=1)).burst_factor == "1.2"
    assert rendered(task, ti=SimpleNamespace(try_number=2)).burst_factor == "1"


def test_templates_within_a_mapping_are_rendered() -> None:
    task = operator(burst_factor={"factor": "{{ f }}", "fraction": 0.25}, burst_offheap="{{ off }}")
    shaping = rendered(task, f=1.3, off=True)
    assert shaping.burst_factor == {"factor": "1.3", "fraction": 0.25}
    assert shaping.burst_offheap == "True"


def test_mapped_tasks_have_factors_of_their_own() -> None:
    with DAG("d", schedule=None) as dag:
        SparkKubernetesJobOperator.partial(task_id="m", application="local:///pi.py").expand(
            burst_factor=[1.1, {"factor": 1.3, "fraction": 0.5}]
        )
    for factor in (1.1, {"factor": 1.3, "fraction": 0.5}):
        task = dag.get_task("m").unmap({"burst_factor": factor})
        assert shaping_of(task) == Shaping(burst_factor=factor)
