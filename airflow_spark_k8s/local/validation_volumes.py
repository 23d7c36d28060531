"""Volumes, mounts and claims. Source: k8s.io/kubernetes/pkg/apis/core/validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import Cause
from airflow_spark_k8s.local.quantities import parse_quantity
from airflow_spark_k8s.local.validation_names import (
    dns_label,
    duplicate,
    forbidden_change,
    invalid_value,
    required,
    unsupported,
)

_NEEDED = {
    "secret": ("secretName",),
    "persistentVolumeClaim": ("claimName",),
    "configMap": ("name",),
    "hostPath": ("path",),
    "nfs": ("server", "path"),
    "csi": ("driver",),
    "ephemeral": ("volumeClaimTemplate",),
}
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_BACK_STEPS = "must not contain '..'"


def validate_volumes(volumes: Sequence[Manifest], field: str) -> Iterator[Cause]:
    """What is wrong with a pod's volumes."""
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        at = f"{field}[{index}]"
        yield from validate_name(volume.get("name"), f"{at}.name", seen)
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        for extra in sources[1:]:
            yield forbidden_change(f"{at}.{extra}", "may not specify more than 1 volume type")
        for source in sources[:1]:
            yield from _source(source, volume[source], f"{at}.{source}")


def _source(kind: str, source: Manifest, field: str) -> Iterator[Cause]:
    for needed in _NEEDED.get(kind, ()):
        if not source.get(needed):
            yield required(f"{field}.{needed}")
    if kind == "hostPath":
        if ".." in (source.get("path") or "").split("/"):
            yield invalid_value(f"{field}.path", source["path"], _BACK_STEPS)
        if (source.get("type") or "") not in _HOST_PATH_TYPES:
            yield unsupported(f"{field}.type", source["type"], _HOST_PATH_TYPES)
    elif kind == "nfs" and source.get("path") and not source["path"].startswith("/"):
        yield invalid_value(f"{field}.path", source["path"], "must be an absolute path")
    elif kind == "emptyDir" and source.get("sizeLimit") is not None:
        if parse_quantity(str(source["sizeLimit"])) < 0:
            yield forbidden_change(f"{field}.sizeLimit", "SizeLimit field must be a valid resource quantity")
    elif kind == "ephemeral" and source.get("volumeClaimTemplate"):
        template = f"{field}.volumeClaimTemplate"
        yield from validate_claim_spec(source["volumeClaimTemplate"].get("spec") or {}, f"{template}.spec")


def validate_claim_spec(spec: Manifest, field: str) -> Iterator[Cause]:
    """What is wrong with the spec of a PersistentVolumeClaim."""
    modes = spec.get("accessModes") or []
    if not modes:
        yield required(f"{field}.accessModes", "at least 1 access mode is required")
    for mode in modes:
        if mode not in _ACCESS_MODES:
            yield unsupported(f"{field}.accessModes", mode, _ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        rule = "may not use ReadWriteOncePod with other access modes"
        yield forbidden_change(f"{field}.accessModes", rule)
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        yield required(f"{field}.resources[storage]")
    elif parse_quantity(str(size)) <= 0:
        yield invalid_value(f"{field}.resources[storage]", str(size), "must be greater than zero")


def validate_mounts(mounts: Sequence[Manifest], field: str, volumes: set[str | None]) -> Iterator[Cause]:
    """What is wrong with a container's volume mounts; `volumes` are the names of the pod's volumes."""
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        at = f"{field}[{index}]"
        name, path = mount.get("name"), mount.get("mountPath")
        if not name:
            yield required(f"{at}.name")
        elif name not in volumes:
            yield Cause("FieldValueNotFound", f'Not found: "{name}"', f"{at}.name")
        if not path:
            yield required(f"{at}.mountPath")
        elif path in paths:
            yield invalid_value(f"{at}.mountPath", path, "must be unique")
        else:
            paths.add(path)
        yield from _sub_path(mount, at)


def _sub_path(mount: Manifest, field: str) -> Iterator[Cause]:
    for key in ("subPath", "subPathExpr"):
        path = mount.get(key) or ""
        if path.startswith("/"):
            yield invalid_value(f"{field}.{key}", path, "must be a relative path")
        elif ".." in path.split("/"):
            yield invalid_value(f"{field}.{key}", path, _BACK_STEPS)
    if mount.get("subPath") and mount.get("subPathExpr"):
        yield invalid_value(
            f"{field}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
        )


def validate_name(name: str | None, field: str, seen: set[str]) -> Iterator[Cause]:
    """What is wrong with the name of a volume or container; `seen` are the ones before it."""
    if not name:
        yield required(field)
        return
    yield from (invalid_value(field, name, why) for why in dns_label(name))
    if name in seen:
        yield duplicate(field, name)
    seen.add(name)
