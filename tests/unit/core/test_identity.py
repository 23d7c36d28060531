from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.core.identity import MAX_APPLICATION_NAME_LENGTH, identify
from airflow_spark_k8s.core.labels import is_dns_label
from airflow_spark_k8s.core.spec import Identity
from airflow_spark_k8s.exceptions import InvalidConfiguration

GIVEN: dict[str, Any] = {
    "deployment": "prod",
    "dag_id": "etl",
    "task_id": "pi",
    "run_id": "manual__1",
    "map_index": -1,
    "try_number": 1,
    "ti_id": "0199a",
}


def identity(**changes: Any) -> Identity:
    return identify(**{**GIVEN, **changes})


def test_the_same_try_always_has_the_same_name() -> None:
    assert identity() == identity()
    assert identity().application == "etl-pi-c501f2aadc"


@pytest.mark.parametrize(
    "change",
    [
        {"deployment": "test"},
        {"dag_id": "etl2"},
        {"task_id": "pi2"},
        {"run_id": "manual__2"},
        {"map_index": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_task_instance_has_another_name_and_key(change: dict[str, Any]) -> None:
    assert identity(**change).application != identity().application
    assert identity(**change).task_instance_key != identity().task_instance_key


def test_another_try_has_another_name_and_the_same_key() -> None:
    assert identity(try_number=2).application != identity().application
    assert identity(try_number=2).task_instance_key == identity().task_instance_key


def test_the_id_of_the_try_is_no_part_of_the_name() -> None:
    assert identity(ti_id="other").application == identity().application


def test_ids_that_read_the_same_when_joined_are_told_apart() -> None:
    assert identity(dag_id="a", task_id="b-c").application != identity(dag_id="a-b", task_id="c").application


@pytest.mark.parametrize(
    ("dag_id", "task_id", "slug"),
    [
        pytest.param("etl", "pi", "etl-pi", id="both fit"),
        pytest.param("ETL_daily", "group.load", "etl-daily-group-load", id="other characters become dashes"),
        pytest.param("2024_load", "x", "spark-2024-load-x", id="a letter comes first"),
        pytest.param("日本", "タスク", "spark", id="nothing readable is left"),
        pytest.param("café", "naïve", "cafe-naive", id="accents are dropped"),
        pytest.param("d" * 60, "t" * 60, "d" * 15 + "-" + "t" * 15, id="long ids share the room"),
        pytest.param("d", "t" * 60, "d-" + "t" * 29, id="a short DAG id leaves its room"),
        pytest.param("d" * 60, "t", "d" * 29 + "-t", id="a short task id leaves its room"),
        pytest.param("_", "t", "t", id="an empty part leaves no dash"),
    ],
)
def test_names_begin_with_what_can_be_read(dag_id: str, task_id: str, slug: str) -> None:
    name = identity(dag_id=dag_id, task_id=task_id).application
    assert name.rpartition("-")[0] == slug
    assert len(name.rpartition("-")[2]) == 10


@given(
    dag_id=st.text(max_size=250),
    task_id=st.text(max_size=250),
    run_id=st.text(max_size=250),
    ordinal=st.integers(min_value=0, max_value=99),
)
def test_every_derived_name_fits_and_is_a_dns_label(
    dag_id: str, task_id: str, run_id: str, ordinal: int
) -> None:
    found = identity(dag_id=dag_id, task_id=task_id, run_id=run_id)
    job = found.job_name(ordinal)
    driver = f"{job}-x7f2k"
    executor = f"{driver}-exec-99999"
    assert len(found.application) <= MAX_APPLICATION_NAME_LENGTH
    assert len(job) <= 46
    assert all(is_dns_label(name) for name in (found.application, job, driver, executor))
    assert found.application[0].isalpha()


@pytest.mark.parametrize("field", ["deployment", "ti_id"])
@pytest.mark.parametrize("value", ["", "with blank", "ä", "x" * 64])
def test_what_cannot_be_a_label_is_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidConfiguration):
        identity(**{field: value})
