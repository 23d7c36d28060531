"""The driver's and the executors' side of what a template can name: `spark.driver` and `spark.executor`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_spark_k8s.core.labels import (
    ROLE_DRIVER,
    ROLE_EXECUTOR,
    SPARK_APP_NAME,
    SPARK_RESOURCE_PROFILE_ID,
    SPARK_ROLE,
    SPARK_VERSION,
    annotations_of,
    labels_of,
)
from airflow_spark_k8s.core.spec import Application, Identity, PodShape
from airflow_spark_k8s.templates import environment, paths
from airflow_spark_k8s.templates.environment import EnvVar

DEFAULT_LOCAL_DIR = "/var/data/spark-local-dir"
DECOMMISSION_SCRIPT = "/opt/decom.sh"

_MAX_LABEL_LENGTH = 63
_READABLE_BY_ALL = 0o444


@dataclass(frozen=True, slots=True)
class LocalDir:
    """One scratch directory and the name of the volume behind it."""

    volume: str
    path: str


@dataclass(frozen=True, slots=True)
class Role:
    """What a template can say about the driver's or the executors' pod."""

    image: str
    image_pull_policy: str | None
    image_pull_secrets: tuple[Mapping[str, str], ...]
    service_account: str | None
    cores: int
    heap_mib: int
    memory: str
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node_selector: Mapping[str, str]
    scheduler_name: str | None
    termination_grace_period_seconds: int
    required_env: tuple[EnvVar, ...]
    optional_env: tuple[EnvVar, ...]
    local_dirs: tuple[LocalDir, ...]
    volumes: tuple[Mapping[str, Any], ...] = ()
    volume_mounts: tuple[Mapping[str, Any], ...] = ()
    decommission_script: str | None = None
    block_manager_port: int | None = None

    @property
    def env(self) -> tuple[EnvVar, ...]:
        """All variables of the container."""
        return (*self.required_env, *self.optional_env)


def driver_role(application: Application, identity: Identity) -> Role:
    """
    What templates see as `spark.driver`.

    :raises InvalidConfiguration: if the conf sets an environment variable that must be ours.
    """
    local_dirs = _local_dirs(application, application.driver)
    secret_name = paths.secret_name(identity)
    return Role(
        **_shape(application.driver),
        labels=_labels(application, identity, application.driver, ROLE_DRIVER),
        annotations={**application.driver.annotations, **annotations_of(identity)},
        required_env=environment.driver_required(),
        optional_env=environment.driver_variables(application, secret_name, _paths(local_dirs)),
        local_dirs=local_dirs,
        volumes=_driver_volumes(application, identity),
        volume_mounts=_driver_mounts(application),
    )


def executor_role(application: Application, identity: Identity) -> Role:
    """
    What templates see as `spark.executor`.

    :raises InvalidConfiguration: if the conf sets an environment variable that must be ours.
    """
    local_dirs = _local_dirs(application, application.executor)
    secret_name = paths.secret_name(identity)
    labels = _labels(application, identity, application.executor, ROLE_EXECUTOR)
    return Role(
        **_shape(application.executor),
        labels={**labels, SPARK_RESOURCE_PROFILE_ID: "0"},
        annotations={**application.executor.annotations, **annotations_of(identity)},
        required_env=environment.executor_required(application, secret_name),
        optional_env=environment.executor_variables(application, secret_name, _paths(local_dirs)),
        local_dirs=local_dirs,
        decommission_script=_decommission_script(application),
        block_manager_port=_block_manager_port(application),
    )


def _shape(shape: PodShape) -> dict[str, Any]:
    memory = f"{shape.memory.total_mib}Mi"
    cpu_limit = {} if shape.cpu_limit_quantity is None else {"cpu": shape.cpu_limit_quantity}
    return {
        "image": shape.image,
        "image_pull_policy": shape.image_pull_policy,
        "image_pull_secrets": tuple({"name": name} for name in shape.image_pull_secrets),
        "service_account": shape.service_account,
        "cores": shape.cores,
        "heap_mib": shape.memory.heap_mib,
        "memory": memory,
        "requests": {"cpu": shape.cpu_request_quantity, "memory": memory},
        "limits": {**cpu_limit, "memory": memory},
        "node_selector": shape.node_selector,
        "scheduler_name": shape.scheduler_name,
        "termination_grace_period_seconds": shape.termination_grace_period_seconds,
    }


def _labels(application: Application, identity: Identity, shape: PodShape, role: str) -> dict[str, str]:
    return {
        **shape.labels,
        **labels_of(identity),
        SPARK_ROLE: role,
        SPARK_APP_NAME: _label_value(application.app_name),
        SPARK_VERSION: ".".join(str(part) for part in application.spark_version),
    }


def _label_value(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_MAX_LABEL_LENGTH].rstrip("-")


def _local_dirs(application: Application, shape: PodShape) -> tuple[LocalDir, ...]:
    given = shape.env.get(environment.LOCAL_DIRS) or application.properties.get("spark.local.dir") or ""
    chosen = [path.strip() for path in given.split(",") if path.strip()] or [DEFAULT_LOCAL_DIR]
    return tuple(
        LocalDir(f"spark-local-dir-{number}", path)
        for number, path in enumerate(dict.fromkeys(chosen), start=1)
    )


def _paths(local_dirs: tuple[LocalDir, ...]) -> list[str]:
    return [directory.path for directory in local_dirs]


def _decommission_script(application: Application) -> str | None:
    if application.properties.get("spark.decommission.enabled", "").strip().lower() != "true":
        return None
    return application.properties.get("spark.kubernetes.decommission.script", DECOMMISSION_SCRIPT)


def _block_manager_port(application: Application) -> int | None:
    port = application.properties.get("spark.blockManager.port", "").strip()
    # 0 is any free port, which nobody can announce
    return int(port) or None if port.isdecimal() else None


def _driver_volumes(application: Application, identity: Identity) -> tuple[Mapping[str, Any], ...]:
    secret_name = paths.secret_name(identity)
    volumes = [_secret_volume("airflow-spark-k8s-conf", secret_name, paths.PROPERTIES_KEY)]
    if application.authenticate:
        volumes.append(_secret_volume("airflow-spark-k8s-secret", secret_name, paths.AUTH_SECRET_KEY))
    if application.user_file is not None:
        config_map = {"name": paths.files_name(identity), "defaultMode": _READABLE_BY_ALL}
        volumes.append({"name": "airflow-spark-k8s-app", "configMap": config_map})
    return tuple(volumes)


def _secret_volume(volume: str, secret_name: str, key: str) -> dict[str, Any]:
    # readable by any user of the container: the image's is unknown, and nobody else is in there
    secret = {
        "secretName": secret_name,
        "defaultMode": _READABLE_BY_ALL,
        "items": [{"key": key, "path": key}],
    }
    return {"name": volume, "secret": secret}


def _driver_mounts(application: Application) -> tuple[Mapping[str, Any], ...]:
    mounts = {"airflow-spark-k8s-conf": paths.CONF_DIR}
    if application.authenticate:
        mounts["airflow-spark-k8s-secret"] = paths.SECRET_DIR
    if application.user_file is not None:
        mounts["airflow-spark-k8s-app"] = paths.APP_DIR
    return tuple({"name": volume, "mountPath": path, "readOnly": True} for volume, path in mounts.items())
