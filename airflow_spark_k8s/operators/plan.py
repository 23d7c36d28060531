"""From an operator's arguments to the objects to create: nothing here talks to a cluster."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_spark_k8s.operators.arguments import text, texts
from airflow_spark_k8s.operators.bundle_files import (
    is_bundle_file,
    is_template_file,
    read_file,
    search_folders,
)
from airflow_spark_k8s.operators.learning import NOTHING, Lesson, Recalled, lesson
from airflow_spark_k8s.operators.recovery import recovery_of
from airflow_spark_k8s.operators.shaping import shaping_of

if TYPE_CHECKING:
    from airflow_spark_k8s.core.request import ApplicationRequest, RecoveryRequest, Shaping
    from airflow_spark_k8s.core.spec import Application, Identity, Manifests, UserFile
    from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings
    from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

Template = str | Mapping[str, Any] | None

_AUTH_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The operator's arguments, rendered."""

    application: str
    application_args: tuple[str, ...]
    main_class: str | None
    name: str | None
    default_name: str
    conf: Mapping[str, str]
    py_files: tuple[str, ...]
    jars: tuple[str, ...]
    files: tuple[str, ...]
    packages: tuple[str, ...]
    image: str | None
    spark_version: str | None
    namespace: str | None
    shaping: Shaping
    recovery: RecoveryRequest
    driver_template: Template
    executor_template: Template
    max_driver_restarts: int
    execution_timeout_seconds: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be submitted, and under whose name."""

    application: Application
    identity: Identity
    manifests: Manifests
    priority_fields: Mapping[str, str]  # role -> what names the priority class of its pods
    lesson: Lesson  # what earlier tries and runs add to the arguments
    retry: bool = False  # Airflow's own, so that nobody has asked for another run


def arguments_of(
    task: SparkKubernetesJobOperator, conf: Mapping[str, str], *, default_name: str
) -> Arguments:
    """
    The arguments of a task whose fields are rendered.

    :param conf: its Spark properties, with all values.
    :param default_name: of an application without a name.
    :raises InvalidConfiguration: for an argument of the wrong type.
    """
    timeout = task.execution_timeout
    return Arguments(
        application=text("application", task.application) or "",
        application_args=texts("application_args", task.application_args, separator=None),
        main_class=text("main_class", task.main_class),
        name=text("name", task.name),
        default_name=default_name,
        conf=conf,
        py_files=texts("py_files", task.py_files),
        jars=texts("jars", task.jars),
        files=texts("files", task.files),
        packages=texts("packages", task.packages),
        image=text("image", task.image),
        spark_version=text("spark_version", task.spark_version),
        namespace=text("namespace", task.namespace),
        shaping=shaping_of(task),
        recovery=recovery_of(task),
        driver_template=task.driver_template,
        executor_template=task.executor_template,
        max_driver_restarts=task.max_driver_restarts,
        execution_timeout_seconds=None if timeout is None else timeout.total_seconds(),
    )


def make_plan(
    arguments: Arguments,
    settings: ConnectionSettings,
    context: Mapping[str, Any],
    recalled: Recalled = NOTHING,
) -> Plan:
    """
    The application of one task try.

    :param context: Airflow's task context.
    :param recalled: what earlier tries and runs found out.
    :raises InvalidConfiguration: for any argument, property, file or template that cannot work.
    """
    from airflow_spark_k8s.core.resolve import resolve
    from airflow_spark_k8s.templates.render import render

    dag = context["dag"]
    folders = search_folders(dag, context["ti"])
    request = _request(arguments, settings, folders)
    application = resolve(request)
    learnt = lesson(recalled, application)
    if learnt.conf:
        application = resolve(replace(request, conf={**request.conf, **learnt.conf}))
    identity = _identity(context["ti"])
    manifests = render(
        application,
        identity,
        context={**(dag.user_defined_macros or {}), **context},
        auth_secret=secrets.token_bytes(_AUTH_SECRET_BYTES),
        driver_template=_template(arguments.driver_template, folders, field="driver_template"),
        executor_template=_template(arguments.executor_template, folders, field="executor_template"),
        filters=dag.get_template_env().filters,
    )
    fields = _priority_fields(request, manifests)
    return Plan(application, identity, manifests, fields, learnt, _is_retry(context))


def _request(
    arguments: Arguments, settings: ConnectionSettings, folders: Sequence[Path]
) -> ApplicationRequest:
    from airflow_spark_k8s.core.request import ApplicationRequest

    return ApplicationRequest(
        application=arguments.application,
        namespace=arguments.namespace,
        default_namespace=settings.namespace,
        name=arguments.name,
        default_name=arguments.default_name,
        user_file=_user_file(arguments.application, folders),
        application_args=arguments.application_args,
        main_class=arguments.main_class,
        py_files=arguments.py_files,
        jars=arguments.jars,
        files=arguments.files,
        packages=arguments.packages,
        image=arguments.image,
        spark_version=arguments.spark_version,
        conf=arguments.conf,
        default_conf=settings.conf,
        default_image=settings.image,
        default_spark_version=settings.spark_version,
        default_driver_service_account=settings.driver_service_account,
        default_executor_service_account=settings.executor_service_account,
        execution_timeout_seconds=arguments.execution_timeout_seconds,
        max_driver_restarts=arguments.max_driver_restarts,
        shaping=arguments.shaping,
        default_shaping=settings.shaping,
        recovery=arguments.recovery,
        default_recovery=settings.recovery,
    )


def _priority_fields(request: ApplicationRequest, manifests: Manifests) -> dict[str, str]:
    from airflow_spark_k8s.core.burst_values import is_given
    from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX
    from airflow_spark_k8s.core.shaping import chosen

    specs = {"driver": manifests.job["spec"]["template"]["spec"], "executor": manifests.executor["spec"]}
    fields = {}
    for role, spec in specs.items():
        name, field = chosen(request, f"{role}_priority_class")
        given = isinstance(name, str) and name.strip() == spec.get("priorityClassName")
        fields[role] = field if given else f"priorityClassName of {role}_template"
    own = is_given(request.recovery.recovery_priority_class)
    fields["recovery"] = "recovery_priority_class" + ("" if own else CONNECTION_SUFFIX)
    return fields


def _user_file(application: str, folders: Sequence[Path]) -> UserFile | None:
    from airflow_spark_k8s.core.spec import UserFile

    if not is_bundle_file(application):
        return None
    return UserFile(Path(application).name, read_file(application, folders, field="application"))


def _template(template: Template, folders: Sequence[Path], *, field: str) -> Template:
    if isinstance(template, str) and is_template_file(template):
        return read_file(template, folders, field=field).decode("utf-8")
    return template


def _identity(ti: Any) -> Identity:
    from airflow_spark_k8s.core.identity import identify
    from airflow_spark_k8s.operators.configuration import deployment_id

    map_index = -1 if ti.map_index is None else ti.map_index
    return identify(deployment_id(), ti.dag_id, ti.task_id, ti.run_id, map_index, ti.try_number, str(ti.id))


def _is_retry(context: Mapping[str, Any]) -> bool:
    """Whether Airflow itself began this try: clearing a task raises the tries that it may have in all."""
    ti, task = context["ti"], context.get("task")
    most = getattr(ti, "max_tries", None)
    return ti.try_number > 1 and task is not None and most is not None and most <= task.retries
