"""Manifests as people read them."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import yaml

from airflow_spark_k8s.core.settings import EXECUTOR_KEY, PLAIN_EXECUTOR_KEY
from airflow_spark_k8s.core.spec import Manifest, Manifests

MASK = "***"

_PODS = {EXECUTOR_KEY: "the Pod above", PLAIN_EXECUTOR_KEY: "the Pod above that does not burst"}


def displayed(manifests: Manifests) -> str:
    """All objects of an application as YAML documents: the Secret with keys only, files with their size."""
    plain = () if manifests.plain_executor is None else (manifests.plain_executor,)
    documents = [
        manifests.job,
        manifests.executor,
        *plain,
        _masked(manifests.secret),
        *(_shortened(config_map) for config_map in manifests.config_maps),
    ]
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, explicit_start=True, width=110
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and no anchors for what stands there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _masked(secret: Manifest) -> Manifest:
    return {**secret, "data": dict.fromkeys(secret["data"], MASK)}


def _shortened(config_map: Manifest) -> Manifest:
    shown = dict(config_map)
    pods = {key: f"({where}, as JSON)" for key, where in _PODS.items() if key in config_map.get("data", {})}
    if pods:
        shown["data"] = {**config_map["data"], **pods}
    if "binaryData" in config_map:
        shown["binaryData"] = {
            name: f"({len(b64decode(content))} bytes)" for name, content in config_map["binaryData"].items()
        }
    return shown
