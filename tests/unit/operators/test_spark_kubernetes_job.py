from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Context
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.task_runner import _serialize_rendered_fields
from airflow.sdk.log import redact
from airflow.serialization.serialized_objects import DagSerialization

from airflow_spark_k8s.core.advice import Base, Learnt, learnt_of
from airflow_spark_k8s.core.memory_losses import CORES, Advice
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import (
    ApplicationFailed,
    DriverFailed,
    Forbidden,
    InvalidConfiguration,
    SightLost,
    SparkKubernetesError,
    WrongCluster,
)
from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook
from airflow_spark_k8s.operators.learning import KEY
from airflow_spark_k8s.operators.plan import Plan
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator
from airflow_spark_k8s.operators.submission import Submission

SECRET = "correct-horse-battery"


REFERENCE = ApplicationReference(
    namespace="spark", application="d-t", job_name="d-t-r0", job_uid="uid", ti_id="ti"
)


def context(task_id: str) -> Any:
    ti = SimpleNamespace(
        dag_id="d", task_id=task_id, run_id="r", map_index=-1, try_number=1, id="ti", start_date=None
    )
    return {"dag": DAG("d", schedule=None), "ti": ti}


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
        ({"deferrable": "false"}, "deferrable"),
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


@pytest.mark.parametrize(
    ("field", "value"),
    [("application", None), ("application", 3), ("image", 3), ("name", 3), ("spark_version", 4.3)],
)
def test_an_argument_of_the_wrong_type_is_named(field: str, value: object, nowhere: str) -> None:
    task = operator(**{"conn_id": nowhere, field: value})
    with pytest.raises(AirflowFailException, match=field):
        task.execute(context("t"))


def test_the_connections_rule_for_secrets_counts_too(connection: Callable[..., str]) -> None:
    conn_id = connection(conf={"spark.redaction.regex": "(?i)banana|secret"})
    task = rendered(operator(conn_id=conn_id, image="spark:latest", conf={"spark.banana": SECRET}))
    with pytest.raises(AirflowFailException, match="does not tell Spark's version"):
        task.execute(context("t"))
    assert task.conf == {"spark.banana": "***"}
    assert task._full_conf() == {"spark.banana": SECRET}


def test_a_secret_of_the_connection_is_masked_when_the_task_resumes(connection: Callable[..., str]) -> None:
    conn_id = connection(conf=json.dumps({"spark.my.token": SECRET}))  # as the form stores it
    task = operator(conn_id=conn_id)
    event = {"reference": asdict(REFERENCE), "error": "broken"}
    with pytest.raises(SparkKubernetesError):
        task.execute_complete(context("t"), event)
    assert redact(f"the driver says {SECRET}") == "the driver says ***"


def test_an_application_in_another_cluster_fails_the_task_for_good_and_nothing_is_removed(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = operator(conn_id=nowhere)
    monkeypatch.setattr(task, "_with_cluster", lambda *_: pytest.fail("the cluster was touched"))
    event = {"reference": asdict(REFERENCE), "wrong_cluster": "leads to another cluster"}
    with pytest.raises(AirflowFailException, match="leads to another cluster") as raised:
        task.execute_complete(context("t"), event)
    assert isinstance(raised.value.__cause__, WrongCluster)


def test_a_summary_that_cannot_be_pushed_does_not_hide_the_verdict(nowhere: str) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("no XCom today")

    outcome = Outcome(
        verdict=Verdict.DRIVER_FAILED,
        message="exit code 1",
        namespace="spark",
        application="d-t",
        job_name="d-t-r0",
    )
    event = {"reference": asdict(REFERENCE), "outcome": outcome.as_dict()}
    resumed = {**context("t")}
    resumed["ti"].xcom_push = broken
    with pytest.raises(DriverFailed, match="exit code 1"):
        operator(conn_id=nowhere).execute_complete(resumed, event)


@pytest.mark.parametrize(
    ("verdict", "error", "text"),
    [
        (Verdict.SIGHT_LOST, SightLost, "a retry adopts the application"),
        (Verdict.DRIVER_FAILED, DriverFailed, "see the driver's last lines"),
        (Verdict.DRIVER_TOOK_OVER, AirflowFailException, "why"),
        (Verdict.SPARK_VERSION_MISMATCH, AirflowFailException, "why"),
    ],
)
def test_the_exception_says_where_and_what_to_do(
    nowhere: str, verdict: Verdict, error: type[Exception], text: str
) -> None:
    outcome = replace(OUT_OF_MEMORY, verdict=verdict, message="why", advice=())
    event = {"reference": asdict(REFERENCE), "outcome": outcome.as_dict()}
    with pytest.raises(error) as raised:
        operator(conn_id=nowhere).execute_complete(Store().context(), event)
    assert type(raised.value) is error
    assert str(raised.value).startswith(f"why (connection {nowhere}, namespace spark, Job d-t-r0)")
    assert text in str(raised.value)
    assert error is not AirflowFailException or isinstance(raised.value.__cause__, ApplicationFailed)


def test_killing_a_task_that_has_submitted_nothing_does_nothing() -> None:
    operator().on_kill()


def test_a_literal_secret_of_the_dag_file_is_there_when_the_task_runs() -> None:
    task = operator(conf={"spark.hadoop.fs.s3a.access.key": SECRET})
    assert task.conf == {"spark.hadoop.fs.s3a.access.key": "***"}
    assert rendered(task)._full_conf() == {"spark.hadoop.fs.s3a.access.key": SECRET}


OUT_OF_MEMORY = Outcome(
    verdict=Verdict.DRIVER_FAILED,
    message="exit code 1",
    namespace="spark",
    application="d-t",
    job_name="d-t-r0",
    advice=(Advice(CORES, 2, 1, "executor 4 was killed for memory in stage 7"),),
)
BASE = Base(cores=2, heap_mib=1024, overhead_mib=1024)
CONF = {"spark.executor.cores": "2", "spark.executor.memory": "1g", "spark.executor.memoryOverhead": "1g"}


class Store:
    """Airflow's task state store, and the XComs of one task."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.pushed: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.kept.get(key)

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = json.loads(json.dumps(value))

    def context(self) -> Any:
        made = {**context("t"), "task_state_store": self}
        made["ti"].xcom_push = lambda key, value: self.pushed.update({key: value})
        return made


def resume(task: SparkKubernetesJobOperator, store: Store, known: Learnt | None) -> None:
    event = {"reference": asdict(REFERENCE), "outcome": OUT_OF_MEMORY.as_dict()}
    with pytest.raises(DriverFailed):
        task.execute_complete(store.context(), event, known=None if known is None else known.as_dict())


def test_a_try_that_failed_for_memory_teaches_the_next_try_and_the_next_run(nowhere: str) -> None:
    store = Store()
    resume(operator(conn_id=nowhere), store, Learnt.nothing(BASE))
    learnt = learnt_of(store.kept[KEY])
    assert learnt is not None
    assert (learnt.base, learnt.recovery, learnt.origin) == (BASE, True, "try 1 of run r")
    assert learnt_of(store.pushed[KEY]) == learnt
    assert store.pushed["return_value"]["advice"][0]["dimension"] == CORES


@pytest.mark.parametrize(
    ("kwargs", "known"),
    [
        pytest.param({"learn": "off"}, Learnt.nothing(BASE), id="a task that does not learn"),
        pytest.param({}, None, id="an application that was submitted by an older version"),
    ],
)
def test_nothing_is_kept(nowhere: str, kwargs: dict[str, Any], known: Learnt | None) -> None:
    store = Store()
    resume(operator(conn_id=nowhere, **kwargs), store, known)
    assert store.kept == {}
    assert KEY not in store.pushed


def test_a_task_without_xcoms_teaches_its_next_try_only(nowhere: str) -> None:
    store = Store()
    resume(operator(conn_id=nowhere, do_xcom_push=False), store, Learnt.nothing(BASE))
    assert KEY in store.kept
    assert store.pushed == {}


class WithoutCluster(SparkKubernetesJobOperator):
    """Remembers what it would submit, refuses what is larger than the task asks for, and ends at once."""

    plans: tuple[Plan, ...] = ()
    refuses_lessons = False

    def _submit(self, hook: SparkKubernetesHook, plan: Plan, context: Context) -> Submission:
        self.plans = (*self.plans, plan)
        if self.refuses_lessons and plan.lesson.conf:
            raise Forbidden("maximum memory usage per Container is 2Gi", status=403)
        self._known = plan.lesson.known
        return Submission(REFERENCE, replace(OUT_OF_MEMORY, verdict=Verdict.SUCCEEDED, advice=()))


def second_try(nowhere: str, *, refuses_lessons: bool = False) -> tuple[WithoutCluster, Store]:
    store, application = Store(), "local:///pi.py"
    resume(operator(conn_id=nowhere), store, Learnt.nothing(BASE))
    task = WithoutCluster(task_id="t", application=application, conn_id=nowhere, conf=CONF)
    task.refuses_lessons = refuses_lessons
    store.pushed.clear()
    task.execute(store.context())
    return task, store


def test_the_next_try_starts_with_what_was_learnt_and_passes_it_on(nowhere: str) -> None:
    task, store = second_try(nowhere)
    (plan,) = task.plans
    assert plan.application.recovery is not None
    assert plan.application.recovery.mode == "on"
    assert store.pushed[KEY] == store.kept[KEY]


def test_what_was_learnt_does_not_keep_an_application_from_starting(nowhere: str) -> None:
    task, store = second_try(nowhere, refuses_lessons=True)
    refused, plain = task.plans
    assert refused.lesson.conf
    assert not plain.lesson.conf
    assert KEY not in store.pushed
