"""The fields of Kubernetes' objects, as the models of the client library list them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

_LIST = re.compile(r"list\[(.+)\]")
_MAP = re.compile(r"dict\(str, (.+)\)")

QUANTITY = "quantity"
INT_OR_STRING = "int or string"

# The models know these only as strings or objects.
_MORE_PRECISELY: Mapping[tuple[str, str], str] = {
    ("V1EmptyDirVolumeSource", "sizeLimit"): QUANTITY,
    ("V1HTTPGetAction", "port"): INT_OR_STRING,
    ("V1PodSpec", "overhead"): f"dict(str, {QUANTITY})",
    ("V1ResourceFieldSelector", "divisor"): QUANTITY,
    ("V1ResourceRequirements", "limits"): f"dict(str, {QUANTITY})",
    ("V1ResourceRequirements", "requests"): f"dict(str, {QUANTITY})",
    ("V1TCPSocketAction", "port"): INT_OR_STRING,
    ("V1VolumeResourceRequirements", "limits"): f"dict(str, {QUANTITY})",
    ("V1VolumeResourceRequirements", "requests"): f"dict(str, {QUANTITY})",
}


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A JSON object with known fields."""

    name: str
    fields: Mapping[str, str]  # JSON name -> type
    required: frozenset[str]


@cache
def object_type(name: str) -> ObjectType:
    """The object type of a model such as `V1Pod`."""
    # A second of import time that parsing a DAG must not pay.
    from kubernetes_asyncio.client import models

    model = getattr(models, name)
    types: dict[str, str] = model.openapi_types
    json_names: dict[str, str] = model.attribute_map
    fields = {json_names[attribute]: kind for attribute, kind in types.items()}
    fields |= {field: kind for (owner, field), kind in _MORE_PRECISELY.items() if owner == name}
    required = frozenset(json_names[attribute] for attribute in types if _is_required(model, attribute))
    return ObjectType(name=name, fields=fields, required=required)


def item_type(kind: str) -> str | None:
    """Type of the items if `kind` is a list; None if it is not."""
    found = _LIST.fullmatch(kind)
    return None if found is None else found[1]


def value_type(kind: str) -> str | None:
    """Type of the values if `kind` is a map with free keys; None if it is not."""
    found = _MAP.fullmatch(kind)
    return None if found is None else found[1]


def _is_required(model: Any, attribute: str) -> bool:
    # The models keep no list of required fields, but their setters refuse None. Not calling the constructor
    # keeps clear of the library's process-wide configuration, which it reads.
    instance = model.__new__(model)
    instance.local_vars_configuration = SimpleNamespace(client_side_validation=True)
    try:
        setattr(instance, attribute, None)
    except ValueError:
        return True
    return False
