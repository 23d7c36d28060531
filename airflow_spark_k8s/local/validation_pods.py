"""Pod specs. Source: ValidatePodSpec of k8s.io/kubernetes/pkg/apis/core/validation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import Cause
from airflow_spark_k8s.local.quantities import parse_quantity
from airflow_spark_k8s.local.validation_names import (
    dns_label,
    dns_subdomain,
    duplicate,
    invalid_value,
    required,
    unsupported,
    validate_labels,
)
from airflow_spark_k8s.local.validation_volumes import validate_mounts, validate_name, validate_volumes

_RESTART = ("Always", "OnFailure", "Never")
_PULL = ("Always", "IfNotPresent", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_VARIABLE_RULE = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_PORT_RULE = "must be between 1 and 65535, inclusive"
_NOT_NEGATIVE = "must be greater than or equal to 0"
_SOURCES = {"configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef", "fileKeyRef"}


def validate_pod_spec(spec: Manifest, field: str) -> Iterator[Cause]:
    """What is wrong with a pod's (or pod template's) spec; `field` is its path."""
    volumes = spec.get("volumes") or []
    yield from validate_volumes(volumes, f"{field}.volumes")
    known = {each.get("name") for each in volumes}
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{field}.containers")
    yield from _containers(containers, f"{field}.containers", known)
    yield from _containers(spec.get("initContainers") or [], f"{field}.initContainers", known)
    yield from _pod_fields(spec, field)


def _pod_fields(spec: Manifest, field: str) -> Iterator[Cause]:
    if spec["restartPolicy"] not in _RESTART:
        yield unsupported(f"{field}.restartPolicy", spec["restartPolicy"], _RESTART)
    if spec["dnsPolicy"] not in _DNS:
        yield unsupported(f"{field}.dnsPolicy", spec["dnsPolicy"], _DNS)
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        yield invalid_value(
            f"{field}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive"
        )
    if spec["terminationGracePeriodSeconds"] < 0:
        yield invalid_value(
            f"{field}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"], _NOT_NEGATIVE
        )
    yield from validate_labels(spec.get("nodeSelector") or {}, f"{field}.nodeSelector")
    for name in ("serviceAccountName", "priorityClassName"):
        if spec.get(name):
            yield from (
                invalid_value(f"{field}.{name}", spec[name], why) for why in dns_subdomain(spec[name])
            )
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            yield from (invalid_value(f"{field}.{name}", spec[name], why) for why in dns_label(spec[name]))
    for index, toleration in enumerate(spec.get("tolerations") or []):
        yield from _toleration(toleration, f"{field}.tolerations[{index}]")


def _toleration(toleration: Manifest, field: str) -> Iterator[Cause]:
    operator = toleration.get("operator") or "Equal"
    if operator not in ("Equal", "Exists"):
        yield unsupported(f"{field}.operator", operator, ("Equal", "Exists"))
    if not toleration.get("key") and operator != "Exists":
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid_value(f"{field}.operator", operator, why)
    if operator == "Exists" and toleration.get("value"):
        yield invalid_value(
            f"{field}.operator", toleration["value"], "value must be empty when `operator` is 'Exists'"
        )
    if toleration.get("effect") and toleration["effect"] not in _EFFECTS:
        yield unsupported(f"{field}.effect", toleration["effect"], _EFFECTS)


def _containers(containers: Sequence[Manifest], field: str, volumes: set[str | None]) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, container in enumerate(containers):
        at = f"{field}[{index}]"
        yield from validate_name(container.get("name"), f"{at}.name", seen)
        yield from _image(container, at)
        yield from _ports(container.get("ports") or [], f"{at}.ports")
        yield from _variables(container, at)
        yield from validate_mounts(container.get("volumeMounts") or [], f"{at}.volumeMounts", volumes)
        yield from validate_resources(container["resources"], f"{at}.resources")


def _image(container: Manifest, field: str) -> Iterator[Cause]:
    image = container.get("image") or ""
    if not image:
        yield required(f"{field}.image")
    elif image != image.strip():
        yield invalid_value(f"{field}.image", image, "must not have leading or trailing whitespace")
    if container["imagePullPolicy"] not in _PULL:
        yield unsupported(f"{field}.imagePullPolicy", container["imagePullPolicy"], _PULL)
    if container["terminationMessagePolicy"] not in ("File", "FallbackToLogsOnError"):
        supported = ("FallbackToLogsOnError", "File")
        yield unsupported(
            f"{field}.terminationMessagePolicy", container["terminationMessagePolicy"], supported
        )


def _ports(ports: Sequence[Manifest], field: str) -> Iterator[Cause]:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at = f"{field}[{index}]"
        number, name = port.get("containerPort"), port.get("name")
        if not number:
            yield required(f"{at}.containerPort")
        elif not 1 <= number <= 65535:
            yield invalid_value(f"{at}.containerPort", number, _PORT_RULE)
        if port["protocol"] not in _PROTOCOLS:
            yield unsupported(f"{at}.protocol", port["protocol"], _PROTOCOLS)
        if name:
            yield from (invalid_value(f"{at}.name", name, why) for why in _port_name(name))
            if name in seen:
                yield duplicate(f"{at}.name", name)
            seen.add(name)


def _port_name(name: str) -> Iterator[str]:
    if len(name) > 15:
        yield "must be no more than 15 characters"
    if not re.fullmatch("[-a-z0-9]+", name):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        yield "must contain at least one letter (a-z)"
    if "--" in name:
        yield "must not contain consecutive hyphens"
    if name[0] == "-" or name[-1] == "-":
        yield "must not begin or end with a hyphen"


def _variables(container: Manifest, field: str) -> Iterator[Cause]:
    for index, variable in enumerate(container.get("env") or []):
        at = f"{field}.env[{index}]"
        name = variable.get("name")
        if not name:
            yield required(f"{at}.name")
        elif not re.fullmatch(r"[ -<>-~]+", name):
            yield invalid_value(f"{at}.name", name, _VARIABLE_RULE)
        if variable.get("valueFrom") is not None:
            yield from _value_from(variable, f"{at}.valueFrom")
    for index, source in enumerate(container.get("envFrom") or []):
        at = f"{field}.envFrom[{index}]"
        kinds = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        if not kinds:
            yield invalid_value(at, "", "must specify one of: `configMapRef` or `secretRef`")
        for kind in kinds:
            if not source[kind].get("name"):
                yield required(f"{at}.{kind}.name")


def _value_from(variable: Manifest, field: str) -> Iterator[Cause]:
    source = variable["valueFrom"]
    kinds = [key for key, value in source.items() if key in _SOURCES and value is not None]
    if not kinds:
        rule = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef`"
        yield invalid_value(field, "", f"{rule} or `fileKeyRef`")
    elif variable.get("value"):
        yield invalid_value(field, "", "may not be specified when `value` is not empty")
    for kind in kinds:
        needed = {"fieldRef": ("fieldPath",), "resourceFieldRef": ("resource",)}.get(kind, ("name", "key"))
        for name in needed:
            if not source[kind].get(name):
                yield required(f"{field}.{kind}.{name}")


def validate_resources(resources: Manifest, field: str) -> Iterator[Cause]:
    """What is wrong with a container's requests and limits."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name, quantity in sorted(amounts.items()):
            if parse_quantity(str(quantity)) < 0:
                yield invalid_value(f"{field}.{side}[{name}]", str(quantity), _NOT_NEGATIVE)
    for name, quantity in sorted(requests.items()):
        limit = limits.get(name)
        if limit is not None and parse_quantity(str(quantity)) > parse_quantity(str(limit)):
            why = f"must be less than or equal to {name} limit of {limit}"
            yield invalid_value(f"{field}.requests", str(quantity), why)
