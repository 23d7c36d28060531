"""Whole applications, from what a DAG author asks for to manifests."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Manifests, UserFile
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.templates import paths
from airflow_spark_k8s.templates.display import displayed

Render = Callable[..., Manifests]


def request(**changes: Any) -> ApplicationRequest:
    given = {
        "application": "jobs/pi.py",
        "namespace": "spark",
        "user_file": UserFile("pi.py", b"print(1)"),
        "image": "apache/spark:4.3.0",
        "conf": {"spark.executor.instances": "3", "spark.executor.memory": "1g"},
    }
    return ApplicationRequest(**{**given, **changes})


def container(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["containers"][0]
    return found


def test_places_in_the_properties_are_places_of_the_pod(rendered: Render) -> None:
    manifests = rendered(resolve(request()))
    driver = container(manifests.job["spec"]["template"]["spec"])
    mounts = {mount["mountPath"] for mount in driver["volumeMounts"]}
    properties = b64decode(manifests.secret["data"]["spark.properties"]).decode()
    assert f"spark.authenticate.secret.driver.file={paths.AUTH_SECRET_FILE}\n" in properties
    assert driver["args"][-1] == f"{paths.APP_DIR}/pi.py"
    assert {paths.CONF_DIR, paths.SECRET_DIR, paths.APP_DIR} <= mounts


def test_executors_authenticate_from_the_first_connection_on(rendered: Render) -> None:
    env = container(rendered(resolve(request())).executor["spec"])["env"]
    options = [v["value"] for v in env if v["name"].startswith("SPARK_JAVA_OPT_")]
    assert "-Dspark.authenticate=true" in options
    assert len(options) == len(set(options))


def test_no_secret_of_the_conf_is_in_a_public_object(rendered: Render) -> None:
    conf = {
        "spark.executorEnv.DB_PASSWORD": "hunter2",
        "spark.kubernetes.driverEnv.API_TOKEN": "hunter2",
        "spark.hadoop.fs.s3a.secret.key": "hunter2",
        "spark.executor.extraJavaOptions": "-Djavax.net.ssl.trustStorePassword=hunter2 -Dplain=1",
    }
    manifests = rendered(resolve(request(conf=conf)))
    public = json.dumps([manifests.job, manifests.executor, *manifests.config_maps]) + displayed(manifests)
    assert "hunter2" not in public
    assert "-Dplain=1" in public
    secrets = [b64decode(value) for value in manifests.secret["data"].values()]
    assert sum(b"hunter2" in value for value in secrets) == 4


def test_every_secret_reference_leads_to_a_key_of_the_secret(rendered: Render) -> None:
    conf = {"spark.executorEnv.DB_PASSWORD": "x", "spark.kubernetes.driverEnv.API_TOKEN": "y"}
    manifests = rendered(resolve(request(conf=conf)))
    variables = [
        *container(manifests.job["spec"]["template"]["spec"])["env"],
        *container(manifests.executor["spec"])["env"],
    ]
    references = [
        v["valueFrom"]["secretKeyRef"] for v in variables if "secretKeyRef" in v.get("valueFrom", {})
    ]
    assert len(references) == 3
    assert {reference["name"] for reference in references} == {manifests.secret["metadata"]["name"]}
    assert {reference["key"] for reference in references} <= manifests.secret["data"].keys()


@pytest.mark.parametrize("version", ["3.5.9", "4.0.5", "4.1.4", "4.2.1", "4.3.0"])
def test_every_version_renders_to_valid_manifests(version: str, rendered: Render) -> None:
    manifests = rendered(resolve(request(image=f"apache/spark:{version}")))
    assert manifests.executor["metadata"]["labels"]["spark-version"] == version


@pytest.mark.parametrize(
    "name",
    [
        "spark.executorEnv.SPARK_EXECUTOR_ID",
        "spark.executorEnv.SPARK_DRIVER_URL",
        "spark.executorEnv._SPARK_AUTH_SECRET",
        "spark.executorEnv.SPARK_JAVA_OPT_001",
        "spark.kubernetes.driverEnv.POD_NAME",
        "spark.kubernetes.driverEnv.SPARK_DRIVER_BIND_ADDRESS",
    ],
)
def test_a_variable_that_must_be_ours_is_refused_by_its_property(name: str, rendered: Render) -> None:
    with pytest.raises(InvalidConfiguration) as error:
        rendered(resolve(request(conf={name: "x"})))
    assert name in str(error.value)
