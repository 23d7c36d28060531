"""Kubernetes quantities as exact numbers; the same numbers written the way the API server prints them."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_PATTERN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]|)")
_SUFFIXES = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_BINARY: dict[str, int] = {suffix: 1024 ** (index + 1) for index, suffix in enumerate(_SUFFIXES)}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@lru_cache(maxsize=4096)
def parse_quantity(quantity: str) -> Fraction:
    """
    The quantity in base units (bytes, CPUs); raises ValueError.

    Source: k8s.io/apimachinery/pkg/api/resource.
    """
    matched = _PATTERN.fullmatch(quantity)
    if matched is None:
        raise ValueError(f"{quantity!r} is no quantity")
    number, suffix = Fraction(matched[1]), matched[2]
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    if suffix in _DECIMAL:
        return number * _power_of_ten(_DECIMAL[suffix])
    return number * _power_of_ten(int(suffix[1:]))


def _power_of_ten(exponent: int) -> Fraction:
    return Fraction(10**exponent) if exponent >= 0 else Fraction(1, 10**-exponent)


def is_quantity(value: object) -> bool:
    """Whether the API server accepts the value where a quantity is expected."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    try:
        parse_quantity(str(value))
    except ValueError:
        return False
    return True


def format_quantity(value: Fraction, like: str = "") -> str:
    """The value as a quantity, with binary suffixes if `like` is written with one."""
    if like.endswith("i"):
        for suffix, factor in reversed(_BINARY.items()):
            if value and value % factor == 0:
                return f"{value // factor}{suffix}"
    if value.denominator == 1:
        return str(value.numerator)
    return f"{-(-value * 1000 // 1)}m"
