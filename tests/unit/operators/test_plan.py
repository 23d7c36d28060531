from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_spark_k8s.exceptions import InvalidConfiguration, InvalidTemplate
from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.operators.plan import Arguments, Plan, make_plan

SETTINGS = ConnectionSettings(cluster=ClusterSettings(), namespace="spark", image="apache/spark:4.3.0")
ARGUMENTS = Arguments(
    application="jobs/pi.py",
    application_args=("200",),
    main_class=None,
    name=None,
    default_name="d.t",
    conf={"spark.executor.instances": "2", "spark.my.password": "correct-horse"},
    py_files=(),
    jars=(),
    files=(),
    packages=(),
    image=None,
    spark_version=None,
    namespace=None,
    driver_template=None,
    executor_template=None,
    max_driver_restarts=3,
    execution_timeout_seconds=None,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "pi.py").write_bytes(b"print('pi')\n")
    return tmp_path


def plan(folder: Path, arguments: Arguments = ARGUMENTS, try_number: int = 1, **dag_arguments: Any) -> Plan:
    dag = DAG("d", schedule=None, **dag_arguments)
    dag.fileloc = str(folder / "dag.py")
    ti = SimpleNamespace(
        dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=try_number, id=f"ti-{try_number}"
    )
    return make_plan(arguments, SETTINGS, {"dag": dag, "ti": ti, "ds": "2026-01-02"})


def test_the_file_of_the_bundle_travels_along(folder: Path) -> None:
    files = next(m for m in plan(folder).manifests.config_maps if "binaryData" in m)
    assert base64.b64decode(files["binaryData"]["pi.py"]) == b"print('pi')\n"


def test_the_connection_gives_what_the_task_leaves_out(folder: Path) -> None:
    application = plan(folder).application
    assert application.namespace == "spark"
    assert application.driver.image == "apache/spark:4.3.0"
    assert application.app_name == "d.t"


def test_tries_differ_in_name_and_agree_in_their_specification(folder: Path) -> None:
    first, second = plan(folder), plan(folder, try_number=2)
    assert first.identity.application != second.identity.application
    assert first.manifests.spec_hash == second.manifests.spec_hash


def test_every_try_has_an_authentication_secret_of_its_own(folder: Path) -> None:
    first, second = plan(folder), plan(folder)
    assert first.manifests.secret["data"]["auth-secret"] != second.manifests.secret["data"]["auth-secret"]


def test_a_template_file_of_the_bundle_is_rendered_with_airflows_and_our_names(folder: Path) -> None:
    patch = {"metadata": {"annotations": {"day": "{{ ds }}", "team": "{{ team | shout }}"}}}
    made = plan(
        folder,
        replace(ARGUMENTS, executor_template=patch),
        user_defined_macros={"team": "data"},
        user_defined_filters={"shout": str.upper},
    )
    annotations = made.manifests.executor["metadata"]["annotations"]
    assert (annotations["day"], annotations["team"]) == ("2026-01-02", "DATA")


def test_a_template_file_replaces_the_template(folder: Path) -> None:
    from airflow_spark_k8s.templates.render import packaged_template

    text = packaged_template("executor.yaml.j2").replace("kind: Pod", "kind: Pod  # {{ ds }}\n", 1)
    (folder / "executor.yaml.j2").write_text(text)
    made = plan(folder, replace(ARGUMENTS, executor_template="executor.yaml.j2"))
    assert made.manifests.executor["kind"] == "Pod"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"application": "jobs/missing.py"}, InvalidConfiguration, id="no such application"),
        pytest.param({"driver_template": "missing.yaml"}, InvalidConfiguration, id="no such template file"),
        pytest.param({"driver_template": "a: {{ nobody }}\n"}, InvalidTemplate, id="an undefined name"),
        pytest.param({"driver_template": "kind: Pod\n"}, InvalidTemplate, id="a template that is no Job"),
        pytest.param({"image": "spark:4.2.0"}, None, id="another image is no error"),
        pytest.param(
            {"conf": {"spark.executor.instances": "0"}}, InvalidConfiguration, id="no executors at all"
        ),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_created(
    folder: Path, changes: dict[str, Any], error: type[Exception] | None
) -> None:
    arguments = replace(ARGUMENTS, **changes)
    if error is None:
        plan(folder, arguments)
        return
    with pytest.raises(error):
        plan(folder, arguments)
