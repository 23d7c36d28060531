"""From an operator's arguments to the objects to create: nothing here talks to a cluster."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_spark_k8s.operators.bundle_files import (
    is_bundle_file,
    is_template_file,
    read_file,
    search_folders,
)

if TYPE_CHECKING:
    from airflow_spark_k8s.core.request import ApplicationRequest
    from airflow_spark_k8s.core.spec import Application, Identity, Manifests, UserFile
    from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings

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


def make_plan(arguments: Arguments, settings: ConnectionSettings, context: Mapping[str, Any]) -> Plan:
    """
    The application of one task try.

    :param context: Airflow's task context.
    :raises InvalidConfiguration: for any argument, property, file or template that cannot work.
    """
    from airflow_spark_k8s.core.resolve import resolve
    from airflow_spark_k8s.templates.render import render

    dag = context["dag"]
    folders = search_folders(dag, context["ti"])
    application = resolve(_request(arguments, settings, folders))
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
    return Plan(application, identity, manifests)


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
    )


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
