"""Volumes and the places where a container has them: each name and each place only once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.labels import is_dns_label
from airflow_spark_k8s.core.spec import Manifest

OWN_DIRECTORY = "/opt/airflow-spark-k8s"
"""Where a driver's container has its properties, its secret and the user's file."""

LOCAL_DIR_PREFIX = "spark-local-dir-"
"""Spark keeps scratch data in every volume whose name begins like this."""

_OWN_VOLUMES = "airflow-spark-k8s-"


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A volume of a pod, and its mount in Spark's container."""

    property_name: str  # that asks for it, for errors
    volume: Manifest
    mount: Manifest


def mount_path(conf: Conf, name: str) -> str:
    """
    The absolute path that the property `name` holds.

    :raises InvalidConfiguration: if there is none, if it is relative or the root, or if it is ours.
    """
    path = conf.get(name)
    if path is None:
        raise conf.error(name, "must say where the container has it, such as /data")
    if not path.startswith("/") or ":" in path or ".." in path.split("/"):
        raise conf.error(name, "must be an absolute path without ':' and '..', such as /data")
    if not _normalized(path).strip("/"):
        raise conf.error(name, "must not be the root of the container's file system")
    if f"{_normalized(path)}/".startswith(f"{OWN_DIRECTORY}/"):
        raise conf.error(name, f"{OWN_DIRECTORY} holds this package's own files; choose another directory")
    return path


def check_distinct(conf: Conf, points: Iterable[MountPoint]) -> None:
    """
    Return if all volumes can be in one pod.

    :raises InvalidConfiguration: for a name that Kubernetes cannot take, or a name or a path that is taken.
    """
    names: dict[str, str] = {}
    paths: dict[str, str] = {}
    for point in points:
        volume, path = point.volume["name"], _normalized(point.mount["mountPath"])
        if not is_dns_label(volume):
            raise conf.error(
                point.property_name,
                f"makes a volume {volume!r}: its name may have at most 63 of a-z, 0-9 and '-', no '-' at "
                "either end",
            )
        if volume.startswith(_OWN_VOLUMES):
            raise conf.error(point.property_name, f"volumes {_OWN_VOLUMES}* are this package's own")
        if volume in names:
            raise conf.error(point.property_name, f"{names[volume]} makes a volume {volume!r}, too")
        if path in paths:
            raise conf.error(point.property_name, f"{paths[path]} mounts at the same place, {path!r}")
        names[volume] = paths[path] = conf.field(point.property_name)


def _normalized(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
