"""
The property reference is made from the code's own table.

`python tests/unit/core/test_properties_doc.py` writes it anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path

from airflow_spark_k8s.core.properties import rule_of
from airflow_spark_k8s.core.properties_rules import Rule, Treatment
from airflow_spark_k8s.core.properties_table import RULES
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "reference" / "properties.md"
COMMAND = f"python {Path(__file__).relative_to(ROOT)}"

BEGIN = f"<!-- generated: begin ({COMMAND} writes it anew) -->"
END = "<!-- generated: end -->"

SPARK_VERSION = "4.3.0"
IMAGE = f"apache/spark:{SPARK_VERSION}"


def rendered() -> str:
    """The generated part of the document."""
    return "\n".join([*_honoured(), *_fixed(), *_refused(), *_passed(), *_driver_file()])


def document_with(generated: str, document: str) -> str:
    """`document` with its generated part replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{DOCUMENT.name} must have the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}"


def _honoured() -> Iterator[str]:
    yield from ("### Honoured", "")
    yield "They shape pods or their allocation, with Spark's meaning."
    yield ""
    yield from _table(
        ("property", "what it changes", "passed on as well", "Spark's class"),
        (
            (_name(rule), rule.effect, "yes" if rule.also_passed else "", rule.source)
            for rule in _rules(Treatment.HONOURED)
        ),
    )


def _fixed() -> Iterator[str]:
    values = _set_values()
    yield from ("", "### Set by this package", "")
    yield "The application would not work otherwise: any value but the accepted one is an error."
    yield ""
    yield from _table(
        ("property", "value", "accepted in `conf`", "why, and what to do"),
        (
            (
                _name(rule),
                _code([values[rule.name]] if rule.name in values else []),
                _code(rule.accepted),
                rule.remedy,
            )
            for rule in _rules(Treatment.FIXED)
        ),
    )


def _refused() -> Iterator[str]:
    unknown = rule_of("spark.kubernetes.no.such.property")
    yield from ("", "### Refused", "")
    yield "They would shape a pod in a way that is not supported, or have no effect."
    yield ""
    yield from _table(
        ("property", "accepted in `conf`", "why, and what to use", "Spark's class"),
        (
            *(
                (_name(rule), _code(rule.accepted), rule.remedy, rule.source)
                for rule in _rules(Treatment.REFUSED)
            ),
            ("any other " + _name(unknown), _code(unknown.accepted), unknown.remedy, unknown.source),
        ),
    )


def _passed() -> Iterator[str]:
    other = rule_of("spark.no.such.property")
    yield from ("", "### Passed on", "")
    yield "Spark's driver gets them as they are. They shape no pod."
    yield ""
    yield from (f"- {_name(rule)}" for rule in _rules(Treatment.PASSED))
    yield f"- any other {_name(other)}"


def _driver_file() -> Iterator[str]:
    yield from ("", "### What every driver gets", "")
    yield f"The driver's properties for a task with no `conf` at all and Spark {SPARK_VERSION}:"
    yield ""
    yield from _table(
        ("property", "value"),
        ((f"`{name}`", _code([value])) for name, value in sorted(_properties().items())),
    )


def _rules(treatment: Treatment) -> list[Rule]:
    return sorted((rule for rule in RULES if rule.treatment is treatment), key=lambda rule: rule.name)


def _name(rule: Rule) -> str:
    return f"`{rule.name}*`" if rule.is_prefix else f"`{rule.name}`"


def _code(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _properties() -> Mapping[str, str]:
    request = ApplicationRequest(
        application="local:///opt/jobs/job.py",
        default_name="dag.task",
        default_namespace="spark",
        image=IMAGE,
    )
    return resolve(request).properties


def _set_values() -> Mapping[str, str]:
    """Values in the driver's properties file, and those that its command line adds for each driver pod."""
    template = resources.files("airflow_spark_k8s.templates").joinpath("driver.yaml.j2").read_text("utf-8")
    command_line = dict(re.findall(r"^ *- (spark\.[\w.]+)=(\S+)$", template, re.MULTILINE))
    master = re.findall(r"^ *- --master\n *- (\S+)$", template, re.MULTILINE)
    return {**_properties(), **command_line, "spark.master": master[0]}


def test_the_reference_has_the_rules_that_the_code_has() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == document_with(rendered(), document), f"out of date: run {COMMAND}"


def test_every_rule_stands_in_the_reference_once() -> None:
    names = re.findall(
        r"^(?:\| |- )`(spark\.[^`]+)`", rendered().partition("### What every driver gets")[0], re.M
    )
    assert sorted(names) == sorted(rule.name + "*" * rule.is_prefix for rule in RULES)


if __name__ == "__main__":
    DOCUMENT.write_text(document_with(rendered(), DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
