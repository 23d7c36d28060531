"""The Spark properties of one application: the task's over the connection's, read with their types."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from airflow_spark_k8s.core import quantities
from airflow_spark_k8s.core.redaction import Redaction, redaction_of
from airflow_spark_k8s.exceptions import InvalidConfiguration

CONNECTION_SUFFIX = " (from the connection)"

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Conf:
    """Spark properties and where they come from; every reader's error names the property and its origin."""

    values: Mapping[str, str] = field(repr=False)
    from_connection: frozenset[str]
    redaction: Redaction

    @classmethod
    def merged(cls, task: Mapping[str, str], connection: Mapping[str, str]) -> Conf:
        """
        The task's properties, and those of the connection that the task does not set.

        :raises InvalidConfiguration: if a name is no Spark property or a value is no text.
        """
        for name, value in [*connection.items(), *task.items()]:
            _check_property(name, value)
        values = {**connection, **task}
        return cls(values, frozenset(connection.keys() - task.keys()), redaction_of(values))

    def __contains__(self, name: object) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def get(self, name: str) -> str | None:
        """The property without surrounding blanks, None if it is not set or empty."""
        return self.values.get(name, "").strip() or None

    def chosen(self, names: Iterable[str]) -> str | None:
        """Which of several properties counts: the first of the task's, else the first set; None if none."""
        found = [name for name in names if self.get(name) is not None]
        return min(found, key=lambda name: name in self.from_connection, default=None)

    def prefixed(self, prefix: str) -> dict[str, str]:
        """All properties that begin with `prefix`, by the rest of their names, values as given."""
        return {
            name.removeprefix(prefix): value for name, value in self.values.items() if name.startswith(prefix)
        }

    def set_with(self, prefix: str) -> list[str]:
        """The rest of the name of every property that begins with `prefix` and is set to something."""
        return [rest for rest in self.prefixed(prefix) if self.get(prefix + rest) is not None]

    def field(self, name: str) -> str:
        """How an error calls the property: its name and, unless the task sets it, where it is from."""
        return name + CONNECTION_SUFFIX if name in self.from_connection else name

    def error(
        self, name: str, remedy: str, kind: type[InvalidConfiguration] = InvalidConfiguration
    ) -> InvalidConfiguration:
        """An error about a property, to be raised; a secret value is not in it."""
        value = self.values.get(name)
        return kind(self.field(name), value if value is None else self.redaction.shown(name, value), remedy)

    def mib(self, name: str, default: int, *, minimum: int = 0) -> int:
        """A size in MiB; a plain number is MiB already."""
        value = self.get(name)
        if value is None:
            return default
        return self._at_least(name, quantities.parse_mib(value, field=self.field(name)), minimum, " MiB")

    def size_bytes(self, name: str, default: int) -> int:
        """A size in bytes; a plain number is bytes already."""
        value = self.get(name)
        return default if value is None else quantities.parse_bytes(value, field=self.field(name))

    def seconds(self, name: str, default: float) -> float:
        """A time in seconds; a plain number is seconds already."""
        value = self.get(name)
        return default if value is None else quantities.parse_seconds(value, field=self.field(name))

    def integer(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
        """A whole number between `minimum` and `maximum`."""
        value = self.get(name)
        if value is None:
            return default
        if _INTEGER.fullmatch(value) is None:
            raise self.error(name, "must be a whole number")
        number = self._at_least(name, int(value), minimum, "")
        if number > maximum:
            raise self.error(name, f"must be at most {maximum}")
        return number

    def number(self, name: str, default: float) -> float:
        """A number that is not negative."""
        value = self.get(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            raise self.error(name, "must be a number such as 0.1") from None
        if not math.isfinite(number) or number < 0:
            raise self.error(name, "must be a number of at least 0")
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean, written as Spark reads it: true or false in any case."""
        value = self.get(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise self.error(name, "must be true or false")
        return value.lower() == "true"

    def millicores(self, name: str) -> int | None:
        """A Kubernetes quantity of CPU in thousandths, None if not set."""
        value = self.get(name)
        return None if value is None else quantities.parse_millicores(value, field=self.field(name))

    def _at_least(self, name: str, number: int, minimum: int, unit: str) -> int:
        if number < minimum:
            raise self.error(name, f"must be at least {minimum}{unit}")
        return number


def _check_property(name: object, value: object) -> None:
    if not isinstance(name, str) or not name.startswith("spark."):
        raise InvalidConfiguration(
            "conf",
            name,
            "Spark reads properties whose names begin with spark. only; Hadoop's go as spark.hadoop.*",
        )
    if re.search(r"\s", name):
        raise InvalidConfiguration("conf", name, "the name of a property has no blanks")
    if not isinstance(value, str):
        raise InvalidConfiguration(
            name, type(value).__name__, 'the value must be a text, such as "3" or "true"'
        )
