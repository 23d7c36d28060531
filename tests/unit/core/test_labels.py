from __future__ import annotations

import pytest

from airflow_spark_k8s.core import labels
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.exceptions import InvalidConfiguration

IDENTITY = identify("prod", "päivittäinen", "pi", "manual__2026-11-23T06:00:00+00:00", 3, 2, "0199-ab")


@pytest.mark.parametrize(
    "key",
    ["team", "a", "A_b.c-d", "example.com/team", "x.y.z/" + "n" * 63, "n" * 63, "1"],
)
def test_legal_keys_are_returned(key: str) -> None:
    assert labels.check_key(key, field="f") == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/team",
        "example.com/",
        "-a",
        "a-",
        "ä",
        "n" * 64,
        "Example.com/a",
        "a/b/c",
        "a b",
        "a" * 254 + "/b",
        "a\n",
    ],
)
def test_illegal_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"^f="):
        labels.check_key(key, field="f")


@pytest.mark.parametrize("value", ["", "a", "4.3.0", "A_b-c", "v" * 63])
def test_legal_values_are_returned(value: str) -> None:
    assert labels.check_label_value(value, field="f") == value


@pytest.mark.parametrize("value", ["a b", "-a", "a-", "a/b", "ü", "v" * 64, "a\n"])
def test_illegal_values_are_refused(value: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r"^f="):
        labels.check_label_value(value, field="f")


@pytest.mark.parametrize(
    ("name", "label", "subdomain"),
    [
        ("spark-jobs", True, True),
        ("a.b", False, True),
        ("Spark", False, False),
        ("-a", False, False),
        ("", False, False),
        ("a..b", False, False),
        ("n" * 64, False, False),
        (".".join(["n" * 63] * 4), False, False),
    ],
)
def test_dns_names(name: str, label: bool, subdomain: bool) -> None:
    assert (labels.is_dns_label(name), labels.is_dns_subdomain(name)) == (label, subdomain)


def test_every_label_of_an_identity_is_a_legal_label() -> None:
    of_identity = labels.labels_of(IDENTITY)
    assert of_identity["airflow-spark-k8s/application"] == IDENTITY.application
    assert of_identity["airflow-spark-k8s/ti-id"] == "0199-ab"
    assert of_identity["airflow-spark-k8s/try"] == "2"
    for key, value in of_identity.items():
        labels.check_key(key, field="f")
        labels.check_label_value(value, field="f")


def test_annotations_keep_the_readable_names() -> None:
    assert labels.annotations_of(IDENTITY) == {
        "airflow-spark-k8s/dag-id": "päivittäinen",
        "airflow-spark-k8s/task-id": "pi",
        "airflow-spark-k8s/run-id": "manual__2026-11-23T06:00:00+00:00",
        "airflow-spark-k8s/map-index": "3",
    }


@pytest.mark.parametrize(
    ("shared_mib", "bursts", "group", "size"),
    [
        pytest.param(0, False, "plain", "none", id="one that does not burst"),
        pytest.param(0, True, "burst", "none", id="one that bursts by nothing"),
        pytest.param(5000, True, "burst", "large", id="one that shares much"),
    ],
)
def test_labels_of_memory(shared_mib: int, bursts: bool, group: str, size: str) -> None:
    assert labels.memory_labels(shared_mib, bursts=bursts) == {
        "airflow-spark-k8s/memory": group,
        "airflow-spark-k8s/shared-memory": size,
    }
