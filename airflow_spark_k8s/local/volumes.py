"""What is found under the mount paths of a pod's containers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.claims import claims_of, is_bound, is_made_for, not_made_for
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


HostPathCheck = Callable[[str, str], str | None]
"""Path on the node and type of hostPath → what is wrong with it, if anything."""


class VolumeError(ValueError):
    """A volume that cannot be set up (yet); the text is the message of the kubelet's FailedMount event."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume of a pod with its content."""

    kind: str  # files, emptyDir, hostPath or persistentVolumeClaim
    files: tuple[VolumeFile, ...] = ()
    source: str = ""  # hostPath: the path; persistentVolumeClaim: the name of the volume behind the claim
    in_memory: bool = False  # emptyDir: what is in it counts as memory of the containers


def pod_volumes(
    pod: Manifest,
    objects: Objects,
    surroundings: PodSurroundings,
    token: TokenIssuer,
    host_path_trouble: HostPathCheck = lambda path, kind: None,
) -> dict[str, Volume]:
    """
    Name → content of every volume of a pod.

    Raises `VolumeError` if something is missing that is not optional.
    """
    found: dict[str, Volume] = {}
    for volume in pod["spec"].get("volumes") or ():
        try:
            if trouble := _host_path_trouble(volume.get("hostPath"), host_path_trouble):
                raise ContainerConfigError(trouble)
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
                in_memory=volume.in_memory,
                sub_path=sub_path,
                read_only=bool(mount.get("readOnly")) or volume.kind == "files",
            )
        )
    return tuple(mounts)


def _volume(
    pod: Manifest, volume: Manifest, objects: Objects, surroundings: PodSurroundings, token: TokenIssuer
) -> Volume:
    kind = next((key for key, value in volume.items() if key != "name" and value is not None), "emptyDir")
    if kind == "hostPath":
        return Volume(kind, source=volume[kind]["path"])
    if kind in ("persistentVolumeClaim", "ephemeral"):
        return Volume("persistentVolumeClaim", source=_claimed(pod, volume["name"], objects))
    if kind == "emptyDir":
        return Volume(kind, in_memory=(volume.get(kind) or {}).get("medium") == "Memory")
    if kind not in ("configMap", "downwardAPI", "projected", "secret"):
        raise ContainerConfigError(_unsupported(kind, volume[kind]))
    sources = volume[kind].get("sources") or () if kind == "projected" else (volume,)
    mode = volume[kind].get("defaultMode") or _DEFAULT_MODE
    files: dict[str, VolumeFile] = {}
    for source in sources:
        for file in _files(pod, source, objects, surroundings, token, mode):
            files[file.path] = file
    return Volume("files", tuple(files.values()))


def _host_path_trouble(source: Manifest | None, check: HostPathCheck) -> str | None:
    return None if source is None else check(source["path"], source.get("type") or "")


def _claimed(pod: Manifest, volume: str, objects: Objects) -> str:
    """Name of the volume behind the claim that one of the pod's volumes names."""
    namespace = pod["metadata"]["namespace"]
    (wanted,) = (claim for claim in claims_of(pod) if claim.volume == volume)
    claim = objects.peek(PERSISTENT_VOLUME_CLAIMS, namespace, wanted.name)
    if claim is None:
        raise ContainerConfigError(f'persistentvolumeclaim "{wanted.name}" not found')
    if wanted.is_ephemeral and not is_made_for(pod, claim):
        raise ContainerConfigError(not_made_for(pod, claim))
    if not is_bound(claim):
        raise ContainerConfigError(f"error processing PVC {namespace}/{wanted.name}: PVC is not bound")
    return str(claim["spec"]["volumeName"])


def _unsupported(kind: str, source: Manifest) -> str:
    if kind == "csi":
        known = "not found in the list of registered CSI drivers"
        return (
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: "
            f"driver name {source['driver']} {known}"
        )
    return f"mount failed: the local cluster cannot mount volumes of the kind {kind}"


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
