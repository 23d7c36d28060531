from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.core import quantities
from airflow_spark_k8s.exceptions import InvalidConfiguration

FIELD = "spark.some.property"


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        pytest.param("1g", 1024, id="a gibibyte is 1024 MiB"),
        pytest.param("512m", 512, id="m is MiB"),
        pytest.param("1536", 1536, id="a plain number is MiB"),
        pytest.param("2G", 2048, id="case does not matter"),
        pytest.param(" 1gb ", 1024, id="blanks around and a b at the end do not matter"),
        pytest.param("1t", 1024**2, id="t is tebibytes"),
        pytest.param("1pb", 1024**3, id="pb is pebibytes"),
        pytest.param("1047552k", 1023, id="whole MiB from KiB"),
        pytest.param("1535kb", 1, id="rounded down as Spark does"),
        pytest.param("1048575b", 0, id="less than a MiB is none"),
        pytest.param("0", 0, id="zero"),
    ],
)
def test_spark_sizes_become_mib(text: str, mib: int) -> None:
    assert quantities.parse_mib(text, field=FIELD) == mib


def test_a_plain_number_is_bytes_where_the_property_counts_bytes() -> None:
    assert quantities.parse_bytes("1048576", field=FIELD) == 1048576
    assert quantities.parse_bytes("1m", field=FIELD) == 1048576


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("0.5g", "no fractions", id="Spark takes no fractions"),
        pytest.param("-1g", "must not be negative", id="negative"),
        pytest.param("1x", "unknown unit", id="unknown unit"),
        pytest.param("1Gi", "unknown unit", id="the Kubernetes spelling is not Spark's"),
        pytest.param("g", "must be a size", id="no number"),
        pytest.param("", "must be a size", id="nothing"),
        pytest.param("1 g", "must be a size", id="a blank inside"),
        pytest.param("٣m", "must be a size", id="digits of other scripts"),
        pytest.param("9999999p", "too large", id="beyond 64 bits"),
        pytest.param("9" * 5000, "too many digits", id="thousands of digits"),
    ],
)
def test_what_is_no_size_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(InvalidConfiguration, match=told) as caught:
        quantities.parse_mib(text, field=FIELD)
    assert caught.value.field == FIELD


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("100ms", 0.1, id="milliseconds"),
        pytest.param("250us", 0.00025, id="microseconds"),
        pytest.param("1s", 1.0, id="seconds"),
        pytest.param("2m", 120.0, id="m is minutes"),
        pytest.param("5min", 300.0, id="min is minutes"),
        pytest.param("1H", 3600.0, id="hours in any case"),
        pytest.param("2d", 172800.0, id="days"),
        pytest.param("30", 30.0, id="a plain number has the property's unit"),
    ],
)
def test_spark_times_become_seconds(text: str, seconds: float) -> None:
    assert quantities.parse_seconds(text, field=FIELD) == pytest.approx(seconds)


def test_the_unit_of_a_plain_number_can_be_another_one() -> None:
    assert quantities.parse_seconds("100", field=FIELD, default_unit="ms") == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["1.5s", "-1s", "1w", "soon", "9999999999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match=FIELD):
        quantities.parse_seconds(text, field=FIELD)


@pytest.mark.parametrize(
    ("text", "millicores"),
    [
        pytest.param("500m", 500, id="half a core"),
        pytest.param("2", 2000, id="whole cores"),
        pytest.param("1.5", 1500, id="a decimal"),
        pytest.param(".25", 250, id="no digit before the point"),
        pytest.param("3.", 3000, id="no digit after the point"),
        pytest.param("1e3", 1_000_000, id="an exponent"),
        pytest.param("15E-1", 1500, id="a negative exponent"),
        pytest.param("1k", 1_000_000, id="thousand"),
        pytest.param("0.0001", 1, id="rounded up to a thousandth"),
        pytest.param("1500000n", 2, id="nanocores rounded up"),
    ],
)
def test_quantities_of_cpu_become_millicores(text: str, millicores: int) -> None:
    assert quantities.parse_millicores(text, field=FIELD) == millicores


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param("1Gi", 1024**3, id="binary suffix"),
        pytest.param("500M", 500_000_000, id="decimal suffix"),
        pytest.param("1e9", 10**9, id="exponent"),
        pytest.param("2P", 2 * 10**15, id="a large decimal suffix"),
        pytest.param("1.5Ki", 1536, id="a fraction of a suffix"),
        pytest.param("0", 0, id="zero"),
    ],
)
def test_quantities_of_memory_become_bytes(text: str, size: int) -> None:
    assert quantities.parse_quantity_bytes(text, field=FIELD) == size


def test_quantities_are_exact_before_they_are_rounded() -> None:
    assert quantities.parse_quantity("1500u", field=FIELD) * 1_000_000 == 1500
    assert quantities.parse_quantity("1Gi", field=FIELD) == quantities.parse_quantity("1024Mi", field=FIELD)


def test_e_alone_is_exa_which_no_cluster_holds() -> None:
    with pytest.raises(InvalidConfiguration, match="larger than anything"):
        quantities.parse_quantity_bytes("1E", field=FIELD)


@pytest.mark.parametrize("text", ["0", "-1", "1 core", "1e", "1Zi", "abc", "", "1e999", "."])
def test_what_is_no_amount_of_cpu_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match=FIELD):
        quantities.parse_millicores(text, field=FIELD)


@pytest.mark.parametrize(("millicores", "text"), [(1000, "1"), (1500, "1500m"), (250, "250m"), (12000, "12")])
def test_millicores_are_written_as_short_as_possible(millicores: int, text: str) -> None:
    assert quantities.format_millicores(millicores) == text


@given(st.integers(min_value=1, max_value=10**9))
def test_millicores_survive_writing_and_reading(millicores: int) -> None:
    assert quantities.parse_millicores(quantities.format_millicores(millicores), field=FIELD) == millicores


@given(st.text(max_size=12))
def test_any_text_is_either_read_or_refused_and_no_other_error_escapes(text: str) -> None:
    for parse in (
        quantities.parse_mib,
        quantities.parse_seconds,
        quantities.parse_millicores,
        quantities.parse_quantity_bytes,
    ):
        try:
            number = parse(text, field=FIELD)
        except InvalidConfiguration:
            continue
        assert number >= 0
