"""Checks of the operator's arguments that need neither a context nor a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_spark_k8s.exceptions import InvalidConfiguration


def check_count(field: str, value: object) -> int:
    """
    `value` itself.

    :raises InvalidConfiguration: if it is no integer of at least 0.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidConfiguration(field, value, "must be an integer of at least 0")
    return value


def check_flag(field: str, value: object) -> bool:
    """
    `value` itself.

    :raises InvalidConfiguration: if it is no boolean; a text such as "false" would count as true.
    """
    if not isinstance(value, bool):
        raise InvalidConfiguration(field, value, "must be True or False")
    return value


def is_reference(value: object) -> bool:
    """Whether it stands for a value that Airflow looks up later: an XCom, an argument of the DAG."""
    return hasattr(value, "resolve")


def text(field: str, value: object) -> str | None:
    """
    `value` itself; None if it is empty.

    :raises InvalidConfiguration: if it is neither text nor None.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidConfiguration(field, value, "must be a text")
    return value


def check_template(field: str, value: object) -> str | Mapping[str, Any] | None:
    """
    `value` itself.

    :raises InvalidConfiguration: unless it is text (a template or its file), a mapping (a patch) or None.
    """
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    if isinstance(value, Mapping):
        return value
    raise InvalidConfiguration(
        field, value, "must be YAML text, a .yaml, .yml or .j2 file, or a dict to patch with"
    )


def texts(field: str, value: Any, *, separator: str | None = ",") -> tuple[str, ...]:
    """
    The elements of a list argument as text; numbers are written out, None means none.

    :param separator: what a single text is split at, as spark-submit does; None: a single text is an error.
    :raises InvalidConfiguration: for anything else.
    """
    if value is None:
        return ()
    if isinstance(value, str) and separator is not None:
        value = [part.strip() for part in value.split(separator) if part.strip()]
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        # Not the value itself: arguments are sometimes passwords.
        raise InvalidConfiguration(field, type(value).__name__, "must be a list of texts")
    return tuple(_text(field, element) for element in value)


def _text(field: str, element: object) -> str:
    if isinstance(element, str):
        return element
    if isinstance(element, int | float) and not isinstance(element, bool):
        return str(element)
    raise InvalidConfiguration(field, [type(element).__name__], "must be a list of texts")
