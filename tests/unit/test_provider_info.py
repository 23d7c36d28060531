from __future__ import annotations

import importlib
import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from airflow_spark_k8s.get_provider_info import get_provider_info
from airflow_spark_k8s.operators import configuration

INFO = get_provider_info()


def modules() -> list[str]:
    return [
        module
        for kind in ("operators", "hooks", "triggers")
        for entry in INFO[kind]
        for module in entry["python-modules"]
    ]


def connection() -> dict[str, Any]:
    entry: dict[str, Any] = INFO["connection-types"][0]
    return entry


def test_it_is_what_airflow_expects() -> None:
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


@pytest.mark.parametrize("module", modules())
def test_every_module_it_names_is_there(module: str) -> None:
    importlib.import_module(module)


def test_integrations_are_declared() -> None:
    declared = {entry["integration-name"] for entry in INFO["integrations"]}
    used = {entry["integration-name"] for kind in ("operators", "hooks", "triggers") for entry in INFO[kind]}
    assert used <= declared


def test_the_connection_type_is_that_of_the_hook() -> None:
    module, _, name = connection()["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert hook.conn_type == connection()["connection-type"]
    assert hook.hook_name == connection()["hook-name"]


def test_the_form_offers_every_extra_that_the_hook_reads() -> None:
    from airflow_spark_k8s.hooks.spark_kubernetes import DEFAULT_EXTRAS
    from airflow_spark_k8s.kube.config import CLUSTER_EXTRAS

    assert set(connection()["conn-fields"]) == CLUSTER_EXTRAS | DEFAULT_EXTRAS


def test_defaults_of_the_configuration_are_those_of_the_code() -> None:
    options = INFO["config"][configuration.SECTION]["options"]
    assert int(options["retention_seconds"]["default"]) == configuration.DEFAULT_RETENTION_SECONDS
    assert (
        float(options["minimum_trigger_seconds"]["default"]) == configuration.DEFAULT_MINIMUM_TRIGGER_SECONDS
    )


def test_airflow_finds_the_provider_and_its_connection_type() -> None:
    from airflow.providers_manager import ProvidersManager
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    assert "airflow-spark-k8s" in ProvidersManager().providers
    assert "spark_kubernetes" in ProvidersManagerTaskRuntime().hooks
