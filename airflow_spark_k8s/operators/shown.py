"""The manifests as Airflow's "Rendered Template" shows them: in pieces, since Airflow cuts long ones."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_spark_k8s.core.spec import Manifest, Manifests

SHOWN_FIELDS = (
    "driver_manifest",
    "driver_containers",
    "executor_manifest",
    "executor_containers",
    "plain_executor_manifest",
    "plain_executor_containers",
    "other_manifests",
)
"""Template fields of the operator that hold them, once the task has run."""

_DOCUMENT_START = re.compile(r"^---\n", re.MULTILINE)
_CONTAINERS = ("initContainers", "containers")


def shown_fields(manifests: Manifests) -> dict[str, str]:
    """YAML for `SHOWN_FIELDS` but those of pods that it does not have; no value of the Secret."""
    names = ["driver", "executor"] + (["plain_executor"] if manifests.plain_executor else [])
    outline = _documents(_changed(manifests, _without_containers))
    containers = _documents(_changed(manifests, _containers))
    shown = {"other_manifests": "---\n".join(outline[len(names) :])}
    for place, name in enumerate(names):
        shown[f"{name}_manifest"] = outline[place]
        shown[f"{name}_containers"] = containers[place]
    return shown


def shown_whole(manifests: Manifests) -> str:
    """All manifests as YAML documents; no value of the Secret."""
    from airflow_spark_k8s.templates.display import displayed

    return displayed(manifests)


def _documents(manifests: Manifests) -> list[str]:
    return _DOCUMENT_START.split(shown_whole(manifests))[1:]


def _changed(manifests: Manifests, change: Callable[[Manifest, str], Manifest]) -> Manifests:
    plain = manifests.plain_executor
    return replace(
        manifests,
        job=change(manifests.job, "driver"),
        executor=change(manifests.executor, "executor"),
        plain_executor=None if plain is None else change(plain, "plain_executor"),
    )


def _without_containers(manifest: Manifest, name: str) -> Manifest:
    spec = manifest["spec"]
    if "template" in spec:
        return {**manifest, "spec": {**spec, "template": _without_containers(spec["template"], name)}}
    rest = {key: f"(see {name}_containers)" if key in _CONTAINERS else value for key, value in spec.items()}
    return {**manifest, "spec": rest}


def _containers(manifest: Manifest, _name: str) -> Manifest:
    spec = manifest["spec"].get("template", manifest)["spec"]
    return {key: spec[key] for key in _CONTAINERS if key in spec}
