from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml

from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Manifests, UserFile
from airflow_spark_k8s.operators.shown import SHOWN_FIELDS, shown_fields, shown_whole
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator
from airflow_spark_k8s.templates.render import render

DEFAULT_LIMIT = 4096  # [core] max_templated_field_length


@pytest.fixture(params=[None, 1.2, {"factor": 1.2, "fraction": 0.5}], ids=["plain", "burst", "both"])
def manifests(request: pytest.FixtureRequest) -> Manifests:
    asked = ApplicationRequest(
        application="jobs/pi.py",
        user_file=UserFile("pi.py", b"print('pi')"),
        image="apache/spark:4.3.0",
        conf={"spark.my.password": "correct-horse"},
        shaping=Shaping(burst_factor=request.param),
    )
    run = "scheduled__2026-11-23T06:35:47.143065+00:00"
    ti_id = "01a2071e-2afc-7178-bfd2-ed07eb416ce7"
    identity = identify("airflow", "a_dag_of_average_name", "a_task", run, -1, 1, ti_id)
    return render(resolve(asked), identity, context={"ti": SimpleNamespace()}, auth_secret=b"0" * 32)


def test_every_field_is_there_and_belongs_to_the_operator(manifests: Manifests) -> None:
    plain = {"plain_executor_manifest", "plain_executor_containers"}
    absent = plain if manifests.plain_executor is None else set()
    assert set(shown_fields(manifests)) == set(SHOWN_FIELDS) - absent
    assert set(SHOWN_FIELDS) <= set(SparkKubernetesJobOperator.template_fields)


def test_the_pieces_are_the_whole(manifests: Manifests) -> None:
    shown = {name: list(yaml.safe_load_all(text)) for name, text in shown_fields(manifests).items()}
    job, executor = shown["driver_manifest"][0], shown["executor_manifest"][0]
    job["spec"]["template"]["spec"].update(shown["driver_containers"][0])
    executor["spec"].update(shown["executor_containers"][0])
    assert job == manifests.job
    assert executor == manifests.executor
    if manifests.plain_executor is not None:
        plain = shown["plain_executor_manifest"][0]
        plain["spec"].update(shown["plain_executor_containers"][0])
        assert plain == manifests.plain_executor
    assert [other["kind"] for other in shown["other_manifests"]] == ["Secret", "ConfigMap", "ConfigMap"]


def test_airflow_cuts_none_of_an_ordinary_application(manifests: Manifests) -> None:
    longest = max(shown_fields(manifests).items(), key=lambda item: len(item[1]))
    assert len(longest[1]) < DEFAULT_LIMIT, longest[0]


def test_no_secret_is_shown(manifests: Manifests) -> None:
    text = "".join(shown_fields(manifests).values()) + shown_whole(manifests)
    assert "correct-horse" not in text
    assert all(value not in text for value in manifests.secret["data"].values())
