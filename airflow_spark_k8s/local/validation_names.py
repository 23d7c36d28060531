"""
Names, labels, annotations and owner references.

Source: k8s.io/apimachinery/pkg/util/validation and pkg/api/validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import Cause

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SERVICE = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"
_ANNOTATIONS_LIMIT = 256 * 1024

_WITH = "and must start and end with an alphanumeric character"
_REGEX = "regex used for validation is"
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    f"{_WITH} (e.g. 'example.com', {_REGEX} '{_SUBDOMAIN}')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    f"{_WITH} (e.g. 'my-name',  or '123-abc', {_REGEX} '{_LABEL}')"
)
_SERVICE_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character "
    f"(e.g. 'my-name',  or 'abc-123', {_REGEX} '{_SERVICE}')"
)
_QUALIFIED_RULE = (
    f"must consist of alphanumeric characters, '-', '_' or '.', {_WITH} "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', {_REGEX} '{_QUALIFIED}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    f"{_WITH} (e.g. 'MyValue',  or 'my_value',  or '12345', {_REGEX} '{_VALUE}')"
)

Rule = Callable[[str], Iterator[str]]


def quoted(value: object) -> str:
    """The value as error messages show it: strings in double quotes."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def invalid_value(field: str, value: object, why: str) -> Cause:
    """Cause of a field whose value breaks a rule."""
    return Cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {why}", field)


def required(field: str, why: str = "") -> Cause:
    """Cause of a field that must be there."""
    return Cause("FieldValueRequired", "Required value" + (f": {why}" if why else ""), field)


def unsupported(field: str, value: object, supported: tuple[str, ...]) -> Cause:
    """Cause of a field that is none of an enumeration's values."""
    listed = ", ".join(f'"{each}"' for each in supported)
    return Cause(
        "FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {listed}", field
    )


def forbidden_change(field: str, why: str) -> Cause:
    """Cause of a field that may not be set or changed."""
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def duplicate(field: str, value: object) -> Cause:
    """Cause of a value that must be unique and is not."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {quoted(value)}", field)


def dns_subdomain(name: str) -> Iterator[str]:
    """What is wrong with a name that most objects may have."""
    if len(name) > 253:
        yield "must be no more than 253 characters"
    if not re.fullmatch(_SUBDOMAIN, name):
        yield _SUBDOMAIN_RULE


def dns_label(name: str) -> Iterator[str]:
    """What is wrong with the name of a namespace, container or volume."""
    if len(name) > 63:
        yield "must be no more than 63 characters"
    if not re.fullmatch(_LABEL, name):
        yield _LABEL_RULE


def service_name(name: str) -> Iterator[str]:
    """What is wrong with the name of a Service."""
    if len(name) > 63:
        yield "must be no more than 63 characters"
    if not re.fullmatch(_SERVICE, name):
        yield _SERVICE_RULE


def path_segment(name: str) -> Iterator[str]:
    """What is wrong with a name that only has to fit into a URL."""
    if name in (".", ".."):
        yield f"may not be '{name}'"
    for character in "/%":
        if character in name:
            yield f"may not contain '{character}'"


def qualified_name(key: str) -> Iterator[str]:
    """What is wrong with the key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        yield (
            f"a qualified name {_QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif slash:
        yield from (f"prefix part {each}" for each in dns_subdomain(prefix))
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 bytes"
    if not re.fullmatch(_QUALIFIED, name):
        yield f"name part {_QUALIFIED_RULE}"


def label_value(value: str) -> Iterator[str]:
    """What is wrong with a label's value."""
    if len(value) > 63:
        yield "must be no more than 63 bytes"
    if not re.fullmatch(_VALUE, value):
        yield _VALUE_RULE


def validate_labels(labels: Mapping[str, Any], field: str) -> Iterator[Cause]:
    """What is wrong with a map of labels (or a node selector)."""
    for key, value in sorted(labels.items()):
        yield from (invalid_value(field, key, why) for why in qualified_name(key))
        yield from (invalid_value(field, value, why) for why in label_value(str(value)))


def validate_annotations(annotations: Mapping[str, Any], field: str) -> Iterator[Cause]:
    """What is wrong with a map of annotations."""
    for key in sorted(annotations):
        yield from (invalid_value(field, key, why) for why in qualified_name(key.lower()))
    size = sum(len(key.encode()) + len(str(value).encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_LIMIT:
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes", field)


def validate_metadata(metadata: Manifest, name_rule: Rule) -> Iterator[Cause]:
    """What is wrong with an object's metadata."""
    name = metadata["name"]
    yield from (invalid_value("metadata.name", name, why) for why in name_rule(name))
    yield from validate_labels(metadata.get("labels") or {}, "metadata.labels")
    yield from validate_annotations(metadata.get("annotations") or {}, "metadata.annotations")
    controllers = 0
    for index, reference in enumerate(metadata.get("ownerReferences") or []):
        field = f"metadata.ownerReferences[{index}]"
        for key in ("apiVersion", "kind", "name", "uid"):
            if not reference.get(key):
                yield invalid_value(f"{field}.{key}", "", f"{_NOT_EMPTY.get(key, key)} must not be empty")
        controllers += bool(reference.get("controller"))
    if controllers > 1:
        why = "Only one reference can have Controller set to true"
        yield invalid_value("metadata.ownerReferences", metadata["ownerReferences"], why)
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        yield from (
            invalid_value(f"metadata.finalizers[{index}]", finalizer, why)
            for why in qualified_name(finalizer)
        )


_NOT_EMPTY = {"apiVersion": "version"}
