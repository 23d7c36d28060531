from __future__ import annotations

import base64
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_spark_k8s.core.advice import Base, Learnt, learnt_from
from airflow_spark_k8s.core.memory_losses import OVERHEAD, Advice
from airflow_spark_k8s.core.request import NO_RECOVERY, RecoveryRequest, Shaping
from airflow_spark_k8s.core.spec import MemorySum
from airflow_spark_k8s.exceptions import InvalidConfiguration, InvalidTemplate
from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.operators.learning import NOTHING, Recalled
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
    shaping=Shaping(),
    recovery=NO_RECOVERY,
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


def plan(
    folder: Path,
    arguments: Arguments = ARGUMENTS,
    try_number: int = 1,
    settings: ConnectionSettings = SETTINGS,
    recalled: Recalled = NOTHING,
    **dag_arguments: Any,
) -> Plan:
    dag = DAG("d", schedule=None, **dag_arguments)
    dag.fileloc = str(folder / "dag.py")
    ti = SimpleNamespace(
        dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=try_number, id=f"ti-{try_number}"
    )
    return make_plan(arguments, settings, {"dag": dag, "ti": ti, "ds": "2026-01-02"}, recalled)


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


LEARNT = learnt_from(
    [Advice(OVERHEAD, 384, 576, "executor 4 was killed for memory in stage 7")],
    Learnt.nothing(Base(cores=1, heap_mib=1024, overhead_mib=409)),
    origin="try 1 of run r",
)


def test_a_try_starts_with_what_an_earlier_one_found_out(folder: Path) -> None:
    made = plan(folder, try_number=2, recalled=Recalled(LEARNT, apply=True))
    assert made.application.executor.memory == MemorySum(heap_mib=1024, overhead_mib=576)
    assert made.lesson.known == LEARNT
    assert "executor 4 was killed for memory in stage 7" in (made.lesson.text or "")
    limits = made.manifests.executor["spec"]["containers"][0]["resources"]["limits"]
    assert limits["memory"] == "1600Mi"


def test_advice_of_earlier_runs_changes_nothing_unless_applied(folder: Path) -> None:
    made = plan(folder, recalled=Recalled(LEARNT, apply=False))
    assert made.manifests.spec_hash == plan(folder).manifests.spec_hash
    assert "apply_advice" in (made.lesson.text or "")


def test_what_was_learnt_about_other_executors_is_not_used(folder: Path) -> None:
    conf = {**ARGUMENTS.conf, "spark.executor.memoryOverhead": "500m"}
    made = plan(folder, replace(ARGUMENTS, conf=conf), recalled=Recalled(LEARNT, apply=True))
    assert made.application.executor.memory.overhead_mib == 500
    assert made.lesson.known.base.overhead_mib == 500


@pytest.mark.parametrize(
    ("recovery", "extras", "field"),
    [
        pytest.param({"recovery_priority_class": "vip"}, {}, "recovery_priority_class", id="of the task"),
        pytest.param(
            {},
            {"recovery_priority_class": "vip"},
            "recovery_priority_class (from the connection)",
            id="of the connection",
        ),
    ],
)
def test_the_priority_class_of_recovery_is_called_by_who_names_it(
    folder: Path, recovery: dict[str, str], extras: dict[str, str], field: str
) -> None:
    made = plan(
        folder,
        replace(ARGUMENTS, recovery=RecoveryRequest(**recovery)),
        settings=replace(SETTINGS, recovery=RecoveryRequest(**extras)),
    )
    assert made.priority_fields["recovery"] == field
    assert made.application.recovery is not None
    assert made.application.recovery.priority_class == "vip"


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


def test_what_the_task_says_of_its_pods_comes_before_the_connection(folder: Path) -> None:
    arguments = replace(ARGUMENTS, shaping=Shaping(burst_factor=1.1))
    defaults = Shaping(burst_factor=1.3, driver_priority_class="drivers")
    application = plan(folder, arguments, settings=replace(SETTINGS, shaping=defaults)).application
    assert application.burst is not None
    assert application.burst.factor == Fraction("1.1")
    assert application.driver.priority_class == "drivers"


@pytest.mark.parametrize(
    ("shaping", "template", "field"),
    [
        pytest.param(
            Shaping(executor_priority_class="mine"), None, "executor_priority_class", id="an argument"
        ),
        pytest.param(Shaping(), None, "executor_priority_class (from the connection)", id="an extra"),
        pytest.param(
            Shaping(executor_priority_class="mine"),
            {"spec": {"priorityClassName": "other"}},
            "priorityClassName of executor_template",
            id="a template",
        ),
    ],
)
def test_what_names_a_priority_class_is_known(
    folder: Path, shaping: Shaping, template: dict[str, Any] | None, field: str
) -> None:
    arguments = replace(ARGUMENTS, shaping=shaping, executor_template=template)
    defaults = Shaping(executor_priority_class="theirs")
    made = plan(folder, arguments, settings=replace(SETTINGS, shaping=defaults))
    assert made.priority_fields["executor"] == field


def test_another_try_may_burst_less(folder: Path) -> None:
    first = plan(folder, replace(ARGUMENTS, shaping=Shaping(burst_factor="1.2")))
    second = plan(folder, replace(ARGUMENTS, shaping=Shaping(burst_factor="1")), try_number=2)
    assert first.application.burst is not None
    assert second.application.burst is None
    assert first.manifests.spec_hash != second.manifests.spec_hash
