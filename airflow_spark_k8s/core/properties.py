"""What becomes of a Spark property: each has exactly one rule, so that none is silently without effect."""

from __future__ import annotations

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties_rules import Rule, Treatment
from airflow_spark_k8s.core.properties_table import RULES
from airflow_spark_k8s.exceptions import InvalidConfiguration, UnsupportedProperty

_PASSED = Rule("spark.", Treatment.PASSED)
_UNKNOWN = Rule(
    "spark.kubernetes.",
    Treatment.REFUSED,
    "not known here; check its spelling, or use driver_template or executor_template",
)
_EXACT = {rule.name: rule for rule in RULES if not rule.is_prefix}
_PREFIXES = sorted((rule for rule in RULES if rule.is_prefix), key=lambda rule: -len(rule.name))


def rule_of(name: str) -> Rule:
    """The rule for one property: its own, else that of the longest prefix, else it goes to Spark."""
    own = _EXACT.get(name)
    if own is not None:
        return own
    for rule in _PREFIXES:
        if name.startswith(rule.name):
            return rule
    return _UNKNOWN if name.startswith(_UNKNOWN.name) else _PASSED


def check_properties(conf: Conf) -> None:
    """
    Return if no property is refused.

    :raises UnsupportedProperty: for one that would shape a pod in a way that is not supported.
    :raises InvalidConfiguration: for one that contradicts what the application needs.
    """
    for name in conf:
        rule = rule_of(name)
        if rule.treatment not in (Treatment.FIXED, Treatment.REFUSED):
            continue
        if (conf.get(name) or "").lower() not in rule.accepted:
            kind = InvalidConfiguration if rule.treatment is Treatment.FIXED else UnsupportedProperty
            raise conf.error(name, rule.remedy, kind)


def passed_properties(conf: Conf) -> dict[str, str]:
    """The properties that the driver gets as they were given."""
    return {name: value for name, value in conf.values.items() if rule_of(name).is_passed}
