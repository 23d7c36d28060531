"""Volumes that the conf asks for, of every type that Spark knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.executor_pod import EXECUTOR_ID
from airflow_spark_k8s.core.labels import (
    PREFIX,
    SPARK_RESERVED_LABELS,
    check_key,
    check_label_value,
    is_dns_subdomain,
)
from airflow_spark_k8s.core.mount_points import LOCAL_DIR_PREFIX, MountPoint, check_distinct, mount_path
from airflow_spark_k8s.core.properties_env import variables_prefix
from airflow_spark_k8s.core.properties_hadoop import hadoop_mounts
from airflow_spark_k8s.core.properties_secrets import secret_mounts
from airflow_spark_k8s.core.quantities import parse_quantity_bytes
from airflow_spark_k8s.core.spec import Manifest

ON_DEMAND = "OnDemand"
"""Spark's name for a claim that is made with the pod and goes with it."""

_HOST_PATH_TYPES = (
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
)
_MOUNT = ("mount.path", "mount.readOnly", "mount.subPath", "mount.subPathExpr")
_PVC = "persistentVolumeClaim"
_OPTIONS = {
    "hostPath": ("options.path", "options.type"),
    "emptyDir": ("options.medium", "options.sizeLimit"),
    "nfs": ("options.server", "options.path"),
    _PVC: ("options.claimName", "options.storageClass", "options.sizeLimit"),
}
_CLAIM_METADATA = ("label.", "annotation.")
_READ_WRITE_ONCE_POD_SINCE = (4, 0, 0)
_LEGACY_ACCESS_MODE = "spark.kubernetes.legacy.useReadWriteOnceAccessMode"


@dataclass(frozen=True, slots=True)
class _Volume:
    """The properties of one volume."""

    conf: Conf
    role: str
    type: str
    name: str
    access_mode: str  # of a claim that is made for it

    @property
    def prefix(self) -> str:
        """What the names of all its properties begin with."""
        return f"spark.kubernetes.{self.role}.volumes.{self.type}.{self.name}."

    def required(self, key: str, what: str) -> str:
        """The value of a property that must be there."""
        value = self.conf.get(self.prefix + key)
        if value is None:
            raise self.conf.error(self.prefix + key, f"is missing: {what}")
        return value


def mounts_of(conf: Conf, role: str, spark_version: tuple[int, int, int]) -> tuple[MountPoint, ...]:
    """
    Everything that the conf mounts into a driver's or an executor's container.

    :param role: driver or executor.
    :raises InvalidConfiguration: for an unknown type or option, a missing one, and names or paths used twice.

    Source: org.apache.spark.deploy.k8s.features.MountSecretsFeatureStep, MountVolumesFeatureStep,
    HadoopConfDriverFeatureStep
    """
    points = (
        *secret_mounts(conf, role),
        *volume_mounts(conf, role, spark_version),
        *hadoop_mounts(conf, role),
    )
    check_distinct(conf, points)
    return points


def volume_mounts(conf: Conf, role: str, spark_version: tuple[int, int, int]) -> Iterator[MountPoint]:
    """
    The volumes `spark.kubernetes.ROLE.volumes.TYPE.NAME.*`, in the order of the conf.

    :raises InvalidConfiguration: for whatever Spark or Kubernetes would refuse, and for options of no effect.

    Source: org.apache.spark.deploy.k8s.KubernetesVolumeUtils, features.MountVolumesFeatureStep
    """
    legacy = conf.flag(_LEGACY_ACCESS_MODE, default=spark_version < _READ_WRITE_ONCE_POD_SINCE)
    access_mode = "ReadWriteOnce" if legacy else "ReadWriteOncePod"
    for kind, name in _types_and_names(conf, f"spark.kubernetes.{role}.volumes."):
        volume = _Volume(conf, role, kind, name, access_mode)
        source = _SOURCES[kind](volume)
        yield MountPoint(volume.prefix + "mount.path", {"name": name, **source}, _mount(volume))


def _types_and_names(conf: Conf, prefix: str) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for rest in conf.set_with(prefix):
        kind, _, remainder = rest.partition(".")
        name, _, key = remainder.partition(".")
        if kind not in _OPTIONS:
            raise conf.error(prefix + rest, f"unknown type of volume; use {', '.join(_OPTIONS)}")
        _check_key(conf, prefix + rest, kind, key)
        found[kind, name] = None
    return list(found)


def _check_key(conf: Conf, name: str, kind: str, key: str) -> None:
    known = (*_MOUNT, *_OPTIONS[kind])
    if key in known or (kind == _PVC and key.startswith(_CLAIM_METADATA)):
        return
    more = " and label.*, annotation.*" if kind == _PVC else ""
    raise conf.error(name, f"no property of a volume of type {kind}; it has {', '.join(known)}{more}")


def _mount(volume: _Volume) -> Manifest:
    conf, prefix = volume.conf, volume.prefix
    mount: Manifest = {"name": volume.name, "mountPath": mount_path(conf, prefix + "mount.path")}
    if conf.flag(prefix + "mount.readOnly", default=False):
        mount["readOnly"] = True
    sub_paths = [key for key in ("subPath", "subPathExpr") if conf.get(f"{prefix}mount.{key}") is not None]
    if len(sub_paths) > 1:
        raise conf.error(prefix + "mount.subPathExpr", "excludes mount.subPath; say one of them")
    for key in sub_paths:
        mount[key] = _sub_path(conf, f"{prefix}mount.{key}")
    if volume.name.startswith(LOCAL_DIR_PREFIX):
        _check_local_dir(volume, mount)
    return mount


def _sub_path(conf: Conf, name: str) -> str:
    path = conf.get(name) or ""
    if path.startswith("/") or ".." in path.split("/"):
        raise conf.error(name, "must be a relative path without '..'")
    return path


def _check_local_dir(volume: _Volume, mount: Manifest) -> None:
    if "readOnly" in mount:
        raise volume.conf.error(volume.prefix + "mount.readOnly", "Spark writes its scratch data there")
    variable = variables_prefix(volume.role) + "SPARK_LOCAL_DIRS"
    if volume.conf.get(variable) is not None:
        raise volume.conf.error(
            volume.prefix + "mount.path",
            f"is a scratch directory, as {variable} names others; say one of them",
        )


def _host_path(volume: _Volume) -> Manifest:
    path = volume.required("options.path", "a path on the node")
    if not path.startswith("/") or ".." in path.split("/"):
        raise volume.conf.error(volume.prefix + "options.path", "must be an absolute path without '..'")
    kind = volume.conf.get(volume.prefix + "options.type")
    if kind is None:
        return {"hostPath": {"path": path}}
    if kind not in _HOST_PATH_TYPES:
        raise volume.conf.error(
            volume.prefix + "options.type", f"must be one of {', '.join(_HOST_PATH_TYPES)}, or left out"
        )
    return {"hostPath": {"path": path, "type": kind}}


def _empty_dir(volume: _Volume) -> Manifest:
    source = {}
    medium = volume.conf.get(volume.prefix + "options.medium")
    if medium is not None:
        if medium not in ("Memory", "HugePages") and not medium.startswith("HugePages-"):
            raise volume.conf.error(
                volume.prefix + "options.medium", "must be Memory, HugePages or HugePages-SIZE, or left out"
            )
        source["medium"] = medium
    if (size := _size(volume)) is not None:
        source["sizeLimit"] = size
    return {"emptyDir": source}


def _nfs(volume: _Volume) -> Manifest:
    server = volume.required("options.server", "the name of the NFS server")
    path = volume.required("options.path", "the path that the NFS server exports")
    if not path.startswith("/"):
        raise volume.conf.error(volume.prefix + "options.path", "must be an absolute path")
    return {"nfs": {"server": server, "path": path}}


def _claim(volume: _Volume) -> Manifest:
    claim = volume.required("options.claimName", f"the name of a claim, or {ON_DEMAND}")
    if claim == ON_DEMAND:
        return {"ephemeral": {"volumeClaimTemplate": _claim_template(volume)}}
    for name in _of_new_claims(volume):
        raise volume.conf.error(
            name, f"an existing claim has its own; leave it out, or set options.claimName to {ON_DEMAND}"
        )
    if not is_dns_subdomain(claim.replace(EXECUTOR_ID, "0") if volume.role == "executor" else claim):
        raise volume.conf.error(
            volume.prefix + "options.claimName", f"no valid name of a claim, and not {ON_DEMAND}"
        )
    source: Manifest = {"claimName": claim}
    if volume.conf.flag(volume.prefix + "mount.readOnly", default=False):
        source["readOnly"] = True
    return {_PVC: source}


def _of_new_claims(volume: _Volume) -> Iterator[str]:
    options = (volume.prefix + key for key in ("options.storageClass", "options.sizeLimit"))
    yield from (name for name in options if volume.conf.get(name) is not None)
    metadata = tuple(volume.prefix + key for key in _CLAIM_METADATA)
    yield from (name for name in volume.conf if name.startswith(metadata))


def _claim_template(volume: _Volume) -> Manifest:
    storage_class = volume.required("options.storageClass", f"{ON_DEMAND} needs the name of a storage class")
    if not is_dns_subdomain(storage_class):
        raise volume.conf.error(volume.prefix + "options.storageClass", "no valid name of a storage class")
    volume.required("options.sizeLimit", f"{ON_DEMAND} needs the size of the volume, such as 100Gi")
    spec = {
        "storageClassName": storage_class,
        "accessModes": [volume.access_mode],
        "resources": {"requests": {"storage": _size(volume)}},
    }
    metadata = {"labels": _labels(volume), "annotations": _annotations(volume)}
    return {"metadata": {key: value for key, value in metadata.items() if value}, "spec": spec}


def _labels(volume: _Volume) -> dict[str, str]:
    prefix = volume.prefix + "label."
    labels = volume.conf.prefixed(prefix)
    for key, value in labels.items():
        _check_metadata(volume.conf, prefix + key, key)
        check_label_value(value, field=volume.conf.field(prefix + key))
    return labels


def _annotations(volume: _Volume) -> dict[str, str]:
    prefix = volume.prefix + "annotation."
    annotations = volume.conf.prefixed(prefix)
    for key in annotations:
        _check_metadata(volume.conf, prefix + key, key)
    return annotations


def _check_metadata(conf: Conf, name: str, key: str) -> None:
    check_key(key, field=conf.field(name))
    if key.startswith(PREFIX) or key in SPARK_RESERVED_LABELS:
        raise conf.error(name, "this key is taken; choose another one")


def _size(volume: _Volume) -> str | None:
    name = volume.prefix + "options.sizeLimit"
    size = volume.conf.get(name)
    if size is None:
        return None
    # Spark refuses small numbers without a unit; a volume of less than 1 KiB is a slip of the pen in any case
    if parse_quantity_bytes(size, field=volume.conf.field(name)) < 1024:
        raise volume.conf.error(name, "is less than 1 KiB; is the unit missing, as in 100Gi?")
    return size


_SOURCES: Mapping[str, Callable[[_Volume], Manifest]] = {
    "hostPath": _host_path,
    "emptyDir": _empty_dir,
    "nfs": _nfs,
    _PVC: _claim,
}
