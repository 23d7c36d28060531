"""
ResourceQuota: what the pods of a namespace may ask for together, and how many objects there may be.

Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import forbidden
from airflow_spark_k8s.local.manifests import Reader, is_terminal
from airflow_spark_k8s.local.quantities import format_quantity, parse_quantity
from airflow_spark_k8s.local.resources import PODS, RESOURCE_QUOTAS, Resource

_COMPUTE = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def check_quotas(reader: Reader, resource: Resource, obj: Manifest) -> None:
    """Return if every quota of the namespace has room for one more such object; raises ApiError 403."""
    metadata = obj["metadata"]
    for quota in reader.iterate(RESOURCE_QUOTAS, metadata["namespace"]):
        hard: Mapping[str, str] = quota.get("spec", {}).get("hard") or {}
        limited = sorted(name for name in hard if _concerns(resource, name))
        if limited and (problem := _problem(reader, resource, obj, hard, limited)):
            separator = ": " if problem.startswith("must") else ", "
            verdict = "failed" if problem.startswith("must") else "exceeded"
            name = quota["metadata"]["name"]
            raise forbidden(resource, metadata["name"], f"{verdict} quota: {name}{separator}{problem}")


def used_amount(resource: Resource, obj: Manifest, name: str) -> Fraction:
    """What one object counts for under one of a quota's names; terminal pods only count as objects."""
    if resource is not PODS or name.startswith("count/"):
        return Fraction(1)
    if is_terminal(obj):
        return Fraction(0)
    if name == "pods":
        return Fraction(1)
    side, _, what = name.rpartition(".")
    return pod_total(obj, side or "requests", what)


def pod_total(pod: Manifest, side: str, name: str) -> Fraction:
    """
    Sum over the containers, or the largest init container if that is more.

    `side` is requests or limits; `name` is cpu, memory, …
    """
    spec = pod["spec"]
    running = sum((_amount(each, side, name) for each in spec.get("containers") or []), Fraction(0))
    starting = max(
        (_amount(each, side, name) for each in spec.get("initContainers") or []), default=Fraction(0)
    )
    return max(running, starting)


def _amount(container: Manifest, side: str, name: str) -> Fraction:
    value = ((container.get("resources") or {}).get(side) or {}).get(name)
    return Fraction(0) if value is None else parse_quantity(str(value))


def _concerns(resource: Resource, name: str) -> bool:
    if name == f"count/{resource.qualified_name}":
        return True
    if resource is PODS:
        return name in ("pods", "cpu", "memory", *_COMPUTE)
    return not resource.group and name == resource.plural


def _problem(
    reader: Reader, resource: Resource, obj: Manifest, hard: Mapping[str, str], limited: list[str]
) -> str | None:
    if resource is PODS and (missing := _unspecified(obj, limited)):
        return missing
    asked = {name: used_amount(resource, obj, name) for name in limited}
    others = list(reader.iterate(resource, obj["metadata"]["namespace"]))
    used = {
        name: sum((used_amount(resource, each, name) for each in others), Fraction(0)) for name in limited
    }
    limits = {name: parse_quantity(str(hard[name])) for name in limited}
    over = [name for name in limited if asked[name] and used[name] + asked[name] > limits[name]]
    if not over:
        return None
    columns = {
        "requested": [f"{name}={format_quantity(asked[name], str(hard[name]))}" for name in over],
        "used": [f"{name}={format_quantity(used[name], str(hard[name]))}" for name in over],
        "limited": [f"{name}={hard[name]}" for name in over],
    }
    return ", ".join(f"{title}: {','.join(values)}" for title, values in columns.items())


def _unspecified(pod: Manifest, limited: list[str]) -> str | None:
    parts: list[str] = []
    for name in limited:
        if name in ("pods", "count/pods"):
            continue
        side, _, what = name.rpartition(".")
        without = [
            each["name"]
            for each in pod["spec"].get("containers") or []
            if what not in ((each.get("resources") or {}).get(side or "requests") or {})
        ]
        if without:
            parts.append(f"{name} for: {','.join(without)}")
    return f"must specify {'; '.join(parts)}" if parts else None
