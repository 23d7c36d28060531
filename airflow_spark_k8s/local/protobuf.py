"""
The protobuf bodies that `kubectl` sends for the kinds it creates by name, as JSON objects.

Only requests are read this way; answers are always JSON, which clients that speak protobuf accept as well.

Source: k8s.io/api/*/generated.proto, k8s.io/apimachinery/pkg/runtime/generated.proto.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_spark_k8s.core.spec import Manifest

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: str = "string"  # string, bytes, int, bool, quantity or the name of a message
    shape: str = "one"  # one, many or map


def _strings(*names: str) -> dict[int, _Field]:
    return {number: _Field(name) for number, name in enumerate(names, start=1)}


_METADATA = _Field("metadata", "ObjectMeta")
_NAME = {1: _Field("name")}

_MESSAGES: Mapping[str, Mapping[int, _Field]] = {
    "Unknown": {1: _Field("typeMeta", "TypeMeta"), 2: _Field("raw", "raw")},
    "TypeMeta": _strings("apiVersion", "kind"),
    "ObjectMeta": {
        1: _Field("name"),
        2: _Field("generateName"),
        3: _Field("namespace"),
        11: _Field("labels", shape="map"),
        12: _Field("annotations", shape="map"),
        14: _Field("finalizers", shape="many"),
    },
    "ConfigMap": {
        1: _METADATA,
        2: _Field("data", shape="map"),
        3: _Field("binaryData", "bytes", "map"),
        4: _Field("immutable", "bool"),
    },
    "Secret": {
        1: _METADATA,
        2: _Field("data", "bytes", "map"),
        3: _Field("type"),
        4: _Field("stringData", shape="map"),
        5: _Field("immutable", "bool"),
    },
    "Namespace": {1: _METADATA},
    "ServiceAccount": {
        1: _METADATA,
        3: _Field("imagePullSecrets", "Reference", "many"),
        4: _Field("automountServiceAccountToken", "bool"),
    },
    "Reference": _NAME,
    "ResourceQuota": {1: _METADATA, 2: _Field("spec", "ResourceQuotaSpec")},
    "ResourceQuotaSpec": {1: _Field("hard", "quantity", "map")},
    "Role": {1: _METADATA, 2: _Field("rules", "PolicyRule", "many")},
    "ClusterRole": {1: _METADATA, 2: _Field("rules", "PolicyRule", "many")},
    "PolicyRule": {
        number: _Field(name, shape="many")
        for number, name in enumerate(
            ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), start=1
        )
    },
    "RoleBinding": {1: _METADATA, 2: _Field("subjects", "Subject", "many"), 3: _Field("roleRef", "RoleRef")},
    "ClusterRoleBinding": {
        1: _METADATA,
        2: _Field("subjects", "Subject", "many"),
        3: _Field("roleRef", "RoleRef"),
    },
    "Subject": _strings("kind", "apiGroup", "name", "namespace"),
    "RoleRef": _strings("apiGroup", "kind", "name"),
    "PriorityClass": {
        1: _METADATA,
        2: _Field("value", "int"),
        3: _Field("globalDefault", "bool"),
        4: _Field("description"),
        5: _Field("preemptionPolicy"),
    },
    "SelfSubjectReview": {1: _METADATA},
    "SelfSubjectRulesReview": {1: _METADATA, 2: _Field("spec", "RulesSpec")},
    "RulesSpec": _strings("namespace"),
    "SelfSubjectAccessReview": {1: _METADATA, 2: _Field("spec", "SelfAccessSpec")},
    "SelfAccessSpec": {
        1: _Field("resourceAttributes", "ResourceAttributes"),
        2: _Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "SubjectAccessReview": {1: _METADATA, 2: _Field("spec", "AccessSpec")},
    "LocalSubjectAccessReview": {1: _METADATA, 2: _Field("spec", "AccessSpec")},
    "AccessSpec": {
        1: _Field("resourceAttributes", "ResourceAttributes"),
        2: _Field("nonResourceAttributes", "NonResourceAttributes"),
        3: _Field("user"),
        4: _Field("groups", shape="many"),
        6: _Field("uid"),
    },
    "ResourceAttributes": _strings(
        "namespace", "verb", "group", "version", "resource", "subresource", "name"
    ),
    "NonResourceAttributes": _strings("path", "verb"),
    "TokenRequest": {1: _METADATA, 2: _Field("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {1: _Field("audiences", shape="many"), 4: _Field("expirationSeconds", "int")},
    "Eviction": {1: _METADATA, 2: _Field("deleteOptions", "DeleteOptions")},
    "DeleteOptions": {
        1: _Field("gracePeriodSeconds", "int"),
        2: _Field("preconditions", "Preconditions"),
        3: _Field("orphanDependents", "bool"),
        4: _Field("propagationPolicy"),
        5: _Field("dryRun", shape="many"),
    },
    "Preconditions": _strings("uid", "resourceVersion"),
}


def decode_protobuf(body: bytes) -> Manifest | None:
    """The object in a request's body; None if it is of a kind that is only understood as JSON."""
    if not body.startswith(_MAGIC):
        return None
    try:
        envelope = _message(body[len(_MAGIC) :], "Unknown")
        type_meta = envelope.get("typeMeta") or {}
        if type_meta.get("kind") not in _MESSAGES:
            return None
        return {**type_meta, **_message(envelope.get("raw", b""), type_meta["kind"])}
    except (IndexError, UnicodeDecodeError, ValueError):
        return None


def _message(data: bytes, name: str) -> dict[str, Any]:
    fields = _MESSAGES[name]
    found: dict[str, Any] = {}
    for number, value in _values(data):
        field = fields.get(number)
        if field is None:
            continue  # a newer client may say more than is known here
        if field.shape == "map" and isinstance(value, bytes):
            entry = dict(_values(value))
            key = entry.get(1, b"")
            text = key.decode() if isinstance(key, bytes) else str(key)
            found.setdefault(field.name, {})[text] = _decoded(entry.get(2, b""), field.kind)
        elif field.shape == "many":
            found.setdefault(field.name, []).append(_decoded(value, field.kind))
        elif (decoded := _decoded(value, field.kind)) not in ("", {}):
            # Go writes empty strings and messages out; JSON leaves them away.
            found[field.name] = decoded
    return found


def _decoded(value: bytes | int, kind: str) -> Any:
    if isinstance(value, int):
        return bool(value) if kind == "bool" else value
    if kind == "raw":
        return value
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "quantity":
        return dict(_values(value)).get(1, b"0").decode()  # type: ignore[union-attr]
    return value.decode() if kind == "string" else _message(value, kind)


def _values(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            number, position = _varint(data, position)
            yield tag >> 3, number - (1 << 64) if number >> 63 else number
        elif wire == _BYTES:
            length, position = _varint(data, position)
            yield tag >> 3, data[position : position + length]
            position += length
        elif wire in (_FIXED64, _FIXED32):
            position += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, position
