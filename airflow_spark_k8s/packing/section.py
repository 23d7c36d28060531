"""One mapping of the fleet file: its values read with their types, every error with file, place and value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from airflow_spark_k8s.core.burst_values import ratio_of
from airflow_spark_k8s.core.quantities import parse_bytes, parse_millicores, parse_quantity_bytes
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.packing.model import Range

_MIB = 1024**2
_PLAIN_NUMBER = re.compile(r"[0-9.]+", re.ASCII)


class Section:
    """A mapping in the file; a name that is not asked for by its readers is an error."""

    def __init__(self, value: object, where: str, known: Iterable[str]) -> None:
        """
        Check that `value` is a mapping of known names.

        :param where: file and place, such as `fleet.yaml: nodes[0]`.
        """
        names = list(known)
        if not isinstance(value, Mapping):
            raise InvalidConfiguration(where, value, f"must be a mapping of {', '.join(names)}")
        self._values, self.where = value, where
        for name in value:
            if name not in names:
                raise InvalidConfiguration(
                    self.field(name), value[name], f"not known; there are {', '.join(names)}"
                )

    def __contains__(self, name: object) -> bool:
        return self._values.get(name) is not None

    def get(self, name: str) -> object:
        """The value as it is, None if it is not there."""
        return self._values.get(name)

    def field(self, name: object) -> str:
        """How an error calls a value: file and place."""
        return f"{self.where}.{name}" if ": " in self.where else f"{self.where}: {name}"

    def error(self, name: str, remedy: str) -> InvalidConfiguration:
        """An error about a value, to be raised."""
        return InvalidConfiguration(self.field(name), self._values.get(name), remedy)

    def section(self, name: str, known: Iterable[str]) -> Section:
        """A mapping inside, empty if it is not there."""
        value = self._values.get(name)
        return Section({} if value is None else value, self.field(name), known)

    def sections(self, name: str, known: Iterable[str]) -> Iterator[Section]:
        """A list of mappings, at least one."""
        value = self._values.get(name)
        if not isinstance(value, list) or not value:
            raise self.error(name, "must be a list with at least one entry")
        names = list(known)
        for index, item in enumerate(value):
            yield Section(item, f"{self.field(name)}[{index}]", names)

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(name, "must be a text")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 1; `default` None: it must be there."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**6:
            raise self.error(name, "must be a whole number, at least 1 and at most a million")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise self.error(name, "must be true or false")
        return value

    def ratio(self, name: str, default: Fraction) -> Fraction:
        """A number from 0 to 1, exactly as it is written."""
        ratio = ratio_of(self._values.get(name), field=self.field(name))
        return default if ratio is None else ratio

    def share(self, name: str, default: float | None = None) -> float:
        """A number from 0 to 1; `default` None: it must be there."""
        value = self._values.get(name, default)
        share = ratio_of(value, field=self.field(name))
        if share is None:
            raise self.error(name, "must be a number from 0 to 1")
        return float(share)

    def number_text(self, name: str) -> str:
        """A number as text, for a property of Spark's."""
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(name, "must be a number, such as 0.1")
        return str(value)

    def range(self, name: str) -> Range:
        """A number from 0 to 1, or a list of two of them, the smaller one first."""
        value = self._values.get(name)
        bounds = value if isinstance(value, list) else [value, value]
        shares = [share for each in bounds if (share := ratio_of(each, field=self.field(name))) is not None]
        if len(shares) != 2 or len(bounds) != 2:
            raise self.error(name, "must be a number from 0 to 1 or two of them, such as 0.3 or [0.2, 0.4]")
        low, high = map(float, shares)
        if low > high:
            raise self.error(name, "the smaller one comes first")
        return Range(low, high)

    def size(self, name: str) -> str:
        """A size as Spark writes it, with its unit, such as `16g`."""
        value = self._values.get(name)
        if not isinstance(value, str) or _PLAIN_NUMBER.fullmatch(value.strip()):
            raise self.error(name, "must be a size with its unit, such as 512m or 16g")
        parse_bytes(value, field=self.field(name))
        return value

    def memory_mib(self, name: str, default: int | None = None) -> int:
        """A Kubernetes quantity of memory in MiB, rounded down; `default` None: it must be there."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or _PLAIN_NUMBER.fullmatch(value.strip()):
            raise self.error(name, "must be a quantity with its unit, such as 64Gi")
        return parse_quantity_bytes(value, field=self.field(name)) // _MIB

    def millicores(self, name: str, default: int | None = None) -> int:
        """A Kubernetes quantity of CPU in thousandths; `default` None: it must be there."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.error(name, "must be a quantity of CPU, such as 16 or 500m")
        return parse_millicores(str(value), field=self.field(name))
