"""The manifests as Airflow's "Rendered Template" shows them: in pieces, since Airflow cuts long ones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_spark_k8s.core.spec import Manifests

SHOWN_FIELDS = (
    "driver_manifest",
    "driver_containers",
    "executor_manifest",
    "executor_containers",
    "other_manifests",
)
"""Template fields of the operator that hold them, once the task has run."""

_DOCUMENT_START = re.compile(r"^---\n", re.MULTILINE)
_CONTAINERS = ("initContainers", "containers")


def shown_fields(manifests: Manifests) -> dict[str, str]:
    """YAML for each of `SHOWN_FIELDS`; no value of the Secret."""
    driver_spec, executor_spec = manifests.job["spec"]["template"]["spec"], manifests.executor["spec"]
    template = {**manifests.job["spec"]["template"], "spec": _without(driver_spec, "driver_containers")}
    job = {**manifests.job, "spec": {**manifests.job["spec"], "template": template}}
    executor = {**manifests.executor, "spec": _without(executor_spec, "executor_containers")}
    outline = _documents(replace(manifests, job=job, executor=executor))
    containers = _documents(
        replace(manifests, job=_containers(driver_spec), executor=_containers(executor_spec))
    )
    return {
        "driver_manifest": outline[0],
        "driver_containers": containers[0],
        "executor_manifest": outline[1],
        "executor_containers": containers[1],
        "other_manifests": "---\n".join(outline[2:]),
    }


def shown_whole(manifests: Manifests) -> str:
    """All manifests as YAML documents; no value of the Secret."""
    from airflow_spark_k8s.templates.display import displayed

    return displayed(manifests)


def _documents(manifests: Manifests) -> list[str]:
    return _DOCUMENT_START.split(shown_whole(manifests))[1:]


def _without(spec: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: f"(see {field})" if key in _CONTAINERS else value for key, value in spec.items()}


def _containers(spec: dict[str, Any]) -> dict[str, Any]:
    return {key: spec[key] for key in _CONTAINERS if key in spec}
