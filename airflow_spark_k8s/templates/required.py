"""
What is laid on a rendered manifest, so that no template can break an application.

Of the Job: name, namespace, our labels and annotations; suspend, parallelism, completions, completionMode,
backoffLimit, podReplacementPolicy, podFailurePolicy, ttlSecondsAfterFinished; activeDeadlineSeconds, which a
template may only shorten.

Of the driver pod: our labels and annotations, restartPolicy, the service account's token; in the container
`spark-kubernetes-driver` the variables of `spark.driver.required_env`, `-Dspark.executor.instances=0` at the
end of SPARK_SUBMIT_OPTS, `spark.driver.required_volumes` and their mounts, and a readiness probe if there is
none.

Of the executor pod: namespace, our labels and annotations, restartPolicy, and no name; in the container
`spark-kubernetes-executor` the variables of `spark.executor.required_env`.

A template may change all else: images, command and arguments, resources, security contexts, volumes, further
containers, node selection, priorities, probes, hooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_spark_k8s.core.executor_pod import DRIVER_PORT, EXECUTOR_CONTAINER
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import InvalidTemplate
from airflow_spark_k8s.templates import environment
from airflow_spark_k8s.templates.context import TemplateContext
from airflow_spark_k8s.templates.patch import overlay
from airflow_spark_k8s.templates.paths import DRIVER_CONTAINER

_NOT_OF_A_TEMPLATE = frozenset({"generateName", "ownerReferences", "finalizers"})
_ONE_POD_ONLY = (
    "backoffLimitPerIndex",
    "managedBy",
    "manualSelector",
    "maxFailedIndexes",
    "selector",
    "successPolicy",
)


def complete_job(job: Manifest, spark: TemplateContext) -> Manifest:
    """
    A new Job manifest: `job` with everything laid on that the application depends on.

    :raises InvalidTemplate: if there is no container `spark-kubernetes-driver`, or if the template takes
        SPARK_SUBMIT_OPTS from a reference, to which nothing can be added.
    """
    spec = job["spec"]
    pod = spec["template"]
    return {
        **job,
        "metadata": {
            **_metadata(job.get("metadata"), spark.labels, spark.annotations),
            "name": spark.job_name,
            "namespace": spark.namespace,
        },
        "spec": {
            **overlay(spec, dict.fromkeys(_ONE_POD_ONLY)),
            **_job_policies(spec, spark),
            "template": {
                "metadata": _metadata(pod.get("metadata"), spark.driver.labels, spark.driver.annotations),
                "spec": _driver_spec(pod["spec"], spark),
            },
        },
    }


def complete_executor(pod: Manifest, spark: TemplateContext) -> Manifest:
    """
    A new pod manifest: `pod` with everything laid on that executors depend on, but for id, driver and owner.

    :raises InvalidTemplate: if there is no container `spark-kubernetes-executor`.
    """
    metadata = _metadata(pod.get("metadata"), spark.executor.labels, spark.executor.annotations)
    metadata.pop("name", None)
    spec = pod["spec"]
    container, place = _container(spec, EXECUTOR_CONTAINER, "spec")
    container = {**container, "env": _env(spark.executor.required_env, container)}
    return {
        **pod,
        "metadata": {**metadata, "namespace": spark.namespace},
        "spec": {**spec, "restartPolicy": "Never", "containers": _with(spec, place, container)},
    }


def _metadata(
    given: Mapping[str, Any] | None, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    metadata = {key: value for key, value in (given or {}).items() if key not in _NOT_OF_A_TEMPLATE}
    metadata["labels"] = {**metadata.get("labels", {}), **labels}
    metadata["annotations"] = {**metadata.get("annotations", {}), **annotations}
    return metadata


def _job_policies(spec: Mapping[str, Any], spark: TemplateContext) -> dict[str, Any]:
    disruption = {"type": "DisruptionTarget", "status": "True"}
    policies = {
        "suspend": True,
        "parallelism": 1,
        "completions": 1,
        "completionMode": "NonIndexed",
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [{"action": spark.on_disruption, "onPodConditions": [disruption]}]},
        "ttlSecondsAfterFinished": spark.ttl_seconds,
    }
    deadlines = [
        seconds
        for seconds in (spec.get("activeDeadlineSeconds"), spark.active_deadline_seconds)
        if seconds is not None
    ]
    return {**policies, "activeDeadlineSeconds": min(deadlines)} if deadlines else policies


def _driver_spec(spec: Mapping[str, Any], spark: TemplateContext) -> dict[str, Any]:
    container, place = _container(spec, DRIVER_CONTAINER, "spec.template.spec")
    probe = {"tcpSocket": {"port": DRIVER_PORT}, "periodSeconds": 2}
    required = {
        "env": _env(spark.driver.required_env, container),
        "volumeMounts": list(spark.driver.required_volume_mounts),
        "readinessProbe": container.get("readinessProbe", probe),
    }
    container = overlay({**container, "env": []}, required)
    container["env"] = _no_own_executors(container["env"], spark.driver.optional_env)
    return overlay(
        {**spec, "containers": _with(spec, place, container)},
        {
            "restartPolicy": "Never",
            "automountServiceAccountToken": True,
            "volumes": list(spark.driver.required_volumes),
        },
    )


def _container(spec: Mapping[str, Any], name: str, path: str) -> tuple[dict[str, Any], int]:
    containers = spec["containers"]
    for place, container in enumerate(containers):
        if container["name"] == name:
            return container, place
    raise InvalidTemplate(
        f"{path}.containers",
        [container["name"] for container in containers],
        f"one container must be named {name}",
    )


def _with(spec: Mapping[str, Any], place: int, container: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec["containers"][:place], container, *spec["containers"][place + 1 :]]


def _env(required: Iterable[environment.EnvVar], container: Mapping[str, Any]) -> list[environment.EnvVar]:
    # first, since $(NAME) is expanded only from variables further up
    ours = {variable["name"]: variable for variable in required}
    return [*ours.values(), *(v for v in container.get("env", []) if v["name"] not in ours)]


def _no_own_executors(
    env: list[environment.EnvVar], ours: Iterable[environment.EnvVar]
) -> list[environment.EnvVar]:
    options = [variable for variable in env if variable["name"] == environment.SUBMIT_OPTS]
    others = [variable for variable in env if variable["name"] != environment.SUBMIT_OPTS]
    if options and options[-1] in ours:
        return [*others, options[-1]]
    if options and "valueFrom" in options[-1]:
        raise InvalidTemplate(
            f"env.{environment.SUBMIT_OPTS}",
            "valueFrom",
            "the template must give a value, to which options are added; "
            "read the reference into another variable and name that: $(NAME)",
        )
    value = options[-1].get("value", "") if options else ""
    return [*others, {"name": environment.SUBMIT_OPTS, "value": environment.with_no_own_executors(value)}]
