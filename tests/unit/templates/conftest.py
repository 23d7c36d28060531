from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.spec import (
    AllocationSettings,
    Application,
    Identity,
    Manifests,
    MemorySum,
    PodShape,
)
from airflow_spark_k8s.templates.render import render

AUTH_SECRET = b"\x00\xff raw bytes"


def pod_shape(**changes: Any) -> PodShape:
    shape = PodShape(
        image="apache/spark:4.3.0",
        memory=MemorySum(heap_mib=1024, overhead_mib=384),
        cores=1,
        cpu_request_quantity="1",
        cpu_limit_quantity=None,
        image_pull_policy=None,
        image_pull_secrets=(),
        service_account=None,
        labels={},
        annotations={},
        node_selector={},
        env={},
        secret_env=(),
        java_options=(),
        termination_grace_period_seconds=30,
    )
    return replace(shape, **changes)


def application(**changes: Any) -> Application:
    given = Application(
        spark_version=(4, 3, 0),
        namespace="team-a",
        app_name="Daily Report",
        primary_resource="/opt/airflow-spark-k8s/app/pi.py",
        main_class=None,
        arguments=("200",),
        is_python=True,
        driver=pod_shape(),
        executor=pod_shape(java_options=("-XX:+IgnoreUnrecognizedVMOptions", "-Dapp={{APP_ID}}")),
        allocation=AllocationSettings(target=3),
        properties={"spark.app.name": "Daily Report", "spark.my.password": "hunter2"},
        user_file=None,
        max_driver_restarts=3,
        active_deadline_seconds=None,
    )
    return replace(given, **changes)


def identity(**changes: Any) -> Identity:
    given = {
        "deployment": "prod",
        "dag_id": "reports",
        "task_id": "daily",
        "run_id": "manual__2026-11-22",
        "map_index": -1,
        "try_number": 1,
        "ti_id": "0193f0c2-0000-7000-8000-000000000001",
    }
    return identify(**{**given, **changes})


def rendered(
    app: Application | None = None,
    *,
    who: Identity | None = None,
    context: Mapping[str, Any] | None = None,
    auth_secret: bytes = AUTH_SECRET,
    **templates: Any,
) -> Manifests:
    return render(
        app or application(), who or identity(), context=context or {}, auth_secret=auth_secret, **templates
    )


@pytest.fixture(name="pod_shape")
def pod_shape_fixture() -> Callable[..., PodShape]:
    return pod_shape


@pytest.fixture(name="application")
def application_fixture() -> Callable[..., Application]:
    return application


@pytest.fixture(name="identity")
def identity_fixture() -> Callable[..., Identity]:
    return identity


@pytest.fixture(name="rendered")
def rendered_fixture() -> Callable[..., Manifests]:
    return rendered
