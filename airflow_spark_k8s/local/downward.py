"""What a pod may be told about itself: the downward API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fractions import Fraction

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.amounts import amount, amounts, container_requests
from airflow_spark_k8s.local.quantities import parse_quantity

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]\Z")


class UnknownField(ValueError):
    """A field that the downward API does not offer; the text is the kubelet's message."""


def pod_field(pod: Manifest, path: str, addresses: Mapping[str, str]) -> str:
    """
    Value of one field of a pod; "" if it is not set.

    `addresses` are the fields that only the kubelet knows: `status.podIP`, `status.hostIP` and their plurals.
    Raises `UnknownField`.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
    """
    if path in addresses:
        return addresses[path]
    metadata, spec = pod["metadata"], pod["spec"]
    if subscript := _SUBSCRIPT.match(path):
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "metadata.labels": _lines(metadata.get("labels")),
        "metadata.annotations": _lines(metadata.get("annotations")),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
    }
    if path not in simple:
        raise UnknownField(f"unsupported fieldPath: {path}")
    return str(simple[path])


def resource_field(container: Manifest, reference: Manifest, allocatable: Mapping[str, str]) -> str:
    """
    Value of a `resourceFieldRef`, divided by its divisor and rounded up.

    Without a limit it is what the node has; without a request it is the limit, or 0.
    Raises `UnknownField`.
    """
    kind, _, name = reference["resource"].partition(".")
    if kind not in ("limits", "requests") or not name:
        raise UnknownField(f"unsupported container resource : {reference['resource']}")
    if kind == "requests":
        found = container_requests(container).get(name, 0)
    else:
        limits = amounts((container.get("resources") or {}).get("limits"))
        found = limits[name] if name in limits else amount(name, allocatable.get(name, "0"))
    divisor = parse_quantity(str(reference.get("divisor") or 1)) or Fraction(1)
    value = Fraction(found) / (divisor * 1000 if name == "cpu" else divisor)
    return str(-(-value.numerator // value.denominator))


def _lines(pairs: Mapping[str, str] | None) -> str:
    return "\n".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted((pairs or {}).items())
    )
