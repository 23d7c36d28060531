"""The manifest of an executor of another size than the task says, made from the ordinary one."""

from __future__ import annotations

from typing import Any

from airflow_spark_k8s.core.executor_pod import EXECUTOR_CONTAINER
from airflow_spark_k8s.core.labels import LABEL_RECOVERY
from airflow_spark_k8s.core.quantities import parse_quantity_bytes
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.spec import Manifest, RecoverySettings

_MIB_BYTES = 1024**2


def recovery_pod(manifest: Manifest, size: Size, settings: RecoverySettings) -> Manifest:
    """
    `manifest` for an executor of `size`, and for the nodes that such executors are to run on.

    Everything else stays as it was rendered: memory is added to what the template asks for, and neither a
    request nor a limit is added that it leaves out.

    Source: org.apache.spark.deploy.k8s.features.BasicExecutorFeatureStep (recovery mode)
    """
    growth_mib = size.heap_mib + size.overhead_mib - settings.heap_mib - settings.overhead_mib
    metadata, spec = manifest.get("metadata") or {}, manifest.get("spec") or {}
    containers = [
        _resized(container, size, growth_mib) if container.get("name") == EXECUTOR_CONTAINER else container
        for container in spec.get("containers") or []
    ]
    return {
        **manifest,
        "metadata": {
            **metadata,
            "labels": {**(metadata.get("labels") or {}), LABEL_RECOVERY: str(size.step)},
            "annotations": {**(metadata.get("annotations") or {}), **size.annotation()},
        },
        "spec": {**_placed(spec, settings), "containers": containers},
    }


def _resized(container: dict[str, Any], size: Size, growth_mib: int) -> dict[str, Any]:
    values = {"SPARK_EXECUTOR_CORES": str(size.cores), "SPARK_EXECUTOR_MEMORY": f"{size.heap_mib}m"}
    kept = [variable for variable in container.get("env") or [] if variable["name"] not in values]
    resources = container.get("resources") or {}
    grown = {
        field: _grown(resources[field], growth_mib)
        for field in ("requests", "limits")
        if growth_mib and resources.get(field)
    }
    return {
        **container,
        "env": [{"name": name, "value": value} for name, value in values.items()] + kept,
        "resources": {**resources, **grown},
    }


def _grown(resources: dict[str, Any], growth_mib: int) -> dict[str, Any]:
    if resources.get("memory") is None:
        return resources
    size_bytes = parse_quantity_bytes(str(resources["memory"]), field="resources.memory")
    whole, rest = divmod(size_bytes + growth_mib * _MIB_BYTES, _MIB_BYTES)
    memory = f"{whole}Mi" if rest == 0 else str(whole * _MIB_BYTES + rest)
    return {**resources, "memory": memory}


def _placed(spec: dict[str, Any], settings: RecoverySettings) -> dict[str, Any]:
    placed = dict(spec)
    if settings.node_selector:
        placed["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **settings.node_selector}
    if settings.tolerations:
        placed["tolerations"] = [*(spec.get("tolerations") or []), *settings.tolerations]
    if settings.priority_class is not None:
        placed["priorityClassName"] = settings.priority_class
        # the number belongs to the other class, and the API server refuses a pod in which they differ
        placed.pop("priority", None)
    return placed
