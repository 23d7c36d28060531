"""
The fields that the API server fills in.

Source: k8s.io/kubernetes/pkg/apis/core/v1/defaults.go and pkg/apis/batch/v1/defaults.go.
"""

from __future__ import annotations

import base64
from typing import Any

from airflow_spark_k8s.core.spec import Manifest

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_UID_LABELS = ("batch.kubernetes.io/controller-uid", "controller-uid")
_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")
_JOB_DEFAULTS: dict[str, Any] = {
    "completionMode": "NonIndexed",
    "suspend": False,
    "podReplacementPolicy": "TerminatingOrFailed",
}


def default_pod(pod: Manifest) -> None:
    """Fill in a pod that is created: its spec, tolerations, QoS class and a fresh status."""
    spec = pod["spec"]
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _request_what_is_limited(container)
    _default_tolerations(spec)
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}


def default_pod_spec(spec: Manifest) -> None:
    """Fill in the spec of a pod or of a pod template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _default_container(container)
    for volume in spec.get("volumes") or []:
        _default_volume(volume)


def _default_container(container: Manifest) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image") or ""))
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
    for mount in container.get("volumeMounts") or []:
        _omit_empty(mount, "readOnly", "subPath", "subPathExpr")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            _default_probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        _default_http(hook)


def _default_probe(probe: Manifest) -> None:
    for field, value in _PROBE.items():
        probe.setdefault(field, value)
    _default_http(probe)


def _default_http(handler: Manifest) -> None:
    if isinstance(handler, dict) and handler.get("httpGet"):
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")


def _pull_policy(image: str) -> str:
    last = image.rsplit("/", 1)[-1]
    if "@" in last:
        return "IfNotPresent"
    tag = last.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _default_volume(volume: Manifest) -> None:
    for kind in ("configMap", "secret", "projected", "downwardAPI"):
        if volume.get(kind) is not None:
            volume[kind].setdefault("defaultMode", 0o644)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
    for kind in ("persistentVolumeClaim", "nfs"):
        _omit_empty(volume.get(kind) or {}, "readOnly")
    _omit_empty(volume.get("emptyDir") or {}, "medium")
    items = list((volume.get("downwardAPI") or {}).get("items") or [])
    for source in (volume.get("projected") or {}).get("sources") or []:
        items += (source.get("downwardAPI") or {}).get("items") or []
        if source.get("serviceAccountToken") is not None:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for item in items:
        if item.get("fieldRef"):
            item["fieldRef"].setdefault("apiVersion", "v1")
    if not any(key for key in volume if key != "name"):
        volume["emptyDir"] = {}


def _omit_empty(obj: Manifest, *fields: str) -> None:
    # An API server in Go does not know these from fields that are not there.
    for field in fields:
        if obj.get(field) in ("", False):
            del obj[field]


def _request_what_is_limited(container: Manifest) -> None:
    resources = container["resources"]
    limits = resources.get("limits") or {}
    if limits:
        resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _default_tolerations(spec: Manifest) -> None:
    present = spec.setdefault("tolerations", [])
    for key in _TOLERATED:
        covered = any(
            each.get("key") in (key, None, "") and each.get("effect") in ("NoExecute", None, "")
            for each in present
        )
        if not covered:
            present.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )


def qos_class(spec: Manifest) -> str:
    """BestEffort, Burstable or Guaranteed, from the containers' CPU and memory."""
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    asked = [{**(each.get("requests") or {}), **(each.get("limits") or {})} for each in resources]
    if not any("cpu" in each or "memory" in each for each in asked):
        return "BestEffort"
    for each in resources:
        limits, requests = each.get("limits") or {}, each.get("requests") or {}
        if any(
            limits.get(name) is None or requests.get(name, limits[name]) != limits[name]
            for name in ("cpu", "memory")
        ):
            return "Burstable"
    return "Guaranteed"


def default_job(job: Manifest) -> None:
    """Fill in a Job that is created: counts, selector, the labels that tie its pods to it, a fresh status."""
    spec = job["spec"]
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    spec.setdefault("backoffLimit", 2**31 - 1 if spec.get("backoffLimitPerIndex") is not None else 6)
    if spec.get("podFailurePolicy") is not None:
        spec.setdefault("podReplacementPolicy", "Failed")
    for field, value in _JOB_DEFAULTS.items():
        spec.setdefault(field, value)
    spec.setdefault("manualSelector", False)
    _default_failure_policy(spec)
    template = spec["template"]
    template.setdefault("metadata", {})
    default_pod_spec(template["spec"])
    _label_job(job)
    job["status"] = {}


def _default_failure_policy(spec: Manifest) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for pattern in rule.get("onPodConditions") or []:
            pattern.setdefault("status", "True")


def _label_job(job: Manifest) -> None:
    metadata, spec = job["metadata"], job["spec"]
    template_metadata = spec["template"]["metadata"]
    # A Job without labels shares those of its template, also the ones that are added now.
    shared = not metadata.get("labels")
    if not spec["manualSelector"]:
        uid, name = metadata["uid"], metadata["name"]
        values = dict.fromkeys(_UID_LABELS, uid) | dict.fromkeys(_NAME_LABELS, name)
        template_metadata["labels"] = {**(template_metadata.get("labels") or {}), **values}
        spec["selector"] = {"matchLabels": {_UID_LABELS[0]: uid}}
    if shared and template_metadata.get("labels"):
        metadata["labels"] = dict(template_metadata["labels"])


def default_secret(secret: Manifest) -> None:
    """Fill in a Secret's type and move `stringData` into `data`."""
    secret.setdefault("type", "Opaque")
    plain = secret.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def default_namespace(namespace: Manifest) -> None:
    """Give a namespace its name label, its finalizer and the phase Active."""
    metadata = namespace["metadata"]
    metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace["status"] = {"phase": "Active"}


def default_service(service: Manifest) -> None:
    """Fill in a Service's type, session affinity and port fields."""
    spec = service.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    service.setdefault("status", {"loadBalancer": {}})


def default_claim(claim: Manifest) -> None:
    """Give a PersistentVolumeClaim the phase Pending and its volume mode."""
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    claim["status"] = {"phase": "Pending"}


def default_priority_class(priority_class: Manifest) -> None:
    """Fill in a PriorityClass's preemption policy."""
    priority_class.setdefault("preemptionPolicy", "PreemptLowerPriority")


def default_quota(quota: Manifest) -> None:
    """Give a ResourceQuota an empty status; usage is counted when pods are admitted."""
    quota["status"] = {}
