"""
What happens to an object between its arrival and the store: namespace checks, defaults, service account,
priority, validation, webhooks, quota, in the API server's order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local import defaults
from airflow_spark_k8s.local.claims import choose_class
from airflow_spark_k8s.local.errors import Cause, bad_request, forbidden, not_found
from airflow_spark_k8s.local.manifests import Reader, random_suffix
from airflow_spark_k8s.local.pod_security import check_pod_security
from airflow_spark_k8s.local.priority_classes import check_default, resolve_priority
from airflow_spark_k8s.local.quotas import check_quotas
from airflow_spark_k8s.local.resources import (
    JOBS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)
from airflow_spark_k8s.local.validation import validate_new
from airflow_spark_k8s.local.webhooks import Webhook, check_webhooks

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 (a path)

_DEFAULTS: dict[Resource, Callable[[Manifest], None]] = {
    PODS: defaults.default_pod,
    JOBS: defaults.default_job,
    SECRETS: defaults.default_secret,
    NAMESPACES: defaults.default_namespace,
    SERVICES: defaults.default_service,
    PERSISTENT_VOLUME_CLAIMS: defaults.default_claim,
    PRIORITY_CLASSES: defaults.default_priority_class,
    RESOURCE_QUOTAS: defaults.default_quota,
}


def admit(
    reader: Reader, resource: Resource, obj: Manifest, now: datetime, webhooks: Iterable[Webhook] = ()
) -> None:
    """
    Fill in and check an object that is about to be created; changes `obj` in place.

    Raises ApiError: 404 and 403 (namespace), 403 (service account, priority class, quota), 422 (not valid).
    """
    obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
    if resource.namespaced:
        _check_namespace(reader, resource, obj)
    if resource in _NEED_SPEC:
        obj.setdefault("spec", {})
    if resource is JOBS:
        obj["spec"].setdefault("template", {}).setdefault("spec", {})
    fill = _DEFAULTS.get(resource)
    if fill is not None:
        fill(obj)
    if resource is PODS:
        _add_service_account(reader, obj)
        resolve_priority(reader, obj)
    if resource is PERSISTENT_VOLUME_CLAIMS:
        choose_class(reader, obj)
    validate_new(resource, obj)
    if resource is PRIORITY_CLASSES:
        check_default(reader, obj)
    if resource is PODS:
        check_pod_security(reader, obj)
    check_webhooks(webhooks, resource, obj)
    if resource.namespaced:
        check_quotas(reader, resource, obj)


_NEED_SPEC = (PODS, JOBS)


def _check_namespace(reader: Reader, resource: Resource, obj: Manifest) -> None:
    metadata = obj["metadata"]
    name = metadata.get("namespace")
    if not name:
        raise bad_request("an empty namespace may not be set during creation")
    namespace = reader.peek(NAMESPACES, None, name)
    if namespace is None:
        raise not_found(NAMESPACES, name)
    if "deletionTimestamp" in namespace["metadata"]:
        cause = Cause("NamespaceTerminating", f"namespace {name} is being terminated", "metadata.namespace")
        why = f"unable to create new content in namespace {name} because it is being terminated"
        raise forbidden(resource, metadata["name"], why, [cause])


def _add_service_account(reader: Reader, pod: Manifest) -> None:
    metadata, spec = pod["metadata"], pod["spec"]
    name = spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = name
    namespace = metadata["namespace"]
    account = reader.peek(SERVICE_ACCOUNTS, namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(PODS, metadata["name"], why)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(each) for each in account["imagePullSecrets"]]
    automount = spec.get("automountServiceAccountToken")
    if automount is None:
        automount = account.get("automountServiceAccountToken", True)
    if automount:
        _mount_token(pod)


def _mount_token(pod: Manifest) -> None:
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    wanting = [
        each
        for each in containers
        if not any(mount.get("mountPath") == TOKEN_PATH for mount in each.get("volumeMounts") or [])
    ]
    if not wanting:
        return
    volume = "kube-api-access-" + random_suffix(random.Random(pod["metadata"]["uid"]))  # noqa: S311 (a name)
    spec.setdefault("volumes", []).append({"name": volume, "projected": _token_sources()})
    for container in wanting:
        mount = {"name": volume, "readOnly": True, "mountPath": TOKEN_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]


def _token_sources() -> Manifest:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    certificate = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": certificate},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": 0o644,
    }
