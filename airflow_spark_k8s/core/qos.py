"""The QoS class that Kubernetes gives a pod, by the CPU and memory of its containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from operator import add
from typing import Any

from airflow_spark_k8s.core.quantities import parse_quantity
from airflow_spark_k8s.core.spec import Manifest

GUARANTEED = "Guaranteed"
BURSTABLE = "Burstable"
BEST_EFFORT = "BestEffort"

_COUNTED = ("cpu", "memory")
_ZERO = Fraction(0)

_Amounts = dict[str, Fraction]


def qos_class(pod: Manifest) -> str:
    """
    `Guaranteed`, `Burstable` or `BestEffort`: what Kubernetes makes of the manifest of a pod or its template.

    Guaranteed takes a limit of CPU and of memory for each container, init containers as well, and the same
    request or none. Resources of the pod as a whole count instead of the containers' if there are any.
    What the namespace's LimitRange would fill in is not known here.

    :param pod: with containers and their resources; nothing needs to be defaulted.
    :raises InvalidConfiguration: if an amount is no quantity.

    Source: Kubernetes' pkg/apis/core/v1/helper/qos and the defaults of pkg/apis/core/v1
    """
    spec = pod["spec"]
    if spec.get("resources") is not None:
        return _class_of(*_of_the_whole(spec))
    classes = {_class_of(*_amounts(container)) for container in _containers(spec)}
    return classes.pop() if len(classes) == 1 else BURSTABLE


def _class_of(requests: Mapping[str, Fraction], limits: Mapping[str, Fraction]) -> str:
    if any(requests.get(name, 0) != limits.get(name, 0) for name in _COUNTED):
        return BURSTABLE
    limited = [name for name in _COUNTED if limits.get(name, 0)]
    if not limited:
        return BEST_EFFORT
    return GUARANTEED if len(limited) == len(_COUNTED) else BURSTABLE


def _amounts(owner: Manifest) -> tuple[_Amounts, _Amounts]:
    resources = owner.get("resources") or {}
    limits = _counted(resources.get("limits"), "limits")
    return {**limits, **_counted(resources.get("requests"), "requests")}, limits


def _counted(amounts: Mapping[str, Any] | None, kind: str) -> _Amounts:
    return {
        name: parse_quantity(str(amount), field=f"resources.{kind}.{name}")
        for name, amount in (amounts or {}).items()
        if name in _COUNTED
    }


def _of_the_whole(spec: Manifest) -> tuple[_Amounts, _Amounts]:
    """The pod's own resources; if they limit anything, its containers' requests fill in for absent ones."""
    requests, limits = _amounts(spec)
    given = _counted(spec["resources"].get("requests"), "requests")
    if not spec["resources"].get("limits"):
        return given, limits
    return {**requests, **_effective_requests(spec), **given}, limits


def _effective_requests(spec: Manifest) -> _Amounts:
    """Containers and sidecars run together; init containers alone, beside the sidecars before them."""
    lasting: _Amounts = {}
    peak: _Amounts = {}
    for container in spec.get("initContainers") or ():
        together = _merged(add, lasting, _amounts(container)[0])
        peak = _merged(max, peak, together)
        if container.get("restartPolicy") == "Always":
            lasting = together
    for container in spec["containers"]:
        lasting = _merged(add, lasting, _amounts(container)[0])
    return _merged(max, peak, lasting)


def _merged(how: Callable[[Fraction, Fraction], Fraction], one: _Amounts, other: _Amounts) -> _Amounts:
    return {name: how(one.get(name, _ZERO), other.get(name, _ZERO)) for name in {*one, *other}}


def _containers(spec: Manifest) -> list[Manifest]:
    return [*(spec.get("initContainers") or ()), *spec["containers"]]
