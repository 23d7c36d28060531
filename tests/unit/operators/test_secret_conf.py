from __future__ import annotations

import pytest

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators.secret_conf import hidden, plain_conf, revealed, secrets_of

CONF = {
    "spark.executor.instances": "3",
    "spark.hadoop.fs.s3a.access.key": "AKIA",
    "spark.kubernetes.driverEnv.DB_PASSWORD": "pw",
    "spark.driver.extraJavaOptions": "-Djavax.net.ssl.keyStorePassword=hunter2",
}


def test_booleans_and_numbers_are_written_as_spark_reads_them() -> None:
    assert plain_conf({"a": True, "b": False, "c": 3, "d": 0.4, "e": "x"}) == {
        "a": "true",
        "b": "false",
        "c": "3",
        "d": "0.4",
        "e": "x",
    }


def test_no_conf_is_an_empty_one() -> None:
    assert plain_conf(None) == {}


@pytest.mark.parametrize(
    "conf",
    [
        pytest.param(["spark.executor.instances=3"], id="a list"),
        pytest.param({"": "x"}, id="a property without a name"),
        pytest.param({3: "x"}, id="a name that is no text"),
    ],
)
def test_what_is_no_conf_is_refused(conf: object) -> None:
    with pytest.raises(InvalidConfiguration, match="conf"):
        plain_conf(conf)  # type: ignore[arg-type]


def test_a_value_of_the_wrong_type_is_not_quoted() -> None:
    with pytest.raises(InvalidConfiguration, match=r"spark\.my\.password") as raised:
        plain_conf({"spark.my.password": ["hunter2"]})
    assert "hunter2" not in str(raised.value)


def test_what_is_no_conf_is_not_quoted() -> None:
    with pytest.raises(InvalidConfiguration, match="conf") as raised:
        plain_conf("spark.my.password=hunter2")  # type: ignore[arg-type]
    assert "hunter2" not in str(raised.value)


def test_the_rule_for_secrets_may_come_from_the_connection() -> None:
    strict = {"spark.redaction.regex": "(?i)banana"}
    assert secrets_of({"spark.banana": "b", "spark.a": "a"}, strict) == {"spark.banana": "b"}
    assert secrets_of({"spark.banana": "b", "spark.redaction.regex": "cherry"}, strict) == {}


def test_secrets_are_found_by_name_and_by_value() -> None:
    assert set(secrets_of(CONF)) == {
        "spark.hadoop.fs.s3a.access.key",
        "spark.kubernetes.driverEnv.DB_PASSWORD",
        "spark.driver.extraJavaOptions",
    }


def test_what_is_hidden_can_be_revealed() -> None:
    secrets = secrets_of(CONF)
    shown = hidden(CONF, secrets)
    assert shown["spark.executor.instances"] == "3"
    assert {shown[name] for name in secrets} == {"***"}
    assert revealed(shown, secrets) == CONF


def test_a_value_changed_after_hiding_stays_changed() -> None:
    secrets = secrets_of(CONF)
    changed = {**hidden(CONF, secrets), "spark.hadoop.fs.s3a.access.key": "other"}
    assert revealed(changed, secrets)["spark.hadoop.fs.s3a.access.key"] == "other"
