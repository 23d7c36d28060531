"""
PodSecurity: namespaces labelled `pod-security.kubernetes.io/enforce` refuse pods below that standard.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import forbidden
from airflow_spark_k8s.local.manifests import Reader, labels_of
from airflow_spark_k8s.local.resources import NAMESPACES, PODS

_LABEL = "pod-security.kubernetes.io/enforce"
_BASELINE_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}
_RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def check_pod_security(reader: Reader, pod: Manifest) -> None:
    """Return if the pod meets the standard of its namespace; raises ApiError 403 that lists what does not."""
    namespace = reader.peek(NAMESPACES, None, pod["metadata"]["namespace"])
    level = labels_of(namespace).get(_LABEL) if namespace is not None else None
    if level not in ("baseline", "restricted"):
        return
    found = list(_baseline(pod["spec"]))
    if level == "restricted":
        found += _restricted(pod["spec"])
    if found:
        why = f'violates PodSecurity "{level}:latest": {", ".join(found)}'
        raise forbidden(PODS, pod["metadata"]["name"], why)


def _containers(spec: Manifest) -> list[Manifest]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _offending(spec: Manifest, offends: Callable[[Manifest], bool]) -> str:
    """`container "a"` or `containers "a", "b"`; empty if none offends."""
    names = [f'"{each["name"]}"' for each in _containers(spec) if offends(each.get("securityContext") or {})]
    return f"container{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else ""


def _baseline(spec: Manifest) -> Iterator[str]:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    if shared:
        yield f"host namespaces ({', '.join(shared)})"
    paths = [f'"{each["name"]}"' for each in spec.get("volumes") or [] if each.get("hostPath") is not None]
    if paths:
        yield f"hostPath volumes (volume{'s' if len(paths) > 1 else ''} {', '.join(paths)})"
    if who := _offending(spec, lambda context: bool(context.get("privileged"))):
        yield f"privileged ({who} must not set securityContext.privileged=true)"
    if who := _offending(spec, lambda context: bool(_added(context) - _BASELINE_CAPABILITIES)):
        yield f"non-default capabilities ({who} must not add other capabilities)"


def _restricted(spec: Manifest) -> Iterator[str]:
    if who := _offending(spec, lambda context: context.get("allowPrivilegeEscalation") is not False):
        wanted = "securityContext.allowPrivilegeEscalation=false"
        yield f"allowPrivilegeEscalation != false ({who} must set {wanted})"
    if who := _offending(spec, _keeps_capabilities):
        yield f'unrestricted capabilities ({who} must set securityContext.capabilities.drop=["ALL"])'
    kinds = {key for each in spec.get("volumes") or [] for key in each if key != "name"} - _RESTRICTED_VOLUMES
    if kinds:
        yield f"restricted volume types ({', '.join(sorted(kinds))})"
    pod = spec.get("securityContext") or {}
    if who := _offending(spec, lambda context: _effective(pod, context, "runAsNonRoot") is not True):
        yield f"runAsNonRoot != true (pod or {who} must set securityContext.runAsNonRoot=true)"
    if who := _offending(spec, lambda context: _effective(pod, context, "runAsUser") == 0):
        yield f"runAsUser=0 (pod or {who} must not set runAsUser=0)"
    if who := _offending(spec, lambda context: not _confined(_effective(pod, context, "seccompProfile"))):
        wanted = 'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        yield f"seccompProfile (pod or {who} must set {wanted})"


def _added(context: Manifest) -> set[str]:
    return set((context.get("capabilities") or {}).get("add") or [])


def _keeps_capabilities(context: Manifest) -> bool:
    dropped = (context.get("capabilities") or {}).get("drop") or []
    return "ALL" not in dropped or bool(_added(context) - {"NET_BIND_SERVICE"})


def _effective(pod: Manifest, container: Manifest, name: str) -> Any:
    return container.get(name, pod.get(name))


def _confined(profile: Manifest | None) -> bool:
    return (profile or {}).get("type") in ("RuntimeDefault", "Localhost")
