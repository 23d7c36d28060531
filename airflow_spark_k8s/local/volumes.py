"""What is found under the mount paths of a pod's containers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.container_env import (
    ContainerConfigError,
    Objects,
    PodSurroundings,
    contents,
    expand,
    missing,
)
from airflow_spark_k8s.local.downward import UnknownField, pod_field, resource_field
from airflow_spark_k8s.local.kubelet_runtime import Mount, VolumeFile
from airflow_spark_k8s.local.resources import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, SECRETS, Resource

_DEFAULT_MODE = 0o644

TokenIssuer = Callable[[str, str], str]
"""Namespace and service account → a token that the API server accepts."""


class VolumeError(ValueError):
    """A volume that cannot be set up (yet); the text is the message of the kubelet's FailedMount event."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume of a pod with its content."""

    kind: str  # files, emptyDir, hostPath or persistentVolumeClaim
    files: tuple[VolumeFile, ...] = ()
    source: str = ""  # hostPath: the path; persistentVolumeClaim: the claim's name


def pod_volumes(
    pod: Manifest, objects: Objects, surroundings: PodSurroundings, token: TokenIssuer
) -> dict[str, Volume]:
    """
    Name → content of every volume of a pod.

    Raises `VolumeError` if something is missing that is not optional.
    """
    found: dict[str, Volume] = {}
    for volume in pod["spec"].get("volumes") or ():
        try:
            found[volume["name"]] = _volume(pod, volume, objects, surroundings, token)
        except (ContainerConfigError, UnknownField) as error:
            message = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
            raise VolumeError(message) from error
    return found


def container_mounts(
    container: Manifest, volumes: Mapping[str, Volume], env: Mapping[str, str]
) -> tuple[Mount, ...]:
    """The mounts of one container; raises `ContainerConfigError` for a volume that the pod does not have."""
    mounts = []
    for mount in container.get("volumeMounts") or ():
        volume = volumes.get(mount["name"])
        if volume is None:
            raise ContainerConfigError(
                f'volume "{mount["name"]}" of container "{container["name"]}" not found'
            )
        sub_path = mount.get("subPath") or expand(mount.get("subPathExpr") or "", env)
        mounts.append(
            Mount(
                path=mount["mountPath"],
                volume=mount["name"],
                kind=volume.kind,
                files=volume.files,
                source=volume.source,
                sub_path=sub_path,
                read_only=bool(mount.get("readOnly")) or volume.kind == "files",
            )
        )
    return tuple(mounts)


def _volume(
    pod: Manifest, volume: Manifest, objects: Objects, surroundings: PodSurroundings, token: TokenIssuer
) -> Volume:
    if "hostPath" in volume:
        return Volume("hostPath", source=volume["hostPath"]["path"])
    if "persistentVolumeClaim" in volume:
        claim = volume["persistentVolumeClaim"]["claimName"]
        if objects.peek(PERSISTENT_VOLUME_CLAIMS, pod["metadata"]["namespace"], claim) is None:
            raise ContainerConfigError(f'persistentvolumeclaim "{claim}" not found')
        return Volume("persistentVolumeClaim", source=claim)
    if "ephemeral" in volume:
        return Volume("emptyDir")
    sources = volume["projected"].get("sources") or () if "projected" in volume else (volume,)
    mode = next((v.get("defaultMode") for v in volume.values() if isinstance(v, dict)), None) or _DEFAULT_MODE
    if "projected" not in volume and not {"configMap", "secret", "downwardAPI"} & volume.keys():
        return Volume("emptyDir")
    files: dict[str, VolumeFile] = {}
    for source in sources:
        for file in _files(pod, source, objects, surroundings, token, mode):
            files[file.path] = file
    return Volume("files", tuple(files.values()))


def _files(
    pod: Manifest,
    source: Manifest,
    objects: Objects,
    surroundings: PodSurroundings,
    token: TokenIssuer,
    mode: int,
) -> Iterable[VolumeFile]:
    namespace = pod["metadata"]["namespace"]
    if "configMap" in source:
        return _keys(objects, CONFIG_MAPS, namespace, source["configMap"], mode)
    if "secret" in source:
        return _keys(objects, SECRETS, namespace, source["secret"], mode)
    if "downwardAPI" in source:
        return _downward(pod, source["downwardAPI"], surroundings, mode)
    if "serviceAccountToken" in source:
        account = pod["spec"].get("serviceAccountName") or "default"
        path = source["serviceAccountToken"].get("path", "token")
        return [VolumeFile(path, token(namespace, account).encode(), mode)]
    return []


def _keys(
    objects: Objects, resource: Resource, namespace: str, source: Manifest, mode: int
) -> Iterable[VolumeFile]:
    name = source.get("secretName") or source.get("name") or ""
    optional = bool(source.get("optional"))
    found = objects.peek(resource, namespace, name)
    if found is None:
        if optional:
            return []
        raise missing(resource, name)
    values = contents(found)
    if not source.get("items"):
        return [VolumeFile(key, data, mode) for key, data in sorted(values.items())]
    files = []
    for item in source["items"]:
        if item["key"] in values:
            files.append(VolumeFile(item["path"], values[item["key"]], item.get("mode") or mode))
        elif not optional:
            raise ContainerConfigError(f"references non-existent {_kind(resource)} key: {item['key']}")
    return files


def _kind(resource: Resource) -> str:
    return "secret" if resource is SECRETS else "config"


def _downward(
    pod: Manifest, source: Manifest, surroundings: PodSurroundings, mode: int
) -> Iterable[VolumeFile]:
    containers = {each["name"]: each for each in pod["spec"]["containers"]}
    for item in source.get("items") or ():
        if "fieldRef" in item:
            value = pod_field(pod, item["fieldRef"]["fieldPath"], surroundings.addresses)
        else:
            reference = item["resourceFieldRef"]
            value = resource_field(
                containers[reference["containerName"]], reference, surroundings.allocatable
            )
        yield VolumeFile(item["path"], value.encode(), item.get("mode") or mode)
