from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.exceptions import InvalidConfiguration

NAME = "spark.some.property"


def conf(value: str) -> Conf:
    return Conf.merged({NAME: value}, {})


def test_the_task_wins_over_the_connection() -> None:
    merged = Conf.merged({"spark.a": "task"}, {"spark.a": "connection", "spark.b": "connection"})
    assert (merged.get("spark.a"), merged.get("spark.b"), merged.get("spark.c")) == (
        "task",
        "connection",
        None,
    )
    assert list(merged) == ["spark.a", "spark.b"]
    assert "spark.b" in merged


def test_errors_tell_a_connections_property_from_a_tasks() -> None:
    merged = Conf.merged({"spark.a": "x"}, {"spark.b": "x"})
    assert str(merged.error("spark.a", "no")) == "spark.a='x': no"
    assert str(merged.error("spark.b", "no")) == "spark.b (from the connection)='x': no"
    assert str(merged.error("spark.c", "no")) == "spark.c=None: no"


def test_errors_do_not_show_secrets() -> None:
    merged = Conf.merged({"spark.my.password": "hunter2"}, {})
    assert "hunter2" not in str(merged.error("spark.my.password", "no"))


def test_blanks_around_a_value_do_not_count() -> None:
    assert conf(" true\t").flag(NAME, default=False) is True
    assert conf("  ").get(NAME) is None


def test_the_tasks_property_counts_before_the_connections() -> None:
    merged = Conf.merged({"spark.general": "1"}, {"spark.special": "2", "spark.other": "3"})
    assert merged.chosen(("spark.special", "spark.general")) == "spark.general"
    assert merged.chosen(("spark.special", "spark.other")) == "spark.special"
    assert merged.chosen(("spark.x", "spark.y")) is None


def test_properties_are_found_by_prefix() -> None:
    merged = Conf.merged({"spark.env.A": "1", "spark.env.B": "2", "spark.x": "3"}, {})
    assert merged.prefixed("spark.env.") == {"A": "1", "B": "2"}


READERS: dict[str, Callable[[Conf], Any]] = {
    "mib": lambda conf: conf.mib(NAME, 7, minimum=1),
    "bytes": lambda conf: conf.size_bytes(NAME, 7),
    "seconds": lambda conf: conf.seconds(NAME, 7),
    "integer": lambda conf: conf.integer(NAME, 7, minimum=1, maximum=100),
    "number": lambda conf: conf.number(NAME, 7),
    "flag": lambda conf: conf.flag(NAME, default=True),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_not_set_has_its_default(reader: str) -> None:
    assert READERS[reader](Conf.merged({}, {})) == (True if reader == "flag" else 7)


def test_no_amount_of_cpu_has_no_default() -> None:
    assert Conf.merged({}, {}).millicores(NAME) is None
    assert conf("1.5").millicores(NAME) == 1500


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        ("mib", "1g", 1024),
        ("bytes", "1k", 1024),
        ("seconds", "2min", 120),
        ("integer", "+5", 5),
        ("number", "0.25", 0.25),
        ("number", "0", 0),
        ("flag", "FALSE", False),
    ],
)
def test_values_are_read_with_their_type(reader: str, value: str, expected: object) -> None:
    assert READERS[reader](conf(value)) == expected


@pytest.mark.parametrize(
    ("reader", "value", "told"),
    [
        ("mib", "0", "at least 1 MiB"),
        ("mib", "much", "must be a size"),
        ("integer", "0", "at least 1"),
        ("integer", "-3", "at least 1"),
        ("integer", "101", "at most 100"),
        ("integer", "1.0", "whole number"),
        ("integer", "9" * 30, "whole number"),
        ("integer", "two", "whole number"),
        ("number", "x", "must be a number"),
        ("number", "nan", "at least 0"),
        ("number", "inf", "at least 0"),
        ("number", "-0.1", "at least 0"),
        ("flag", "yes", "true or false"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(reader: str, value: str, told: str) -> None:
    with pytest.raises(InvalidConfiguration, match=told) as caught:
        READERS[reader](conf(value))
    assert caught.value.field == NAME


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        pytest.param({"executor.memory": "1g"}, "begin with spark.", id="Spark would drop it"),
        pytest.param({"spark.a b": "1"}, "no blanks", id="a blank in the name"),
        pytest.param({"spark.a": 3}, "must be a text", id="no text"),
        pytest.param({3: "a"}, "begin with spark.", id="no text as name"),
    ],
)
def test_what_is_no_property_is_refused(properties: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidConfiguration, match=told):
        Conf.merged(properties, {})
