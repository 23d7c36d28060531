"""Label and field selectors, as they stand in a URL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import bad_request
from airflow_spark_k8s.local.manifests import labels_of
from airflow_spark_k8s.local.resources import EVENTS, JOBS, NAMESPACES, NODES, PODS, SECRETS, Resource

_TOKEN = re.compile(r"\s*(==|!=|=|!|,|\(|\)|[^\s=!,()<>]+|[<>])")
_OPERATORS = "in, notin, =, ==, !=, gt, lt"

_FIELDS: dict[Resource, tuple[str, ...]] = {
    PODS: (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    EVENTS: (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    JOBS: ("status.successful",),
    NODES: ("spec.unschedulable",),
    NAMESPACES: ("status.phase",),
    SECRETS: ("type",),
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector."""

    key: str
    operator: str  # exists, !, in, notin, =, !=
    values: tuple[str, ...] = ()

    def matches(self, obj: Manifest) -> bool:
        """Whether the object's labels satisfy the term."""
        value = labels_of(obj).get(self.key)
        if self.operator == "exists":
            return value is not None
        if self.operator == "!":
            return value is None
        if self.operator in ("in", "="):
            return value in self.values
        return value not in self.values


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One term of a field selector."""

    path: str
    value: str
    negated: bool


def matches_labels(requirements: Sequence[Requirement], obj: Manifest) -> bool:
    """Whether the object satisfies every requirement."""
    return all(each.matches(obj) for each in requirements)


def matches_fields(terms: Sequence[FieldTerm], obj: Manifest) -> bool:
    """Whether the object satisfies every term."""
    return all((field_value(obj, each.path) == each.value) != each.negated for each in terms)


def parse_labels(selector: str) -> tuple[Requirement, ...]:
    """The selector's requirements; raises ApiError 400. Source: k8s.io/apimachinery/pkg/labels."""
    tokens = _TOKEN.findall(selector)
    found: list[Requirement] = []
    position = 0
    while position < len(tokens):
        requirement, position = _requirement(tokens, position)
        found.append(requirement)
        if position < len(tokens):
            if tokens[position] != ",":
                raise _unparsable(f"found '{tokens[position]}', expected: ',' or 'end of string'")
            position += 1
    return tuple(found)


def _requirement(tokens: list[str], position: int) -> tuple[Requirement, int]:
    if tokens[position] == "!":
        if position + 1 >= len(tokens):
            raise _unparsable("found '', expected: identifier")
        return Requirement(tokens[position + 1], "!"), position + 2
    key = tokens[position]
    if key in (",", "(", ")", "=", "==", "!="):
        raise _unparsable(f"found '{key}', expected: !, identifier, or 'end of string'")
    if position + 1 >= len(tokens) or tokens[position + 1] == ",":
        return Requirement(key, "exists"), position + 1
    operator = tokens[position + 1]
    if operator in ("=", "==", "!="):
        value = tokens[position + 2] if position + 2 < len(tokens) and tokens[position + 2] != "," else ""
        return Requirement(key, "!=" if operator == "!=" else "=", (value,)), position + 2 + bool(value)
    if operator in ("in", "notin"):
        values, after = _values(tokens, position + 2)
        return Requirement(key, operator, values), after
    raise _unparsable(f"found '{operator}', expected: {_OPERATORS}")


def _values(tokens: list[str], position: int) -> tuple[tuple[str, ...], int]:
    if position >= len(tokens) or tokens[position] != "(":
        found = tokens[position] if position < len(tokens) else ""
        raise _unparsable(f"found '{found}' expected: '('")
    values: list[str] = []
    position += 1
    while position < len(tokens) and tokens[position] != ")":
        if tokens[position] != ",":
            values.append(tokens[position])
        position += 1
    if position >= len(tokens):
        raise _unparsable("found '', expected: ',' or ')'")
    return tuple(values), position + 1


def _unparsable(why: str) -> Exception:
    return bad_request(f"unable to parse requirement: {why}")


def parse_fields(resource: Resource, selector: str) -> tuple[FieldTerm, ...]:
    """The selector's terms; raises ApiError 400 for a field that the kind cannot be selected by."""
    found: list[FieldTerm] = []
    for term in filter(None, (each.strip() for each in selector.split(","))):
        matched = re.fullmatch(r"([^=!]+?)\s*(!=|==|=)\s*(.*)", term)
        if matched is None:
            raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        path, operator, value = matched.groups()
        _check_field(resource, path)
        found.append(FieldTerm(path, value, operator == "!="))
    return tuple(found)


def _check_field(resource: Resource, path: str) -> None:
    always = ("metadata.name", "metadata.namespace")
    special = _FIELDS.get(resource)
    if path in always or (special and path in special):
        return
    if special is None:
        raise bad_request(
            f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
        )
    raise bad_request(f"field label not supported: {path}")


def field_value(obj: Manifest, path: str) -> str:
    """The field as a selector compares it; an absent one is the empty string."""
    value: object = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return _DEFAULTS.get(path, "")
    if isinstance(value, bool):
        return str(value).lower()
    return value.get("component", "") if isinstance(value, dict) else str(value)


_DEFAULTS = {"spec.unschedulable": "false", "status.successful": "0"}
