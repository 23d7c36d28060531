"""
The fields of every kind that the local cluster stores, and their types, as plain data.

`schema.json` is made from the models of `kubernetes_asyncio` by `python -m airflow_spark_k8s.local.schema`:
importing those models takes seconds, reading the file milliseconds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from airflow_spark_k8s.local.resources import EVENTS, STORED, Resource

Schema = Mapping[str, Mapping[str, str]]

_NAMES = re.compile(r"[A-Z]\w+")


def model_of(resource: Resource) -> str:
    """Name of the kind's entry in the schema."""
    return "CoreV1Event" if resource is EVENTS else f"V1{resource.kind}"


@lru_cache(maxsize=1)
def load_schema() -> Schema:
    """Type → its JSON fields → their types: str, int, bool, object, `list[T]`, `dict(str, T)` or an entry."""
    text = files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    schema: Schema = json.loads(text)
    return schema


def build_schema() -> Schema:
    """The same from the installed `kubernetes_asyncio`."""
    from kubernetes_asyncio.client import models

    found: dict[str, dict[str, str]] = {}
    waiting = [model_of(each) for each in STORED]
    while waiting:
        name = waiting.pop()
        model = getattr(models, name, None)
        if name in found or model is None or not hasattr(model, "openapi_types"):
            continue
        fields = {model.attribute_map[field]: kind for field, kind in model.openapi_types.items()}
        found[name] = dict(sorted(fields.items()))
        waiting += [each for kind in fields.values() for each in _NAMES.findall(kind)]
    return dict(sorted(found.items()))


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in build_schema().items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
