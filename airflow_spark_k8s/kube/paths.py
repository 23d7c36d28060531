"""Paths of the resources that an application consists of."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest

_COLLECTIONS = {
    "Job": ("/apis/batch/v1", "jobs"),
    "Pod": ("/api/v1", "pods"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Event": ("/api/v1", "events"),
}


def collection_path(kind: str, namespace: str) -> str:
    """Where objects of `kind` are listed and created: `Job`, `Pod`, `ConfigMap`, `Secret` or `Event`."""
    root, plural = _COLLECTIONS[kind]
    return f"{root}/namespaces/{namespace}/{plural}"


def object_path(kind: str, namespace: str, name: str) -> str:
    """Where one object is read, patched and deleted."""
    return f"{collection_path(kind, namespace)}/{name}"


def collection_of(manifest: Manifest) -> str:
    """Where `manifest` is created."""
    return collection_path(manifest["kind"], manifest["metadata"]["namespace"])


def path_of(manifest: Manifest) -> str:
    """Where `manifest` is read, patched and deleted."""
    return object_path(manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"])
