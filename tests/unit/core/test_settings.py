from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.settings import ControllerSettings, config_map_name
from airflow_spark_k8s.core.spec import (
    AllocationSettings,
    Application,
    Burst,
    MemorySum,
    PodShape,
    RecoverySettings,
)
from airflow_spark_k8s.exceptions import InvalidConfiguration

SETTINGS = ControllerSettings(
    AllocationSettings(target=7, batch_size=3, max_pending_pods=9), (4, 3, 0), max_driver_restarts=0
)


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        replace(SETTINGS, rollout=Rollout("1.2", "1/4", 41984, 51200)),
        replace(SETTINGS, recovery=RecoverySettings(tolerations=({"key": "x"},), node_selector={"a": "b"})),
    ],
)
def test_settings_are_read_as_they_were_written(settings: ControllerSettings) -> None:
    assert ControllerSettings.from_json(settings.to_json()) == settings


def test_settings_of_a_newer_version_are_understood() -> None:
    values = json.loads(SETTINGS.to_json())
    values["new"] = 1
    values["allocation"]["newer"] = 2
    assert ControllerSettings.from_json(json.dumps(values)) == SETTINGS


def test_recovery_of_another_version_is_understood() -> None:
    values = json.loads(SETTINGS.to_json())
    values["recovery"] = {"mode": "on", "newer": 1}
    settings = ControllerSettings.from_json(json.dumps(values))
    assert settings.recovery == RecoverySettings(mode="on")


def test_settings_of_an_older_version_get_defaults() -> None:
    text = '{"allocation": {"target": 2}, "spark_version": [3, 5, 9]}'
    assert ControllerSettings.from_json(text) == ControllerSettings(AllocationSettings(target=2), (3, 5, 9))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"allocation": {}, "spark_version": [4, 3, 0]}',
        '{"allocation": 1, "spark_version": 4}',
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"settings\.json"):
        ControllerSettings.from_json(text)


def test_settings_come_from_the_application() -> None:
    shape = PodShape(
        image="apache/spark:4.3.0",
        memory=MemorySum(1024, 384),
        cores=2,
        cpu_request_quantity="2",
        cpu_limit_quantity=None,
        image_pull_policy=None,
        image_pull_secrets=(),
        service_account=None,
        labels={},
        annotations={},
        node_selector={},
        env={},
        secret_env=(),
        java_options=(),
        termination_grace_period_seconds=30,
    )
    application = Application(
        spark_version=(4, 3, 0),
        namespace="spark",
        app_name="pi",
        primary_resource="local:///pi.py",
        main_class=None,
        arguments=(),
        is_python=True,
        driver=shape,
        executor=shape,
        allocation=AllocationSettings(target=5),
        properties={},
        user_file=None,
        max_driver_restarts=1,
        active_deadline_seconds=None,
    )
    assert ControllerSettings.from_application(application) == ControllerSettings(
        AllocationSettings(target=5), (4, 3, 0), max_driver_restarts=1, executor_cores=2
    )
    recovery = RecoverySettings(mode="on")
    recovering = ControllerSettings.from_application(replace(application, recovery=recovery))
    assert recovering.recovery == recovery
    bursting = replace(
        application,
        executor=replace(shape, shared_mib=100),
        burst=Burst(Fraction("1.25"), fraction=Fraction(1, 3)),
    )
    assert ControllerSettings.from_application(bursting).rollout == Rollout("1.25", "1/3", 1308, 1408)


def test_the_config_map_is_named_after_the_application() -> None:
    assert config_map_name("pi-0123") == "pi-0123-app"
