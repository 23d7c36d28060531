"""How many pods of each node match a selector, without looking at all pods every time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.manifests import labels_of

_REMEMBERED = 1000

Namespaces = Callable[[Manifest], frozenset[str] | None]
"""A namespaceSelector → the namespaces it selects; None: all."""


@dataclass(slots=True)
class _Counted:
    """One question and its answer so far."""

    namespaces: frozenset[str] | None  # None: all
    selector: Manifest
    on_node: dict[str, int] = field(default_factory=dict)


class PodCounts:
    """The pods that are bound to nodes, and for every selector that was asked about how many match."""

    def __init__(self) -> None:
        self._pods: dict[str, tuple[str, Manifest]] = {}  # uid → node and pod
        self._asked: dict[str, _Counted] = {}

    def add(self, node: str, pod: Manifest) -> None:
        """Count a pod in."""
        self._pods[pod["metadata"]["uid"]] = (node, pod)
        self._change(node, pod, 1)

    def remove(self, pod: Manifest) -> None:
        """Count a pod out; an unknown one is no error."""
        known = self._pods.pop(pod["metadata"]["uid"], None)
        if known is not None:
            self._change(*known, -1)

    def matching(self, namespaces: frozenset[str] | None, selector: Manifest) -> Mapping[str, int]:
        """Node → number of its pods that match; nodes without any may be missing."""
        key = json.dumps([None if namespaces is None else sorted(namespaces), selector], sort_keys=True)
        counted = self._asked.get(key)
        if counted is None:
            if len(self._asked) >= _REMEMBERED:
                self._asked.clear()  # applications come and go; asking again only costs a look at all pods
            counted = self._asked[key] = _Counted(namespaces, selector)
            for node, pod in self._pods.values():
                _count(counted, node, pod, 1)
        return counted.on_node

    def _change(self, node: str, pod: Manifest, by: int) -> None:
        for counted in self._asked.values():
            _count(counted, node, pod, by)


def selects(selector: Manifest | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of an object's spec selects these labels; None selects nothing."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _holds(each, labels) for each in selector.get("matchExpressions") or ()
    )


def domains(
    counts: Mapping[str, int], nodes: Mapping[str, Mapping[str, str]], topology_key: str
) -> dict[str, int]:
    """
    Value of the topology key → number of pods there, 0 included.

    :param counts: node → number of pods.
    :param nodes: node → its labels; only these count.
    """
    found: dict[str, int] = {}
    for name, value in _places(nodes, topology_key):
        found[value] = found.get(value, 0) + counts.get(name, 0)
    return found


def _places(nodes: Mapping[str, Mapping[str, str]], topology_key: str) -> Iterator[tuple[str, str]]:
    for name, labels in nodes.items():
        if topology_key in labels:
            yield name, labels[topology_key]


def _count(counted: _Counted, node: str, pod: Manifest, by: int) -> None:
    if counted.namespaces is not None and pod["metadata"]["namespace"] not in counted.namespaces:
        return
    if selects(counted.selector, labels_of(pod)):
        counted.on_node[node] = counted.on_node.get(node, 0) + by


def _holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value, wanted = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value is not None and value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case _:
            return value is None
