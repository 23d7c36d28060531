"""Every object of an application as a manifest: the one place where templates are rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

from airflow_spark_k8s.core.labels import ANNOTATION_SPEC_HASH
from airflow_spark_k8s.core.spec import Application, Identity, Manifest, Manifests
from airflow_spark_k8s.exceptions import InvalidTemplate
from airflow_spark_k8s.templates import objects
from airflow_spark_k8s.templates.context import TemplateContext, template_context, variables
from airflow_spark_k8s.templates.engine import Engine
from airflow_spark_k8s.templates.fingerprint import any_try, spec_hash
from airflow_spark_k8s.templates.patch import overlay
from airflow_spark_k8s.templates.quality import check_quality
from airflow_spark_k8s.templates.required import complete_executor, complete_job
from airflow_spark_k8s.templates.validate import validate_job, validate_pod

Template = str | Mapping[str, Any]
"""Text: a whole template, instead of ours. A mapping: a patch over what ours makes."""

NO_FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType({})


def render(
    application: Application,
    identity: Identity,
    *,
    context: Mapping[str, Any],
    auth_secret: bytes,
    driver_template: Template | None = None,
    executor_template: Template | None = None,
    filters: Mapping[str, Callable[..., Any]] = NO_FILTERS,
) -> Manifests:
    """
    All manifests of one application, complete and checked.

    :param context: the task's template context; templates find ours under `spark` (see templates.context).
    :param auth_secret: fresh random bytes that driver and executors share; they end up in the Secret only.
    :param driver_template: None for the packaged one; text replaces it; a mapping is laid over its result
        (see templates.patch), with every text in it rendered.
    :param executor_template: the same for the executors' pod.
    :param filters: Jinja filters besides Jinja's own, such as Airflow's.
    :raises InvalidTemplate: if a template does not render, or makes no valid Job or pod; names the field.
    :raises InvalidConfiguration: if the conf sets an environment variable that must be ours, or an executor
        pod comes out in another quality of service class than `executor_qos_class` asks for.
    """
    work = _Work(Engine(filters), application, context, driver_template, executor_template)
    pods = _pods(work, identity)
    check_quality(application, pods.executor, pods.plain_executor)
    # Once more under a name that is the same for every try: a new try recognizes an old one's driver by it.
    neutral = any_try(identity)
    neutral_pods = _pods(work, neutral)
    fingerprint = spec_hash(
        {"job": neutral_pods.job, "config_maps": list(_config_maps(application, neutral, neutral_pods))},
        application,
        identity,
    )
    pods.job["metadata"]["annotations"][ANNOTATION_SPEC_HASH] = fingerprint
    return Manifests(
        job=pods.job,
        config_maps=_config_maps(application, identity, pods),
        executor=pods.executor,
        spec_hash=fingerprint,
        secret=objects.secret(application, identity, auth_secret),
        plain_executor=pods.plain_executor,
    )


def packaged_template(name: str) -> str:
    """Text of `driver.yaml.j2` or `executor.yaml.j2`."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Work:
    """What to render, but for the names."""

    engine: Engine
    application: Application
    context: Mapping[str, Any]
    driver_template: Template | None
    executor_template: Template | None


@dataclass(frozen=True, slots=True)
class _Pods:
    """What templates make."""

    job: Manifest
    executor: Manifest
    plain_executor: Manifest | None


def _pods(work: _Work, identity: Identity) -> _Pods:
    spark = template_context(work.application, identity)
    job = _rendered(work.engine, work.driver_template, variables(spark, work.context), "driver")
    validate_job(job)
    job = complete_job(job, spark)
    validate_job(job)
    plain = None
    if work.application.plain_executor is not None:
        plain = _executor(work, template_context(work.application, identity, plain=True))
    return _Pods(job, _executor(work, spark), plain)


def _executor(work: _Work, spark: TemplateContext) -> Manifest:
    executor = _rendered(work.engine, work.executor_template, variables(spark, work.context), "executor")
    validate_pod(executor)
    executor = complete_executor(executor, spark)
    validate_pod(executor)
    return executor


def _config_maps(application: Application, identity: Identity, pods: _Pods) -> tuple[Manifest, ...]:
    return objects.config_maps(application, identity, pods.executor, pods.plain_executor)


def _rendered(engine: Engine, template: Template | None, names: Mapping[str, Any], role: str) -> Manifest:
    field = f"{role}_template"
    if isinstance(template, str):
        return engine.manifest(template, names, field=field)
    manifest = engine.manifest(packaged_template(f"{role}.yaml.j2"), names, field=f"{role}.yaml.j2")
    if template is None:
        return manifest
    if not isinstance(template, Mapping):
        raise InvalidTemplate(
            field,
            type(template).__name__,
            "give YAML text that replaces the template, or a dict that patches it",
        )
    return overlay(manifest, engine.values(template, names, field=field))
