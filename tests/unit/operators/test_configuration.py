from __future__ import annotations

import pytest

from airflow_spark_k8s.core.labels import check_label_value
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators import configuration


def test_the_configured_deployment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SPARK_KUBERNETES__DEPLOYMENT_ID", " team-a ")
    assert configuration.deployment_id() == "team-a"


def test_without_one_it_follows_from_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://a.example.com/")
    first = configuration.deployment_id()
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://a.example.com")
    assert configuration.deployment_id() == first
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://b.example.com")
    assert configuration.deployment_id() != first
    assert check_label_value(first, field="deployment_id") == first


def test_without_an_address_it_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    assert configuration.deployment_id() == "airflow"


def test_the_defaults_are_those_of_the_provider() -> None:
    assert configuration.retention_seconds() == configuration.DEFAULT_RETENTION_SECONDS
    assert configuration.minimum_trigger_seconds() == configuration.DEFAULT_MINIMUM_TRIGGER_SECONDS


@pytest.mark.parametrize(
    ("option", "read"),
    [
        ("RETENTION_SECONDS", configuration.retention_seconds),
        ("MINIMUM_TRIGGER_SECONDS", configuration.minimum_trigger_seconds),
    ],
)
def test_negative_seconds_are_refused(monkeypatch: pytest.MonkeyPatch, option: str, read: object) -> None:
    monkeypatch.setenv(f"AIRFLOW__SPARK_KUBERNETES__{option}", "-1")
    with pytest.raises(InvalidConfiguration, match=option.lower()):
        read()  # type: ignore[operator]


def test_the_patience_with_a_cluster_that_is_away_is_two_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration.outage_patience_seconds() == 7200
    monkeypatch.setenv("AIRFLOW__SPARK_KUBERNETES__OUTAGE_PATIENCE_SECONDS", "900")
    assert configuration.outage_patience_seconds() == 900
    monkeypatch.setenv("AIRFLOW__SPARK_KUBERNETES__OUTAGE_PATIENCE_SECONDS", "0")
    assert configuration.outage_patience_seconds() is None


@pytest.mark.parametrize("seconds", ["-1", "59"])
def test_too_little_patience_is_refused(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("AIRFLOW__SPARK_KUBERNETES__OUTAGE_PATIENCE_SECONDS", seconds)
    with pytest.raises(InvalidConfiguration, match=r"outage_patience_seconds.*60 or more"):
        configuration.outage_patience_seconds()
