"""Which properties and environment variables are secrets, by Spark's own rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_spark_k8s.exceptions import InvalidConfiguration

REDACTION_REGEX = "spark.redaction.regex"

DEFAULT_REDACTION_REGEX = "(?i)secret|password|token|access[.]?key|credential"
"""The default of Spark 4.3; the widest of all versions, so that no version shows what another hides."""

MASK = "***"


@dataclass(frozen=True, slots=True)
class Redaction:
    """A compiled redaction rule."""

    pattern: re.Pattern[str]

    def is_secret(self, name: str, value: str) -> bool:
        """
        Whether the value must not be shown: the name or the value itself matches.

        Source: org.apache.spark.util.Utils.redact
        """
        return self.pattern.search(name) is not None or self.pattern.search(value) is not None

    def shown(self, name: str, value: str) -> str:
        """The value, or three asterisks if it must not be shown."""
        return MASK if name != REDACTION_REGEX and self.is_secret(name, value) else value


def redaction_of(conf: Mapping[str, str]) -> Redaction:
    """
    The rule that `conf` asks for with `spark.redaction.regex`, else Spark's default.

    :raises InvalidConfiguration: if the expression works in Java only, or not at all.

    Source: org.apache.spark.internal.config.package.SECRET_REDACTION_PATTERN
    """
    expression = conf.get(REDACTION_REGEX, DEFAULT_REDACTION_REGEX)
    try:
        return Redaction(re.compile(expression))
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidConfiguration(
            REDACTION_REGEX,
            expression,
            f"no regular expression that Python understands as well as Java ({error}); put flags such as "
            "(?i) first and write classes such as [a-z]",
        ) from error


def masked(conf: Mapping[str, str]) -> dict[str, str]:
    """
    `conf` with three asterisks for every value that must not be shown.

    :raises InvalidConfiguration: if its `spark.redaction.regex` is no regular expression.
    """
    redaction = redaction_of(conf)
    return {name: redaction.shown(name, value) for name, value in conf.items()}
