"""One row of the table of Spark properties: what becomes of a property, and what to say about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Treatment(Enum):
    """What becomes of a property."""

    HONOURED = "honoured"  # shapes pods or their allocation, with Spark's meaning
    PASSED = "passed"  # Spark's driver gets it; shapes no pod
    FIXED = "fixed"  # must have our value: the application would not work with another
    REFUSED = "refused"  # would shape a pod, or have no effect


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: a property, or all with a prefix, and what becomes of them."""

    name: str  # ends in "." for a prefix
    treatment: Treatment
    remedy: str = ""  # FIXED and REFUSED: what to do instead
    accepted: tuple[str, ...] = ()  # FIXED and REFUSED: values, in lower case, that mean what happens anyway
    also_passed: bool = False  # HONOURED: the driver needs it, too
    effect: str = ""  # HONOURED: what it changes
    source: str = ""  # where Spark itself does that, or would: a class of Spark; "" if it shapes no pod

    @property
    def is_prefix(self) -> bool:
        """Whether the rule is for all properties that begin with its name."""
        return self.name.endswith(".")

    @property
    def is_passed(self) -> bool:
        """Whether the driver gets the property as it was given."""
        return self.treatment is Treatment.PASSED or self.also_passed


def honoured(*names: str, effect: str, source: str, passed: bool = False) -> tuple[Rule, ...]:
    """Rows for properties that shape pods or their allocation."""
    return tuple(
        Rule(name, Treatment.HONOURED, also_passed=passed, effect=effect, source=source) for name in names
    )


def passed(*names: str) -> tuple[Rule, ...]:
    """Rows for properties that go to the driver as they are."""
    return tuple(Rule(name, Treatment.PASSED) for name in names)


def fixed(remedy: str, *names: str, accepted: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """Rows for properties that must have our value."""
    return tuple(Rule(name, Treatment.FIXED, remedy, accepted) for name in names)


def refused(remedy: str, *names: str, accepted: tuple[str, ...] = (), source: str = "") -> tuple[Rule, ...]:
    """Rows for properties that would shape a pod, or have no effect."""
    return tuple(Rule(name, Treatment.REFUSED, remedy, accepted, source=source) for name in names)
