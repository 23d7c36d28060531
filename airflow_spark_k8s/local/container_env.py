"""The environment of a container, and the `$(VAR)` references in its command."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.downward import UnknownField, pod_field, resource_field
from airflow_spark_k8s.local.resources import CONFIG_MAPS, SECRETS, SERVICES, Resource

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


class ContainerConfigError(ValueError):
    """A container refers to something that is not there; the text is the kubelet's message."""


class Objects(Protocol):
    """What references are looked up in."""

    def peek(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """The object, not to be changed; None if there is none."""
        ...

    def list(self, resource: Resource, namespace: str | None = None) -> list[Manifest]:
        """The objects of one namespace, not to be changed."""
        ...


@dataclass(frozen=True, slots=True)
class PodSurroundings:
    """What a pod's containers may know of the node and the cluster they run in."""

    addresses: Mapping[str, str]  # fields of the downward API that only the kubelet knows
    allocatable: Mapping[str, str]  # the node's resources
    api_host: str  # where the service `kubernetes` is found
    api_port: int


def expand(text: str, variables: Mapping[str, str]) -> str:
    """
    The text with every `$(NAME)` replaced by the variable; unknown names stay, `$$` stands for `$`.

    Source: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        return variables.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


def container_env(
    pod: Manifest, container: Manifest, objects: Objects, surroundings: PodSurroundings
) -> dict[str, str]:
    """
    Environment of a container, in the order of definition, then the variables of services.

    Raises `ContainerConfigError` if a config map, secret, key or field is missing that is not optional.

    Source: Kubelet.makeEnvironmentVariables of kubernetes.
    """
    services = _service_env(pod, objects, surroundings)
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        env |= _from_source(pod, source, objects)
    for variable in container.get("env") or ():
        value: str | None = variable.get("value") or ""
        if value:
            value = expand(value, {**services, **env})
        elif "valueFrom" in variable:
            value = _from_reference(pod, container, variable["valueFrom"], objects, surroundings)
        if value is not None:
            env[variable["name"]] = value
    hostname = {"HOSTNAME": pod["spec"].get("hostname") or pod["metadata"]["name"]}
    return {**hostname, **{name: value for name, value in services.items() if name not in env}, **env}


def expanded(words: Sequence[str] | None, env: Mapping[str, str]) -> tuple[str, ...]:
    """The words of a command with their `$(VAR)` references resolved."""
    return tuple(expand(word, env) for word in words or ())


def read_key(objects: Objects, namespace: str, reference: Manifest, resource: Resource) -> str | None:
    """
    One value of a config map or secret; None if it is missing and optional.

    Raises `ContainerConfigError` if it is missing otherwise.
    """
    name, key = reference.get("name", ""), reference["key"]
    found = objects.peek(resource, namespace, name)
    if found is None:
        if reference.get("optional"):
            return None
        raise missing(resource, name)
    values = contents(found)
    if key not in values:
        if reference.get("optional"):
            return None
        kind = "Secret" if resource is SECRETS else "ConfigMap"
        raise ContainerConfigError(f"couldn't find key {key} in {kind} {namespace}/{name}")
    return values[key].decode(errors="replace")


def contents(obj: Manifest) -> dict[str, bytes]:
    """Key → bytes of a config map or secret."""
    data = obj.get("data") or {}
    if obj.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
    return {**{key: str(value).encode() for key, value in data.items()}, **binary}


def missing(resource: Resource, name: str) -> ContainerConfigError:
    """The error for a config map or secret that does not exist."""
    return ContainerConfigError(f'{resource.singular} "{name}" not found')


def _from_source(pod: Manifest, source: Manifest, objects: Objects) -> dict[str, str]:
    resource = SECRETS if "secretRef" in source else CONFIG_MAPS
    reference = source.get("secretRef") or source.get("configMapRef") or {}
    found = objects.peek(resource, pod["metadata"]["namespace"], reference.get("name", ""))
    if found is None:
        if reference.get("optional"):
            return {}
        raise missing(resource, reference.get("name", ""))
    prefix = source.get("prefix") or ""
    return {prefix + key: value.decode(errors="replace") for key, value in sorted(contents(found).items())}


def _from_reference(
    pod: Manifest, container: Manifest, source: Manifest, objects: Objects, surroundings: PodSurroundings
) -> str | None:
    namespace = pod["metadata"]["namespace"]
    try:
        if "fieldRef" in source:
            return pod_field(pod, source["fieldRef"]["fieldPath"], surroundings.addresses)
        if "resourceFieldRef" in source:
            target = _container(pod, source["resourceFieldRef"].get("containerName")) or container
            return resource_field(target, source["resourceFieldRef"], surroundings.allocatable)
    except UnknownField as error:
        raise ContainerConfigError(str(error)) from error
    if "secretKeyRef" in source:
        return read_key(objects, namespace, source["secretKeyRef"], SECRETS)
    return read_key(objects, namespace, source["configMapKeyRef"], CONFIG_MAPS)


def _container(pod: Manifest, name: str | None) -> Manifest | None:
    spec = pod["spec"]
    everyone = [*(spec.get("initContainers") or ()), *spec["containers"]]
    return next((each for each in everyone if each["name"] == name), None)


def _service_env(pod: Manifest, objects: Objects, surroundings: PodSurroundings) -> dict[str, str]:
    port = {"name": "https", "port": surroundings.api_port, "protocol": "TCP"}
    env = _variables("kubernetes", surroundings.api_host, [port])
    if pod["spec"].get("enableServiceLinks", True):
        for service in objects.list(SERVICES, pod["metadata"]["namespace"]):
            address = service.get("spec", {}).get("clusterIP")
            if address and address != "None" and service["metadata"]["name"] != "kubernetes":
                env |= _variables(service["metadata"]["name"], address, service["spec"].get("ports") or [])
    return env


def _variables(service: str, host: str, ports: Sequence[Manifest]) -> dict[str, str]:
    if not ports:
        return {}
    prefix = service.upper().replace("-", "_")
    first = ports[0]
    url = f"{first.get('protocol', 'TCP').lower()}://{host}:{first['port']}"
    env = {f"{prefix}_SERVICE_HOST": host, f"{prefix}_SERVICE_PORT": str(first["port"])}
    for port in ports:
        if port.get("name"):
            env[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    env[f"{prefix}_PORT"] = url
    for port in ports:
        protocol = port.get("protocol", "TCP")
        stem = f"{prefix}_PORT_{port['port']}_{protocol}"
        env |= {
            stem: f"{protocol.lower()}://{host}:{port['port']}",
            f"{stem}_PROTO": protocol.lower(),
            f"{stem}_PORT": str(port["port"]),
            f"{stem}_ADDR": host,
        }
    return env
