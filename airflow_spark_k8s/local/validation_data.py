"""
ConfigMaps and Secrets: keys and size.

Source: ValidateConfigMap and ValidateSecret of k8s.io/kubernetes/pkg/apis/core/validation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import Cause
from airflow_spark_k8s.local.validation_names import invalid_value, required

_LIMIT = 1024 * 1024
_KEY = "[-._a-zA-Z0-9]+"
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
    f"(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{_KEY}')"
)
_REQUIRED_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def validate_config_map(config_map: Manifest) -> Iterator[Cause]:
    """What is wrong with a ConfigMap."""
    data, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    yield from _keys(data, "data")
    yield from _keys(binary, "binaryData")
    for key in sorted(set(data) & set(binary)):
        yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    size = sum(len(text.encode()) for text in data.values()) + sum(map(_decoded_size, binary.values()))
    if size > _LIMIT:
        # The API server names an empty path here.
        yield _too_long("[]")


def validate_secret(secret: Manifest) -> Iterator[Cause]:
    """What is wrong with a Secret."""
    data = secret.get("data") or {}
    yield from _keys(data, "data")
    if sum(map(_decoded_size, data.values())) > _LIMIT:
        yield _too_long("data")
    for key in _REQUIRED_KEYS.get(secret.get("type", ""), ()):
        if key not in data:
            yield required(f"data[{key}]")


def _keys(data: Manifest, field: str) -> Iterator[Cause]:
    for key in sorted(data):
        if len(key) > 253:
            yield invalid_value(f"{field}[{key}]", key, "must be no more than 253 characters")
        if not re.fullmatch(_KEY, key):
            yield invalid_value(f"{field}[{key}]", key, _KEY_RULE)


def _decoded_size(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded.count("=", -2)


def _too_long(field: str) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {_LIMIT} bytes", field)
