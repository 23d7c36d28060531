"""Single values of bursting as a DAG author, a connection or a template gives them, checked and exact."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from airflow_spark_k8s.exceptions import InvalidConfiguration

MAX_FACTOR = 1000

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][+-]?[0-9]{1,2})?", re.ASCII
)
_SHARE_KEYS = ("factor", "fraction")


@dataclass(frozen=True, slots=True)
class Share:
    """A burst factor, and for which share of the executors."""

    factor: Fraction  # 1 to MAX_FACTOR; 1: nothing bursts
    fraction: Fraction = Fraction(1)  # more than 0, at most 1


def is_given(value: object) -> bool:
    """Whether anything was said: None and empty text, such as a template renders it, say nothing."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def share_of(value: object, *, field: str) -> Share | None:
    """
    Factor and fraction of the executors, None if not given.

    :param value: a number or its text, or a mapping (or its JSON text) with `factor` and maybe `fraction`.
    :param field: what an error calls the value, such as `burst_factor`.
    :raises InvalidConfiguration: for anything else, a factor below 1 and a fraction outside 0 to 1.
    """
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _json_object(value, field=field)
    if not isinstance(value, Mapping):
        return Share(factor_of(value, field=field)) if is_given(value) else None
    for key in value:
        if key not in _SHARE_KEYS:
            raise InvalidConfiguration(_item(field, key), value[key], "not known; use factor and fraction")
    if not is_given(value.get("factor")):
        raise InvalidConfiguration(_item(field, "factor"), value.get("factor"), "say a factor, such as 1.2")
    factor = factor_of(value["factor"], field=_item(field, "factor"))
    fraction = value.get("fraction")
    if not is_given(fraction):
        return Share(factor)
    return Share(factor, _fraction(fraction, field=_item(field, "fraction")))


def factor_of(value: object, *, field: str) -> Fraction:
    """
    A burst factor, exactly as it is written.

    :raises InvalidConfiguration: if it is no number, less than 1 or more than `MAX_FACTOR`.
    """
    factor = exact_number(value, "a number of at least 1, such as 1.2", field=field)
    if factor < 1:
        raise InvalidConfiguration(field, value, "must be at least 1, which shares nothing")
    if factor > MAX_FACTOR:
        raise InvalidConfiguration(field, value, f"must be at most {MAX_FACTOR}; factors are such as 1.2")
    return factor


def ratio_of(value: object, *, field: str) -> Fraction | None:
    """
    A ratio from 0 to 1, exactly as it is written, None if not given.

    :raises InvalidConfiguration: for anything else.
    """
    if not is_given(value):
        return None
    ratio = exact_number(value, "a number from 0 to 1, such as 0.1", field=field)
    if not 0 <= ratio <= 1:
        raise InvalidConfiguration(field, value, "must be from 0 to 1, such as 0.1")
    return ratio


def flag_of(value: object, *, field: str) -> bool | None:
    """
    A boolean, also as text in any case, None if not given.

    :raises InvalidConfiguration: for anything else.
    """
    if not is_given(value):
        return None
    if isinstance(value, bool):
        return value
    flag = {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None
    if flag is None:
        raise InvalidConfiguration(field, value, "must be true or false")
    return flag


def decimal_text(number: Fraction) -> str:
    """A number as people write it: `1.2`, `2`; exact for every burst factor."""
    text = format(Decimal(number.numerator) / Decimal(number.denominator), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _fraction(value: object, *, field: str) -> Fraction:
    fraction = exact_number(value, "a number of more than 0 and at most 1, such as 0.25", field=field)
    if not 0 < fraction <= 1:
        raise InvalidConfiguration(field, value, "must be more than 0 and at most 1, such as 0.25")
    return fraction


def exact_number(value: object, expected: str, *, field: str) -> Fraction:
    """
    A number exactly as it is written, of any size and sign.

    :param expected: how an error goes on after "must be".
    :raises InvalidConfiguration: for anything but a number or its text in decimals.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise InvalidConfiguration(field, value, f"must be {expected}")
    # the shortest text of a float is what its author wrote; its exact value is another number
    text = value.strip() if isinstance(value, str) else str(value)
    if _NUMBER.fullmatch(text) is None:
        raise InvalidConfiguration(field, value, f"must be {expected}")
    return Fraction(text)


def _json_object(text: str, *, field: str) -> Mapping[object, object]:
    try:
        # numbers stay as they are written
        found: dict[object, object] = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise InvalidConfiguration(
            field, text, f'is not JSON ({error}); write {{"factor": 1.2, "fraction": 0.25}}'
        ) from error
    return found


def _item(field: str, key: object) -> str:
    name, blank, origin = field.partition(" ")
    return f'{name}["{key}"]{blank}{origin}'
