"""Whether a manifest is a Job or a pod that an API server would take."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from airflow_spark_k8s.core.labels import check_key, check_label_value
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import InvalidConfiguration, InvalidTemplate
from airflow_spark_k8s.templates.schema import INT_OR_STRING, QUANTITY, item_type, object_type, value_type

_QUANTITY = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_CONTAINER_LISTS = ("initContainers", "containers")


def validate_job(manifest: Manifest) -> None:
    """
    Nothing, if `manifest` is a Job.

    :raises InvalidTemplate: names the path of the wrong field: `spec.template.spec.containers[0].image`.
    """
    _check_kind(manifest, "batch/v1", "Job")
    _check(manifest, "V1Job", "")
    _check_required(manifest, ("spec",), "")
    pod = manifest["spec"]["template"]
    _check_required(pod, ("spec",), "spec.template")
    _check_labels(manifest, "")
    _check_labels(pod, "spec.template")
    _check_pod_spec(pod["spec"], "spec.template.spec")


def validate_pod(manifest: Manifest) -> None:
    """
    Nothing, if `manifest` is a Pod.

    :raises InvalidTemplate: names the path of the wrong field: `spec.containers[0].image`.
    """
    _check_kind(manifest, "v1", "Pod")
    _check(manifest, "V1Pod", "")
    _check_required(manifest, ("spec",), "")
    _check_labels(manifest, "")
    _check_pod_spec(manifest["spec"], "spec")


def is_quantity(value: object) -> bool:
    """
    Whether Kubernetes reads `value` as a quantity: a number, or a text such as `500m`, `1.5` or `2Gi`.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    if isinstance(value, str):
        return _QUANTITY.fullmatch(value) is not None
    return _is_number(value)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SCALARS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "str": ("a text; put numbers, dates and yes/no in quotes", lambda value: isinstance(value, str)),
    "int": ("a whole number", _is_int),
    "float": ("a number", _is_number),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "datetime": ("a time", lambda value: isinstance(value, str | datetime)),
    "object": ("any value", lambda value: True),
    QUANTITY: ("a quantity, such as 500m, 2 or 1.5Gi", is_quantity),
    INT_OR_STRING: (
        "a port: a whole number or a name",
        lambda value: _is_int(value) or isinstance(value, str),
    ),
}


def _check_kind(manifest: Manifest, api_version: str, kind: str) -> None:
    for field, expected in (("apiVersion", api_version), ("kind", kind)):
        if manifest.get(field) != expected:
            raise InvalidTemplate(field, manifest.get(field), f"must be {expected!r}")


def _check(value: Any, kind: str, path: str) -> None:
    if (items := item_type(kind)) is not None:
        for index, item in enumerate(_expect(value, list, "a list", path)):
            _check(item, items, f"{path}[{index}]")
    elif (values := value_type(kind)) is not None:
        for key, item in _expect(value, dict, "a mapping", path).items():
            if not isinstance(key, str):
                raise InvalidTemplate(path, key, "keys must be texts; put them in quotes")
            _check(item, values, f"{path}[{key!r}]")
    elif kind in _SCALARS:
        expected, accepts = _SCALARS[kind]
        if not accepts(value):
            raise InvalidTemplate(path, _shown(value), f"must be {expected}")
    else:
        _check_object(_expect(value, dict, "a mapping", path), kind, path)


def _check_object(value: dict[str, Any], kind: str, path: str) -> None:
    known = object_type(kind)
    for field, item in value.items():
        if field not in known.fields:
            raise InvalidTemplate(_join(path, field), _shown(item), _unknown(field, kind, known.fields))
        _check(item, known.fields[field], _join(path, field))
    _check_required(value, sorted(known.required), path)


def _check_required(value: Mapping[str, Any], fields: tuple[str, ...] | list[str], path: str) -> None:
    for field in fields:
        if value.get(field) is None:
            raise InvalidTemplate(_join(path, field), None, "is required")


def _check_labels(manifest: Mapping[str, Any], path: str) -> None:
    metadata = manifest.get("metadata", {})
    for group, check_value in (("labels", check_label_value), ("annotations", None)):
        for key, value in metadata.get(group, {}).items():
            place = _join(path, f"metadata.{group}[{key!r}]")
            try:
                check_key(key, field=place)
                if check_value is not None:
                    check_value(value, field=place)
            except InvalidConfiguration as error:
                raise InvalidTemplate(error.field, error.value, error.remedy) from error


def _check_pod_spec(spec: Mapping[str, Any], path: str) -> None:
    volumes = spec.get("volumes", [])
    _check_unique(volumes, "name", f"{path}.volumes")
    _check_unique(
        [container for group in _CONTAINER_LISTS for container in spec.get(group, [])],
        "name",
        f"{path}.containers",
    )
    known = {volume["name"] for volume in volumes}
    for group in _CONTAINER_LISTS:
        for index, container in enumerate(spec.get(group, [])):
            _check_container(container, known, f"{path}.{group}[{index}]")


def _check_container(container: Mapping[str, Any], volumes: set[str], path: str) -> None:
    if not container.get("image"):
        raise InvalidTemplate(f"{path}.image", container.get("image"), "is required")
    mounts = container.get("volumeMounts", [])
    _check_unique(mounts, "mountPath", f"{path}.volumeMounts")
    for index, mount in enumerate(mounts):
        if mount["name"] not in volumes:
            raise InvalidTemplate(
                f"{path}.volumeMounts[{index}].name", mount["name"], "the pod has no volume of this name"
            )


def _check_unique(items: list[Mapping[str, Any]], key: str, path: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item[key] in seen:
            raise InvalidTemplate(f"{path}[].{key}", item[key], "stands there twice")
        seen.add(item[key])


def _expect(value: Any, kind: type, expected: str, path: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidTemplate(path, _shown(value), f"must be {expected}")
    return value


def _unknown(field: str, kind: str, fields: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(str(field), fields, n=1)
    what = f"unknown field of {kind.removeprefix('V1')}"
    return f"{what}; did you mean {close[0]}?" if close else what


def _shown(value: object) -> object:
    # a whole subtree would hide the message, and could hold what must not be logged
    return f"({type(value).__name__})" if isinstance(value, dict | list) else value


def _join(path: str, field: object) -> str:
    return f"{path}.{field}" if path else str(field)
