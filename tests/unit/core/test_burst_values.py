from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_spark_k8s.core.burst_values import Share, decimal_text, factor_of, flag_of, ratio_of, share_of
from airflow_spark_k8s.exceptions import InvalidConfiguration


@pytest.mark.parametrize(
    ("value", "share"),
    [
        pytest.param(None, None, id="not given"),
        pytest.param("", None, id="a template that renders nothing"),
        pytest.param(" \n", None, id="blanks only"),
        pytest.param(1.2, Share(Fraction(6, 5)), id="a float means its decimal text"),
        pytest.param("1.2", Share(Fraction(6, 5)), id="text"),
        pytest.param(" 1.20 ", Share(Fraction(6, 5)), id="text with blanks"),
        pytest.param(2, Share(Fraction(2)), id="an integer"),
        pytest.param("1", Share(Fraction(1)), id="one"),
        pytest.param("12e-1", Share(Fraction(6, 5)), id="with an exponent"),
        pytest.param(Decimal("1.1"), Share(Fraction(11, 10)), id="a decimal"),
        pytest.param(1000, Share(Fraction(1000)), id="the largest"),
        pytest.param({"factor": 1.2}, Share(Fraction(6, 5)), id="a mapping without fraction: all"),
        pytest.param({"factor": 1.2, "fraction": None}, Share(Fraction(6, 5)), id="no fraction: all"),
        pytest.param({"factor": "1.2", "fraction": ""}, Share(Fraction(6, 5)), id="an empty fraction: all"),
        pytest.param(
            {"factor": 1.2, "fraction": 0.25}, Share(Fraction(6, 5), Fraction(1, 4)), id="of a quarter"
        ),
        pytest.param(
            '{"factor": 1.2, "fraction": 0.1}', Share(Fraction(6, 5), Fraction(1, 10)), id="the same as JSON"
        ),
        pytest.param({"factor": 1.2, "fraction": 1}, Share(Fraction(6, 5)), id="of all"),
    ],
)
def test_a_share_is_read_exactly(value: object, share: Share | None) -> None:
    assert share_of(value, field="burst_factor") == share


@pytest.mark.parametrize(
    ("value", "field", "told"),
    [
        pytest.param("fast", "burst_factor", "a number of at least 1", id="a word"),
        pytest.param("None", "burst_factor", "a number of at least 1", id="a template that renders None"),
        pytest.param("nan", "burst_factor", "a number", id="text of no number"),
        pytest.param(float("nan"), "burst_factor", "a number", id="no number"),
        pytest.param(float("inf"), "burst_factor", "a number", id="infinite"),
        pytest.param(Decimal("NaN"), "burst_factor", "a number", id="a decimal that is no number"),
        pytest.param(True, "burst_factor", "a number", id="a boolean"),
        pytest.param([1.2], "burst_factor", "a number", id="a list"),
        pytest.param("6/5", "burst_factor", "a number", id="a quotient"),
        pytest.param("1,2", "burst_factor", "a number", id="a comma"),
        pytest.param("20%", "burst_factor", "a number", id="per cent"),
        pytest.param("١.٢", "burst_factor", "a number", id="digits of another script"),
        pytest.param(0.99, "burst_factor", "at least 1, which shares nothing", id="less than one"),
        pytest.param("-1.2", "burst_factor", "at least 1", id="negative"),
        pytest.param(1000.5, "burst_factor", "at most 1000", id="absurd"),
        pytest.param("9" * 40, "burst_factor", "at most 1000", id="very absurd"),
        pytest.param(
            {"factor": 0.5}, 'burst_factor["factor"]', "at least 1", id="less than one, in a mapping"
        ),
        pytest.param({"fraction": 0.5}, 'burst_factor["factor"]', "say a factor", id="a fraction of nothing"),
        pytest.param({}, 'burst_factor["factor"]', "say a factor", id="an empty mapping"),
        pytest.param({"factor": " "}, 'burst_factor["factor"]', "say a factor", id="an empty factor"),
        pytest.param(
            {"factor": 1.2, "share": 0.5}, 'burst_factor["share"]', "use factor and fraction", id="unknown"
        ),
        pytest.param({"factor": 1.2, "fraction": 0}, 'burst_factor["fraction"]', "more than 0", id="of none"),
        pytest.param(
            {"factor": 1.2, "fraction": 1.01}, 'burst_factor["fraction"]', "at most 1", id="of more than all"
        ),
        pytest.param(
            {"factor": 1.2, "fraction": "a few"}, 'burst_factor["fraction"]', "a number", id="of a few"
        ),
        pytest.param('{"factor": 1.2', "burst_factor", "is not JSON", id="half a mapping"),
        pytest.param("{'factor': 1.2}", "burst_factor", "is not JSON", id="not JSON's quotes"),
        pytest.param('{"factor": ' + "[" * 100_000, "burst_factor", "is not JSON", id="too deep"),
        pytest.param('{"factor": NaN}', 'burst_factor["factor"]', "a number", id="JSON of no number"),
    ],
)
def test_an_impossible_share_is_refused_by_name(value: object, field: str, told: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        share_of(value, field="burst_factor")
    assert caught.value.field == field
    assert told in caught.value.remedy


def test_the_origin_stays_at_the_end_of_the_name() -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        share_of({"factor": 0}, field="burst_factor (from the connection)")
    assert caught.value.field == 'burst_factor["factor"] (from the connection)'


@pytest.mark.parametrize(
    ("value", "ratio"),
    [
        (None, None),
        ("", None),
        (0, Fraction(0)),
        ("0.0", Fraction(0)),
        (0.1, Fraction(1, 10)),
        (".25", Fraction(1, 4)),
        (1e-05, Fraction(1, 100_000)),
        (1, Fraction(1)),
    ],
)
def test_a_ratio_is_read_exactly(value: object, ratio: Fraction | None) -> None:
    assert ratio_of(value, field="min_guaranteed_ratio") == ratio


@pytest.mark.parametrize("value", [-0.1, 1.1, "10%", False, float("nan"), {}, "None"])
def test_an_impossible_ratio_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidConfiguration, match="from 0 to 1") as caught:
        ratio_of(value, field="min_guaranteed_ratio")
    assert caught.value.field == "min_guaranteed_ratio"


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (None, None),
        ("", None),
        (True, True),
        (False, False),
        ("true", True),
        ("False", False),
        (" TRUE ", True),
    ],
)
def test_a_flag_may_be_text(value: object, flag: bool | None) -> None:
    assert flag_of(value, field="burst_offheap") is flag


@pytest.mark.parametrize("value", ["None", "yes", 1, 0, [], "1"])
def test_no_other_value_is_a_flag(value: object) -> None:
    with pytest.raises(InvalidConfiguration, match="must be true or false") as caught:
        flag_of(value, field="burst_offheap")
    assert caught.value.field == "burst_offheap"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.2", "1.2"),
        ("2", "2"),
        ("100", "100"),
        ("1.000000000000000001", "1.000000000000000001"),
        ("1.50", "1.5"),
    ],
)
def test_factors_are_shown_as_they_are_written(text: str, shown: str) -> None:
    assert decimal_text(factor_of(text, field="burst_factor")) == shown


@settings(deadline=None)
@given(st.decimals(1, 1000, places=6))
def test_a_factor_survives_writing_and_reading(factor: Decimal) -> None:
    exact = factor_of(factor, field="burst_factor")
    assert exact == Fraction(factor)
    assert factor_of(decimal_text(exact), field="burst_factor") == exact


@settings(deadline=None)
@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.booleans(), st.lists(st.none())))
def test_any_value_is_read_or_refused_and_no_other_error_escapes(value: object) -> None:
    for read in (share_of, ratio_of, flag_of):
        with suppress(InvalidConfiguration):
            read(value, field="field")
