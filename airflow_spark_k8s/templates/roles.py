"""The driver's and the executors' side of what a template can name: `spark.driver` and `spark.executor`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_spark_k8s.core.burst import shared_class
from airflow_spark_k8s.core.labels import (
    ROLE_DRIVER,
    ROLE_EXECUTOR,
    SPARK_APP_NAME,
    SPARK_RESOURCE_PROFILE_ID,
    SPARK_ROLE,
    SPARK_VERSION,
    annotations_of,
    labels_of,
    memory_labels,
)
from airflow_spark_k8s.core.spec import Application, Identity, PodShape
from airflow_spark_k8s.templates import environment, paths, volumes
from airflow_spark_k8s.templates.environment import EnvVar
from airflow_spark_k8s.templates.volumes import LocalDir

DECOMMISSION_SCRIPT = "/opt/decom.sh"

_MAX_LABEL_LENGTH = 63


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
    shared_mib: int
    shared_class: str
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node_selector: Mapping[str, str]
    scheduler_name: str | None
    priority_class: str | None
    termination_grace_period_seconds: int
    required_env: tuple[EnvVar, ...]
    optional_env: tuple[EnvVar, ...]
    local_dirs: tuple[LocalDir, ...]
    volumes: tuple[Mapping[str, Any], ...]
    volume_mounts: tuple[Mapping[str, Any], ...]
    required_volumes: tuple[Mapping[str, Any], ...] = ()
    required_volume_mounts: tuple[Mapping[str, Any], ...] = ()
    decommission_script: str | None = None
    block_manager_port: int | None = None
    burst: bool = False

    @property
    def env(self) -> tuple[EnvVar, ...]:
        """All variables of the container."""
        return (*self.required_env, *self.optional_env)


def driver_role(application: Application, identity: Identity) -> Role:
    """
    What templates see as `spark.driver`.

    :raises InvalidConfiguration: if the conf sets an environment variable that must be ours.
    """
    shape = application.driver
    local_dirs = volumes.local_dirs(application, shape)
    scratch = volumes.scratch_paths(shape, local_dirs)
    own_volumes = volumes.driver_volumes(application, identity)
    own_mounts = volumes.driver_mounts(application)
    return Role(
        **_shape(shape),
        labels=_labels(application, identity, shape, ROLE_DRIVER),
        annotations={**shape.annotations, **annotations_of(identity)},
        required_env=environment.driver_required(),
        optional_env=environment.driver_variables(application, paths.secret_name(identity), scratch),
        local_dirs=local_dirs,
        volumes=(*own_volumes, *volumes.volumes_of_conf(shape, identity)),
        volume_mounts=(*own_mounts, *shape.volume_mounts),
        required_volumes=own_volumes,
        required_volume_mounts=own_mounts,
    )


def executor_role(application: Application, identity: Identity, *, plain: bool = False) -> Role:
    """
    What templates see as `spark.executor`.

    :param plain: for executors that do not burst, where only some do.
    :raises InvalidConfiguration: if the conf sets an environment variable that must be ours.
    """
    if plain and application.plain_executor is not None:
        application = replace(application, executor=application.plain_executor)
    shape = application.executor
    local_dirs = volumes.local_dirs(application, shape)
    scratch = volumes.scratch_paths(shape, local_dirs)
    secret_name = paths.secret_name(identity)
    labels = _labels(application, identity, shape, ROLE_EXECUTOR)
    if application.burst is not None:
        labels |= memory_labels(shape.shared_mib, bursts=not plain)
    return Role(
        **_shape(shape),
        labels={**labels, SPARK_RESOURCE_PROFILE_ID: "0"},
        annotations={**shape.annotations, **annotations_of(identity)},
        required_env=environment.executor_required(application, secret_name),
        optional_env=environment.executor_variables(application, secret_name, scratch),
        local_dirs=local_dirs,
        volumes=volumes.volumes_of_conf(shape, identity),
        volume_mounts=shape.volume_mounts,
        decommission_script=_decommission_script(application),
        block_manager_port=_block_manager_port(application),
        burst=application.burst is not None,
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
        "shared_mib": shape.shared_mib,
        "shared_class": shared_class(shape.shared_mib),
        "requests": {"cpu": shape.cpu_request_quantity, "memory": f"{shape.request_mib}Mi"},
        "limits": {**cpu_limit, "memory": memory, **shape.device_limits},
        "node_selector": shape.node_selector,
        "scheduler_name": shape.scheduler_name,
        "priority_class": shape.priority_class,
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


def _decommission_script(application: Application) -> str | None:
    if application.properties.get("spark.decommission.enabled", "").strip().lower() != "true":
        return None
    return application.properties.get("spark.kubernetes.decommission.script", DECOMMISSION_SCRIPT)


def _block_manager_port(application: Application) -> int | None:
    port = application.properties.get("spark.blockManager.port", "").strip()
    # 0 is any free port, which nobody can announce
    return int(port) or None if port.isdecimal() else None
