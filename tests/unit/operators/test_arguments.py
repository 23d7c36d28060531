from __future__ import annotations

import pytest

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators.arguments import check_count, check_flag, check_template, text, texts


@pytest.mark.parametrize(
    ("value", "separator", "expected"),
    [
        pytest.param(None, ",", (), id="nothing is no elements"),
        pytest.param(["a", "b"], ",", ("a", "b"), id="a list stays as it is"),
        pytest.param(("a",), ",", ("a",), id="a tuple is as good"),
        pytest.param("a.jar, b.jar,", ",", ("a.jar", "b.jar"), id="a text is split as spark-submit does"),
        pytest.param(["a,b"], ",", ("a,b",), id="an element of a list is not split"),
        pytest.param([200, 1.5], None, ("200", "1.5"), id="numbers are written out"),
        pytest.param([""], None, ("",), id="an empty argument is an argument"),
    ],
)
def test_list_arguments_become_texts(value: object, separator: str | None, expected: tuple[str, ...]) -> None:
    assert texts("field", value, separator=separator) == expected


@pytest.mark.parametrize(
    ("value", "separator"),
    [
        pytest.param("200", None, id="a single text would be taken letter by letter"),
        pytest.param({"a": 1}, ",", id="a dict"),
        pytest.param(5, ",", id="a number"),
        pytest.param([True], None, id="a boolean has no agreed spelling"),
        pytest.param([None], None, id="an element that is missing"),
        pytest.param(b"ab", None, id="bytes"),
    ],
)
def test_anything_else_is_refused_with_its_field(value: object, separator: str | None) -> None:
    with pytest.raises(InvalidConfiguration, match="application_args"):
        texts("application_args", value, separator=separator)


def test_the_value_that_is_refused_is_not_quoted() -> None:
    for value in ("--password hunter2", [{"hunter2": 1}], {"password": "hunter2"}):
        with pytest.raises(InvalidConfiguration) as raised:
            texts("application_args", value, separator=None)
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("", None), ("4.3.0", "4.3.0")])
def test_a_text_may_be_missing(value: object, expected: str | None) -> None:
    assert text("spark_version", value) == expected


@pytest.mark.parametrize("value", [4.3, 3, True, False, b"4.3.0", ["4.3.0"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidConfiguration, match="spark_version"):
        text("spark_version", value)


@pytest.mark.parametrize("value", ["false", "no", 0, None])
def test_a_flag_is_a_boolean(value: object) -> None:
    with pytest.raises(InvalidConfiguration, match="deferrable"):
        check_flag("deferrable", value)


@pytest.mark.parametrize("value", [-1, 1.5, "3", True, None])
def test_a_count_is_an_integer_of_at_least_zero(value: object) -> None:
    with pytest.raises(InvalidConfiguration, match="max_driver_restarts"):
        check_count("max_driver_restarts", value)


def test_zero_is_a_count() -> None:
    assert check_count("retention_seconds", 0) == 0


@pytest.mark.parametrize("value", [None, "kind: Job\n", "driver.yaml", {"spec": {}}])
def test_a_template_is_text_a_file_or_a_patch(value: object) -> None:
    assert check_template("driver_template", value) is value


@pytest.mark.parametrize("value", ["", "  \n", 3, ["a"]])
def test_no_template_is_refused(value: object) -> None:
    with pytest.raises(InvalidConfiguration, match="driver_template"):
        check_template("driver_template", value)
