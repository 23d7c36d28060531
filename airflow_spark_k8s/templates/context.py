"""
What a driver or executor template can name.

Every name of Airflow's task context (`ds`, `run_id`, `params`, `ti`, `var`, …), and `spark`:

    spark.name                     name of the application: the same in all its objects, a DNS label
    spark.job_name                 name of the Job
    spark.app_name                 spark.app.name
    spark.version                  Spark's version, "4.3.0"
    spark.namespace                namespace of all objects
    spark.identity                 deployment, dag_id, task_id, run_id, map_index (-1: not mapped),
                                   try_number, ti_id
    spark.labels                   labels of every object of the application
    spark.annotations              annotations of every object of the application
    spark.secret_name              Secret with the properties file and the secret environment values
    spark.files_name               ConfigMap with the user's own file; None: there is no such file
    spark.properties_file          where the driver finds its properties
    spark.primary_resource         the application: path or URI, for `args`
    spark.main_class               for `args`; None: Python, or the jar names it
    spark.arguments                the application's arguments, for `args`
    spark.is_python                whether the application is Python
    spark.max_driver_restarts      how often a lost driver is started again
    spark.on_disruption            "Ignore", or "FailJob" if max_driver_restarts is 0
    spark.active_deadline_seconds  None: no execution_timeout
    spark.ttl_seconds              how long Kubernetes keeps a finished Job that nobody looked at
    spark.user_id                  user and group of the official image, 185

`spark.driver` and `spark.executor` both have:

    image, image_pull_policy (None), image_pull_secrets (objects with `name`)
    service_account                None: the namespace's default
    cores, heap_mib, memory        memory is the whole sum, the limit, as a quantity
    shared_mib, shared_class       memory limit minus request, 0 without bursting; its size class: "none",
                                   "small" (below 1 GiB), "medium" or "large" (from 4 GiB)
    requests, limits               of the container: cpu and memory, as quantities
    labels, annotations            of the pod: the application's, Spark's, and those of the conf
    node_selector, scheduler_name (None), priority_class (None), termination_grace_period_seconds
    env                            all variables of the container, secret ones as references
    required_env, optional_env     its two parts: what is put back after rendering, and the rest
    local_dirs                     scratch directories: for each its `path`, the name of its `volume` and
                                   what its `empty_dir` is like; none if `volumes` has some for scratch data
    volumes, volume_mounts         all others: those of the conf, and those of ours

Only `spark.driver` has ones of ours: `required_volumes` and `required_volume_mounts`, for properties,
authentication secret and user's file, are put back after rendering.
Only `spark.executor` has `decommission_script` and `block_manager_port`; None unless the conf asks for them;
and `burst`: whether any executor of the application bursts. If only some do, the template is rendered twice,
and makes the pods of those that do not with `requests`, `shared_mib`, `shared_class` and `labels` of theirs.

Where Kubernetes would expand `$(NAME)` in a text of the user's, it is escaped already; the filter `literal`
does the same to a text of yours. The filter `tojson` writes any value so that YAML reads it back unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_spark_k8s.core.labels import annotations_of, labels_of
from airflow_spark_k8s.core.spec import Application, Identity
from airflow_spark_k8s.templates import paths
from airflow_spark_k8s.templates.environment import literal
from airflow_spark_k8s.templates.roles import Role, driver_role, executor_role

TTL_SECONDS = 24 * 60 * 60
"""How long a finished Job waits for its verdict to be read."""

SPARK_USER_ID = 185
"""User and group `spark` of the official images."""

NAMESPACE = "spark"
"""The variable under which templates find all of this, whatever else has that name in the task's context."""


@dataclass(frozen=True, slots=True)
class TemplateContext:
    """What a template finds under `spark`; the module's text explains every name."""

    name: str
    job_name: str
    app_name: str
    version: str
    namespace: str
    identity: Identity
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    secret_name: str
    files_name: str | None
    properties_file: str
    primary_resource: str
    main_class: str | None
    arguments: tuple[str, ...]
    is_python: bool
    max_driver_restarts: int
    on_disruption: str
    active_deadline_seconds: int | None
    ttl_seconds: int
    user_id: int
    driver: Role
    executor: Role


def template_context(application: Application, identity: Identity, *, plain: bool = False) -> TemplateContext:
    """
    The variable `spark` of both templates; it holds no secret value.

    :param plain: for executors that do not burst, where only some do.
    :raises InvalidConfiguration: if the conf sets an environment variable that must be ours.
    """
    return TemplateContext(
        name=identity.application,
        job_name=identity.job_name(),
        app_name=application.app_name,
        version=".".join(str(part) for part in application.spark_version),
        namespace=application.namespace,
        identity=identity,
        labels=labels_of(identity),
        annotations=annotations_of(identity),
        secret_name=paths.secret_name(identity),
        files_name=None if application.user_file is None else paths.files_name(identity),
        properties_file=paths.PROPERTIES_FILE,
        primary_resource=literal(application.primary_resource),
        main_class=None if application.main_class is None else literal(application.main_class),
        arguments=tuple(literal(argument) for argument in application.arguments),
        is_python=application.is_python,
        max_driver_restarts=application.max_driver_restarts,
        on_disruption="Ignore" if application.max_driver_restarts else "FailJob",
        active_deadline_seconds=application.active_deadline_seconds,
        ttl_seconds=TTL_SECONDS,
        user_id=SPARK_USER_ID,
        driver=driver_role(application, identity),
        executor=executor_role(application, identity, plain=plain),
    )


def variables(spark: TemplateContext, task_context: Mapping[str, Any]) -> dict[str, Any]:
    """All variables of a template: the task's context, and `spark`."""
    return {**task_context, NAMESPACE: spark}
