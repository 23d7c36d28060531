"""Sizes, times and resource quantities, in Spark's and in Kubernetes' spelling, as numbers of one unit."""

from __future__ import annotations

import re
from fractions import Fraction

from airflow_spark_k8s.exceptions import InvalidConfiguration

_KIB = 1024
_SIZE_UNITS = {
    "b": 1,
    "k": _KIB,
    "kb": _KIB,
    "m": _KIB**2,
    "mb": _KIB**2,
    "g": _KIB**3,
    "gb": _KIB**3,
    "t": _KIB**4,
    "tb": _KIB**4,
    "p": _KIB**5,
    "pb": _KIB**5,
}
_TIME_UNITS = {
    "us": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1_000),
    "s": Fraction(1),
    "m": Fraction(60),
    "min": Fraction(60),
    "h": Fraction(3_600),
    "d": Fraction(86_400),
}
_SUFFIXES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Fraction(_KIB**power) for power, letter in enumerate("KMGTPE", start=1)},
}
_INT64_MAX = 2**63 - 1

_WHOLE_WITH_UNIT = re.compile(r"([0-9]+)([a-z]*)", re.ASCII)
_FRACTION = re.compile(r"[0-9]*\.[0-9]+[a-z]*", re.ASCII)
_QUANTITY = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2}|[KMGTPE]i|[numkMGTPE]?)", re.ASCII)


def parse_mib(text: str, *, field: str) -> int:
    """
    MiB that a Spark size such as `1g`, `512m` or `1536` (MiB) stands for, rounded down.

    :param field: property to name in the error.
    :raises InvalidConfiguration: if it is negative, fractional, too large, or no size.

    Source: org.apache.spark.network.util.JavaUtils.byteStringAs
    """
    return _parse_size(text, default_unit="m", field=field) // _KIB**2


def parse_bytes(text: str, *, field: str) -> int:
    """
    Bytes that a Spark size such as `1g` or `1048576` (bytes) stands for, for properties counted in bytes.

    :param field: property to name in the error.
    :raises InvalidConfiguration: if it is negative, fractional, too large, or no size.

    Source: org.apache.spark.network.util.JavaUtils.byteStringAs
    """
    return _parse_size(text, default_unit="b", field=field)


def parse_seconds(text: str, *, field: str, default_unit: str = "s") -> float:
    """
    Seconds that a Spark time such as `100ms`, `5min` or `30` stands for.

    :param field: property to name in the error.
    :param default_unit: unit of a plain number, as the property defines it.
    :raises InvalidConfiguration: if it is negative, fractional, too large, or no time.

    Source: org.apache.spark.network.util.JavaUtils.timeStringAs
    """
    number, unit = _whole_with_unit(text, "a time such as 100ms, 30s, 5min or 1h", field=field)
    factor = _TIME_UNITS.get(unit or default_unit)
    if factor is None:
        raise InvalidConfiguration(field, text, "unknown unit of time; use us, ms, s, m, min, h or d")
    if number * factor > _INT64_MAX // 1000:
        raise InvalidConfiguration(field, text, "too long for Spark, which counts milliseconds in 64 bits")
    return float(number * factor)


def parse_millicores(text: str, *, field: str) -> int:
    """
    Thousandths of a CPU that a Kubernetes quantity such as `500m`, `2` or `1.5` stands for, rounded up.

    :param field: property to name in the error.
    :raises InvalidConfiguration: if it is zero, negative, too large, or no quantity.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    millicores = _round_up(parse_quantity(text, field=field) * 1000)
    if millicores == 0:
        raise InvalidConfiguration(field, text, "must be more than zero, such as 500m, 1 or 1.5")
    return millicores


def parse_quantity_bytes(text: str, *, field: str) -> int:
    """
    Bytes that a Kubernetes quantity such as `1Gi`, `500M` or `1e9` stands for, rounded up.

    :param field: property to name in the error.
    :raises InvalidConfiguration: if it is negative, too large, or no quantity.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    return _round_up(parse_quantity(text, field=field))


def parse_quantity(text: str, *, field: str) -> Fraction:
    """
    The exact amount that a Kubernetes quantity such as `500m`, `1Gi` or `1e9` stands for.

    :param field: property to name in the error.
    :raises InvalidConfiguration: if it is negative, too large, or no quantity.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise InvalidConfiguration(
            field, text, "must be a Kubernetes quantity that is not negative, such as 500m, 2, 1.5 or 1Gi"
        )
    number, suffix = match.groups()
    scale = Fraction(f"1{suffix}") if suffix[1:].strip("+-").isdigit() else _SUFFIXES[suffix]
    quantity = Fraction(number) * scale
    if quantity > _INT64_MAX // 1000:
        raise InvalidConfiguration(field, text, "larger than anything a cluster can hold")
    return quantity


def format_millicores(millicores: int) -> str:
    """Shortest Kubernetes quantity of a CPU: `2` for whole ones, else `1500m`."""
    return f"{millicores}m" if millicores % 1000 else str(millicores // 1000)


def _parse_size(text: str, *, default_unit: str, field: str) -> int:
    number, unit = _whole_with_unit(text, "a size such as 512m or 4g", field=field)
    factor = _SIZE_UNITS.get(unit or default_unit)
    if factor is None:
        raise InvalidConfiguration(field, text, "unknown unit of size; use b, k, m, g, t or p")
    if number * factor > _INT64_MAX:
        raise InvalidConfiguration(field, text, "too large for Spark, which counts bytes in 64 bits")
    return number * factor


def _whole_with_unit(text: str, expected: str, *, field: str) -> tuple[int, str]:
    lower = text.strip().lower()
    match = _WHOLE_WITH_UNIT.fullmatch(lower)
    if match is not None:
        if len(match[1]) > len(str(_INT64_MAX)):
            raise InvalidConfiguration(field, text, f"too many digits; use {expected}")
        return int(match[1]), match[2]
    if _FRACTION.fullmatch(lower):
        raise InvalidConfiguration(field, text, f"Spark takes no fractions here; use {expected}")
    if lower.startswith("-"):
        raise InvalidConfiguration(field, text, f"must not be negative; use {expected}")
    raise InvalidConfiguration(field, text, f"must be {expected}")


def _round_up(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)
