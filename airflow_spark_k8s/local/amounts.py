"""CPU, memory and other countable resources of nodes, pods and containers."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.quantities import parse_quantity

Amounts = dict[str, int]
"""Resource name → amount: `cpu` in millicores, everything else in bytes or pieces."""


def amount(name: str, text: str | float) -> int:
    """Amount of one resource, rounded up: millicores for `cpu`, else whole bytes or pieces."""
    value = parse_quantity(str(text)) * (1000 if name == "cpu" else 1)
    return -(-value.numerator // value.denominator)


def amounts(quantities: Mapping[str, str] | None) -> Amounts:
    """Amounts of a resource list, for example of `resources.requests`."""
    return {name: amount(name, text) for name, text in (quantities or {}).items()}


def pod_requests(pod: Manifest) -> Amounts:
    """
    What a pod asks of its node: the sum over its containers or the largest init container, and overhead.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    spec = pod["spec"]
    total: Amounts = {}
    for container in spec.get("containers", []):
        _add(total, container_requests(container))
    for container in spec.get("initContainers") or []:
        for name, value in container_requests(container).items():
            total[name] = max(total.get(name, 0), value)
    _add(total, amounts(spec.get("overhead")))
    return total


def container_requests(container: Manifest) -> Amounts:
    """Requests of one container; a limit without a request counts as request."""
    resources = container.get("resources") or {}
    return {**amounts(resources.get("limits")), **amounts(resources.get("requests"))}


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value
