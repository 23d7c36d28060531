"""The volumes of driver and executor pods, and where their containers have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_spark_k8s.core.labels import labels_of
from airflow_spark_k8s.core.mount_points import LOCAL_DIR_PREFIX
from airflow_spark_k8s.core.spec import Application, Identity, PodShape
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.templates import environment, paths

DEFAULT_LOCAL_DIR = "/var/data/spark-local-dir"

_READABLE_BY_ALL = 0o444


@dataclass(frozen=True, slots=True)
class LocalDir:
    """One scratch directory and the `emptyDir` volume behind it."""

    volume: str
    path: str
    empty_dir: Mapping[str, str] = field(default_factory=dict)


def local_dirs(application: Application, shape: PodShape) -> tuple[LocalDir, ...]:
    """
    The scratch directories for which a volume is made: none if the conf has volumes for scratch data.

    :raises InvalidConfiguration: if another volume of the conf is mounted at one of them.

    Source: org.apache.spark.deploy.k8s.features.LocalDirsFeatureStep
    """
    if _scratch_mounts(shape):
        return ()
    given = shape.env.get(environment.LOCAL_DIRS) or application.properties.get("spark.local.dir") or ""
    chosen = [path.strip() for path in given.split(",") if path.strip()] or [DEFAULT_LOCAL_DIR]
    taken = {mount["mountPath"].rstrip("/") for mount in shape.volume_mounts}
    for path in chosen:
        if path.rstrip("/") in taken:
            raise InvalidConfiguration(
                "spark.local.dir",
                path,
                f"a volume of the conf is mounted there; name the volume {LOCAL_DIR_PREFIX}1 to have scratch "
                "data in it",
            )
    empty_dir = {"medium": "Memory"} if shape.local_dirs_in_memory else {}
    return tuple(
        LocalDir(f"{LOCAL_DIR_PREFIX}{number}", path, empty_dir)
        for number, path in enumerate(dict.fromkeys(chosen), start=1)
    )


def scratch_paths(shape: PodShape, made: tuple[LocalDir, ...]) -> list[str]:
    """The paths of all scratch directories: of those `made` by `local_dirs`, or of the conf's volumes."""
    return [directory.path for directory in made] or [mount["mountPath"] for mount in _scratch_mounts(shape)]


def volumes_of_conf(shape: PodShape, identity: Identity) -> tuple[Mapping[str, Any], ...]:
    """The volumes of the conf; claims that are made for a pod carry the application's labels."""
    return tuple(_labelled(volume, identity) for volume in shape.volumes)


def driver_volumes(application: Application, identity: Identity) -> tuple[Mapping[str, Any], ...]:
    """The volumes of properties, authentication secret and user's file."""
    secret_name = paths.secret_name(identity)
    volumes = [_secret_volume("airflow-spark-k8s-conf", secret_name, paths.PROPERTIES_KEY)]
    if application.authenticate:
        volumes.append(_secret_volume("airflow-spark-k8s-secret", secret_name, paths.AUTH_SECRET_KEY))
    if application.user_file is not None:
        config_map = {"name": paths.files_name(identity), "defaultMode": _READABLE_BY_ALL}
        volumes.append({"name": "airflow-spark-k8s-app", "configMap": config_map})
    return tuple(volumes)


def driver_mounts(application: Application) -> tuple[Mapping[str, Any], ...]:
    """Where a driver's container has those."""
    mounts = {"airflow-spark-k8s-conf": paths.CONF_DIR}
    if application.authenticate:
        mounts["airflow-spark-k8s-secret"] = paths.SECRET_DIR
    if application.user_file is not None:
        mounts["airflow-spark-k8s-app"] = paths.APP_DIR
    return tuple({"name": volume, "mountPath": path, "readOnly": True} for volume, path in mounts.items())


def _scratch_mounts(shape: PodShape) -> list[Mapping[str, Any]]:
    return [mount for mount in shape.volume_mounts if mount["name"].startswith(LOCAL_DIR_PREFIX)]


def _labelled(volume: Mapping[str, Any], identity: Identity) -> Mapping[str, Any]:
    if "ephemeral" not in volume:
        return volume
    claim = volume["ephemeral"]["volumeClaimTemplate"]
    metadata = claim["metadata"]
    labels = {**metadata.get("labels", {}), **labels_of(identity)}
    claim = {**claim, "metadata": {**metadata, "labels": labels}}
    return {**volume, "ephemeral": {"volumeClaimTemplate": claim}}


def _secret_volume(volume: str, secret_name: str, key: str) -> dict[str, Any]:
    # readable by any user of the container: the image's is unknown, and nobody else is in there
    secret = {
        "secretName": secret_name,
        "defaultMode": _READABLE_BY_ALL,
        "items": [{"key": key, "path": key}],
    }
    return {"name": volume, "secret": secret}
