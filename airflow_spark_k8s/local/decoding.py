"""Bodies of requests: JSON (or YAML) to objects, with the API server's complaints about types and fields."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError, bad_request, undecodable
from airflow_spark_k8s.local.json_errors import describe
from airflow_spark_k8s.local.protobuf import CONTENT_TYPE, decode_protobuf
from airflow_spark_k8s.local.quantities import is_quantity
from airflow_spark_k8s.local.resources import SECRETS, Resource
from airflow_spark_k8s.local.schema import load_schema, model_of

BODY_LIMIT_BYTES = 3 * 1024 * 1024
_QUANTITIES = {"limits", "requests", "hard", "used", "capacity", "allocatable", "overhead"}
_QUANTITY_RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_GO_TYPES = {"str": "string", "bool": "bool", "int": "int32", "float": "float64"}
_LISTED = re.compile(r"list\[(.+)\]")
_MAPPED = re.compile(r"dict\(str, (.+)\)")
_SCALARS: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "int": (int,), "float": (int, float)}


@dataclass(frozen=True, slots=True)
class Decoded:
    """An object of a request, without the fields that the API does not know."""

    object: Manifest
    unknown_fields: tuple[str, ...]  # `spec.containers[0].imagee`, in document order


def parse_json(body: bytes, expected: str = "") -> Any:
    """The decoded body; raises ApiError 400 with Go's words, 413 if it is too large."""
    if len(body) > BODY_LIMIT_BYTES:
        message = f"Request entity too large: limit is {BODY_LIMIT_BYTES}"
        raise ApiError(413, "RequestEntityTooLarge", message, {})
    try:
        return json.loads(body)
    except UnicodeDecodeError as error:
        raise bad_request("the body of the request is no UTF-8 text") from error
    except json.JSONDecodeError as error:
        of_type = f" (must be of type {expected})" if expected else ""
        shown = body.decode("utf-8", "replace")
        why = f"couldn't get version/kind; json parse error: {describe(error)}"
        raise bad_request(f"the object provided is unrecognized{of_type}: {why} ({shown})") from error


def parse_body(body: bytes, content_type: str, expected: str) -> Any:
    """The decoded body of a create or replace; raises ApiError 400, 413, 415."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("application/yaml", "text/yaml"):
        import yaml

        return yaml.safe_load(body)
    if kind == CONTENT_TYPE and (decoded := decode_protobuf(body)) is not None:
        return decoded
    if kind not in ("", "application/json", "*/*", "text/plain", "application/x-www-form-urlencoded"):
        message = (
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json, application/yaml"
        )
        raise ApiError(415, "UnsupportedMediaType", message, {})
    return parse_json(body, expected)


def decode(resource: Resource, value: Any) -> Decoded:
    """
    The object in `value`, checked against the kind's schema; null fields are dropped.

    Raises ApiError 400 for another kind, a wrong type, a bad quantity or bad base64.
    """
    if not isinstance(value, dict):
        raise undecodable(resource, f"json: cannot unmarshal {_json_type(value)} into Go value of type map")
    _check_kind(resource, value)
    walk = _Walk(resource)
    known = walk.object(value, model_of(resource), "")
    known |= {"apiVersion": resource.api_version, "kind": resource.kind}
    known.setdefault("metadata", {})
    _check_base64(resource, known)
    return Decoded(known, tuple(walk.unknown))


def check_fields(resource: Resource, decoded: Decoded, validation: str | None) -> tuple[str, ...]:
    """
    The warnings for unknown fields; `validation` is Strict, Warn, Ignore or None (Warn).

    Raises ApiError 400 if it is Strict and there are any.
    """
    complaints = [f'unknown field "{each}"' for each in decoded.unknown_fields]
    if not complaints or validation == "Ignore":
        return ()
    if validation == "Strict":
        raise undecodable(resource, f"strict decoding error: {', '.join(complaints)}")
    return tuple(complaints)


def _check_kind(resource: Resource, value: Manifest) -> None:
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if kind and kind != resource.kind:
        group = (api_version or resource.api_version).rpartition("/")[0]
        package = group.partition(".")[0] or "core"
        version = str(api_version or resource.version).rpartition("/")[2]
        expected = f"{resource.group.partition('.')[0] or 'core'}.{resource.kind}"
        prefix = f'{kind} in version "{version}" cannot be handled as a {resource.kind}'
        source = f"{version}.{kind}" if package == "core" else f"{package}.{kind}"
        raise bad_request(f"{prefix}: converting ({source}) to ({expected}): unknown conversion")
    if api_version and api_version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({resource.api_version})"
        )


def _check_base64(resource: Resource, obj: Manifest) -> None:
    encoded = obj.get("data") if resource is SECRETS else obj.get("binaryData")
    if not isinstance(encoded, dict):
        return
    for text in encoded.values():
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            wrong = re.search(r"[^A-Za-z0-9+/]", text.rstrip("="))
            position = wrong.start() if wrong else len(text) // 4 * 4
            raise undecodable(resource, f"illegal base64 data at input byte {position}") from error


@dataclass(slots=True)
class _Walk:
    resource: Resource
    unknown: list[str] = field(default_factory=list)

    def object(self, value: Manifest, model: str, path: str) -> Manifest:
        schema = load_schema().get(model)
        if schema is None:
            return value
        known: Manifest = {}
        for key, item in value.items():
            at = f"{path}.{key}" if path else key
            kind = schema.get(key)
            if kind is None:
                self.unknown.append(at)
            elif item is not None:
                owner = f"{model.removeprefix('Core').removeprefix('V1')}"
                known[key] = self.value(item, kind, at, key, owner)
        return known

    def value(self, item: Any, kind: str, path: str, key: str, owner: str) -> Any:
        if kind in _GO_TYPES:
            return self._scalar(item, kind, path, key, owner)
        listed, mapped = _parts(kind)
        if listed:
            self._expect(item, list, f"[]{_go_type(listed)}", path, owner)
            return [self.value(each, listed, f"{path}[{n}]", key, owner) for n, each in enumerate(item)]
        if mapped:
            self._expect(item, dict, f"map[string]{_go_type(mapped)}", path, owner)
            if key in _QUANTITIES:
                return {name: self._quantity(each) for name, each in item.items()}
            return {
                name: self.value(each, mapped, f"{path}.{name}", key, owner) for name, each in item.items()
            }
        if kind in ("object", "datetime"):
            return item
        self._expect(item, dict, f"{owner}", path, owner)
        return self.object(item, kind, path)

    def _scalar(self, item: Any, kind: str, path: str, key: str, owner: str) -> Any:
        if key == "sizeLimit":
            return self._quantity(item)
        if not isinstance(item, _SCALARS[kind]) or (isinstance(item, bool) and kind != "bool"):
            self._refuse(item, _go_type(kind), path, owner)
        return item

    def _quantity(self, value: Any) -> str:
        if not is_quantity(value):
            raise undecodable(self.resource, _QUANTITY_RULE)
        return str(value)

    def _expect(self, item: Any, wanted: type, go_type: str, path: str, owner: str) -> None:
        if not isinstance(item, wanted):
            self._refuse(item, go_type, path, owner)

    def _refuse(self, item: Any, go_type: str, path: str, owner: str) -> None:
        where = re.sub(r"\[\d+\]", "", path)
        what = f"cannot unmarshal {_json_type(item)} into Go struct field {owner}.{where} of type {go_type}"
        raise undecodable(self.resource, f"json: {what}")


@cache
def _parts(kind: str) -> tuple[str | None, str | None]:
    """What a list or a map of this type consists of; None: it is none."""
    listed, mapped = _LISTED.fullmatch(kind), _MAPPED.fullmatch(kind)
    return listed and listed[1], mapped and mapped[1]


def _go_type(kind: str) -> str:
    return _GO_TYPES.get(kind, f"v1.{kind.removeprefix('V1')}")


def _json_type(value: Any) -> str:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")
