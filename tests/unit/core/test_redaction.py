from __future__ import annotations

import pytest

from airflow_spark_k8s.core.redaction import masked, redaction_of
from airflow_spark_k8s.exceptions import InvalidConfiguration


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        pytest.param("spark.hadoop.fs.s3a.secret.key", "x", True, id="secret in the name"),
        pytest.param("spark.executorEnv.DB_PASSWORD", "x", True, id="password in any case"),
        pytest.param("spark.a.accessKey", "x", True, id="access key without a dot"),
        pytest.param("spark.a.access.key", "x", True, id="access key with a dot"),
        pytest.param("spark.hadoop.google.credentials", "x", True, id="credential, since Spark 4.3"),
        pytest.param("spark.executor.extraJavaOptions", "-Dtoken=x", True, id="a match in the value"),
        pytest.param("spark.executor.memory", "1g", False, id="nothing secret"),
    ],
)
def test_secrets_are_those_of_sparks_default_rule(name: str, value: str, secret: bool) -> None:
    assert redaction_of({}).is_secret(name, value) is secret
    assert masked({name: value}) == {name: "***" if secret else value}


def test_the_users_own_rule_replaces_the_default() -> None:
    conf = {
        "spark.redaction.regex": "(?i)geheim",
        "spark.executorEnv.GEHEIM": "x",
        "spark.executorEnv.PASSWORD": "y",
    }
    assert masked(conf) == {**conf, "spark.executorEnv.GEHEIM": "***"}


def test_the_rule_itself_is_never_masked() -> None:
    assert masked({"spark.redaction.regex": "secret|x"}) == {"spark.redaction.regex": "secret|x"}


@pytest.mark.parametrize("expression", ["(", r"\p{Alpha}secret", "a|(?i)b"])
def test_a_rule_that_only_java_understands_is_refused(expression: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        masked({"spark.redaction.regex": expression})
    assert caught.value.field == "spark.redaction.regex"
