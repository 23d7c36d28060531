"""The manifest of one executor pod: what was rendered once, plus its id, its driver and its owner."""

from __future__ import annotations

from typing import Any

from airflow_spark_k8s.core.labels import (
    ROLE_EXECUTOR,
    SPARK_APP_SELECTOR,
    SPARK_EXECUTOR_ID,
    SPARK_RESOURCE_PROFILE_ID,
    SPARK_ROLE,
)
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import InvalidTemplate

EXECUTOR_CONTAINER = "spark-kubernetes-executor"
"""Name of the container that runs Spark: the driver looks for exit codes under this name."""

DRIVER_PORT = 7078
"""Port of the driver's RPC endpoint, `spark.driver.port`."""

JAVA_OPTION_PREFIX = "SPARK_JAVA_OPT_"

EXECUTOR_ID = "SPARK_EXECUTOR_ID"
"""What stands for the executor's id in the name of a claim, and in the variable SPARK_EXECUTOR_DIRS."""

_EXECUTOR_DIRS = "SPARK_EXECUTOR_DIRS"


def executor_pod(
    manifest: Manifest,
    *,
    driver_name: str,
    driver_uid: str,
    driver_ip: str,
    executor_id: int,
    cores: int | None = None,
) -> Manifest:
    """
    A new pod manifest for one executor of one driver pod; `manifest` is left as it was.

    `driver_name` is the driver pod's name and the `spark.app.id`; `driver_ip` is its pod IP, IPv4 or IPv6
    without brackets. `executor_id` is at least 1. `cores` None keeps the cores that were rendered. The id is
    filled in where Spark does so: for SPARK_EXECUTOR_ID in names of claims and in SPARK_EXECUTOR_DIRS, and
    for {{EXECUTOR_ID}} in java options.

    :raises InvalidTemplate: if the manifest has no container `spark-kubernetes-executor`.

    Source: org.apache.spark.deploy.k8s.features.BasicExecutorFeatureStep, MountVolumesFeatureStep
    """
    env = _executor_env(driver_name, driver_ip, executor_id, cores)
    pod: Manifest = _copy(manifest)
    _name_claims(pod, executor_id)
    pod["metadata"] = _metadata(pod.get("metadata") or {}, driver_name, driver_uid, executor_id)
    container = _spark_container(pod)
    kept = [
        _substituted(variable, driver_name, str(executor_id))
        for variable in container.get("env") or []
        if variable["name"] not in env
    ]
    # Kubernetes expands $(NAME) only from variables further up: these go first, so others may use them.
    container["env"] = [{"name": name, "value": value} for name, value in env.items()] + kept
    return pod


def executor_name(driver_name: str, executor_id: int) -> str:
    """Name of the executor pod with this id."""
    return f"{driver_name}-exec-{executor_id}"


def driver_url(driver_ip: str) -> str:
    """RPC address of the driver's scheduler, with an IPv6 address in brackets."""
    host = f"[{driver_ip}]" if ":" in driver_ip else driver_ip
    return f"spark://CoarseGrainedScheduler@{host}:{DRIVER_PORT}"


def _executor_env(driver_name: str, driver_ip: str, executor_id: int, cores: int | None) -> dict[str, str]:
    env = {
        "SPARK_DRIVER_URL": driver_url(driver_ip),
        "SPARK_DRIVER_POD_IP": driver_ip,
        EXECUTOR_ID: str(executor_id),
        "SPARK_APPLICATION_ID": driver_name,
    }
    if cores is not None:
        env["SPARK_EXECUTOR_CORES"] = str(cores)
    return env


def _metadata(
    metadata: dict[str, Any], driver_name: str, driver_uid: str, executor_id: int
) -> dict[str, Any]:
    spark_labels = {
        SPARK_APP_SELECTOR: driver_name,
        SPARK_ROLE: ROLE_EXECUTOR,
        SPARK_EXECUTOR_ID: str(executor_id),
        SPARK_RESOURCE_PROFILE_ID: "0",
    }
    owner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": driver_name,
        "uid": driver_uid,
        "controller": True,
    }
    return {
        **{key: value for key, value in metadata.items() if key != "generateName"},
        "name": executor_name(driver_name, executor_id),
        "labels": {**(metadata.get("labels") or {}), **spark_labels},
        "ownerReferences": [owner],
    }


def _spark_container(pod: Manifest) -> dict[str, Any]:
    containers: list[dict[str, Any]] = (pod.get("spec") or {}).get("containers") or []
    for container in containers:
        if container.get("name") == EXECUTOR_CONTAINER:
            return container
    raise InvalidTemplate(
        "spec.containers",
        [container.get("name") for container in containers],
        f"one container must be named {EXECUTOR_CONTAINER}",
    )


def _substituted(variable: dict[str, Any], app_id: str, executor_id: str) -> dict[str, Any]:
    name, value = variable["name"], variable.get("value")
    if value is None:
        return variable
    if name.startswith(JAVA_OPTION_PREFIX):
        value = value.replace("{{APP_ID}}", app_id).replace("{{EXECUTOR_ID}}", executor_id)
    elif name == _EXECUTOR_DIRS:
        value = value.replace("SPARK_APPLICATION_ID", app_id).replace(EXECUTOR_ID, executor_id)
    return {**variable, "value": value}


def _name_claims(pod: Manifest, executor_id: int) -> None:
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        claim = volume.get("persistentVolumeClaim")
        if claim:
            claim["claimName"] = claim["claimName"].replace(EXECUTOR_ID, str(executor_id))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
