"""Secret values of a task's `conf`: not in what Airflow stores, still there when the task runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_spark_k8s.core.redaction import MASK, masked
from airflow_spark_k8s.exceptions import InvalidConfiguration

_TOO_COMMON = frozenset({"true", "false", "default"})  # masking these would make every log unreadable


def plain_conf(conf: Mapping[str, Any] | None) -> dict[str, str]:
    """
    Spark properties as text: `True` becomes `true`, a number its digits; None means no properties.

    :raises InvalidConfiguration: if `conf` is no mapping, or a value is neither text, number nor boolean.
    """
    if conf is None:
        return {}
    if not isinstance(conf, Mapping):
        # Not the value itself: it may hold secrets.
        raise InvalidConfiguration(
            "conf", type(conf).__name__, "must be a mapping of Spark properties to their values"
        )
    return {_name(name): _text(name, value) for name, value in conf.items()}


def secrets_of(conf: Mapping[str, str], defaults: Mapping[str, str] | None = None) -> dict[str, str]:
    """
    The properties whose value must not be shown, by Spark's own rule (`spark.redaction.regex`).

    :param defaults: where the rule comes from if `conf` has none; None: Spark's.
    """
    shown = masked({**(defaults or {}), **conf})
    return {name: value for name, value in conf.items() if shown[name] != value}


def hidden(conf: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """`conf` with every secret value replaced by asterisks."""
    return {name: MASK if name in secrets else value for name, value in conf.items()}


def revealed(conf: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """The opposite of `hidden`; a value that was changed since stays changed."""
    return {name: secrets.get(name, value) if value == MASK else value for name, value in conf.items()}


def mask_in_logs(secrets: Mapping[str, str]) -> None:
    """Make Airflow replace these values in everything it logs and stores."""
    from airflow.sdk.log import mask_secret

    for value in secrets.values():
        if value.lower() not in _TOO_COMMON and not value.isdigit():
            mask_secret(value)


def is_template(value: str) -> bool:
    """Whether the value is still to be rendered, so that it is no secret yet."""
    return "{{" in value or "{%" in value


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidConfiguration("conf", name, "the name of a Spark property must be a text")
    return name


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    # Not the value itself: it may be a secret.
    raise InvalidConfiguration(f"conf {name}", type(value).__name__, "must be a text, a number or a boolean")
