"""
Affinity and anti-affinity between pods: where they forbid a pod, and which nodes they like best.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.manifests import labels_of
from airflow_spark_k8s.local.pod_counts import PodCounts, domains, selects
from airflow_spark_k8s.local.pod_spreading import Labels

Namespaces = Callable[[Manifest], frozenset[str]]
"""A label selector → the namespaces that it selects."""

_HARD = "requiredDuringSchedulingIgnoredDuringExecution"
_SOFT = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_AFFINITY = "node(s) didn't match pod affinity rules"
_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
_OTHERS = "node(s) didn't satisfy existing pods anti-affinity rules"
_HARD_WEIGHT = 1  # of others' hard affinity for the scores; source: hardPodAffinityWeight


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a pod's affinity or anti-affinity."""

    weight: int  # of a soft term, negative for anti-affinity; 0: the term is hard
    anti: bool
    topology_key: str
    selector: Manifest | None
    namespaces: frozenset[str] | None  # None: all

    def matches(self, pod: Manifest) -> bool:
        """Whether the term speaks of the pod."""
        if self.namespaces is not None and pod["metadata"]["namespace"] not in self.namespaces:
            return False
        return selects(self.selector, labels_of(pod))


@dataclass(slots=True)
class _Held:
    """A term that pods on nodes have, and how many on which node."""

    term: Term
    on_node: dict[str, int] = field(default_factory=dict)


class PodAffinity:
    """The terms of all pods that are bound to nodes, and what they and a pod's own mean for it."""

    def __init__(self, counts: PodCounts, namespaces: Namespaces) -> None:
        self._counts = counts
        self._namespaces = namespaces
        self._held: dict[str, _Held] = {}
        self._of_pod: dict[str, tuple[str, list[str]]] = {}  # uid → node and keys of its terms

    def add(self, node: str, pod: Manifest) -> None:
        """Count the pod's terms in."""
        keys = []
        for term in self._terms(pod):
            keys.append(_key(term))
            held = self._held.setdefault(keys[-1], _Held(term))
            held.on_node[node] = held.on_node.get(node, 0) + 1
        if keys:
            self._of_pod[pod["metadata"]["uid"]] = (node, keys)

    def remove(self, pod: Manifest) -> None:
        """Count the pod's terms out; an unknown pod is no error."""
        node, keys = self._of_pod.pop(pod["metadata"]["uid"], ("", []))
        for key in keys:
            on_node = self._held[key].on_node
            on_node[node] -= 1
            if not on_node[node]:
                del on_node[node]
            if not on_node:
                del self._held[key]

    def obstacles(self, pod: Manifest, nodes: Labels) -> dict[str, str]:
        """Node → why hard terms keep the pod away; nodes without a reason are missing."""
        found: dict[str, str] = {}
        for held in self._held.values():
            if held.term.anti and not held.term.weight and held.term.matches(pod):
                found |= dict.fromkeys(_taken(held.term, held.on_node, nodes), _OTHERS)
        hard = [term for term in self._terms(pod) if not term.weight]
        for term in hard:
            if term.anti:
                found |= dict.fromkeys(_taken(term, self._matching(term), nodes), _ANTI_AFFINITY)
        company = [term for term in hard if not term.anti]
        return found | dict.fromkeys(self._lonely(pod, company, nodes), _NO_AFFINITY)

    def _lonely(self, pod: Manifest, terms: list[Term], nodes: Labels) -> set[str]:
        """The nodes where pods are missing that this one has to be with."""
        together = [_taken(term, self._matching(term), nodes) for term in terms]
        if any(together) or not all(term.matches(pod) for term in terms):
            return {name for name in nodes for there in together if name not in there}
        # The first pod of a group that wants to be together may go wherever the topology is known.
        return {name for name, labels in nodes.items() for term in terms if term.topology_key not in labels}

    def scores(self, pod: Manifest, fitting: Labels, nodes: Labels) -> dict[str, float]:
        """Node → 0 to 100, the more the better soft terms are met; {} if there is nothing to tell by."""
        raw = dict.fromkeys(fitting, 0.0)
        for weight, key, on_node in self._wishes(pod):
            present = domains(on_node, nodes, key)
            for name, labels in fitting.items():
                raw[name] += weight * present.get(labels.get(key, ""), 0)
        high, low = max(raw.values(), default=0.0), min(raw.values(), default=0.0)
        if high == low:
            return {}
        return {name: 100.0 * (score - low) / (high - low) for name, score in raw.items()}

    def _wishes(self, pod: Manifest) -> Iterator[tuple[int, str, Mapping[str, int]]]:
        """Weight, topology key, and node → number of pods: of the pod's own terms and of others' about it."""
        for term in self._terms(pod):
            if term.weight:
                yield term.weight, term.topology_key, self._matching(term)
        for held in self._held.values():
            weight = held.term.weight or (0 if held.term.anti else _HARD_WEIGHT)
            if weight and held.term.matches(pod):
                yield weight, held.term.topology_key, held.on_node

    def _matching(self, term: Term) -> Mapping[str, int]:
        if term.selector is None:
            return {}
        return self._counts.matching(term.namespaces, term.selector)

    def _terms(self, pod: Manifest) -> Iterator[Term]:
        affinity = pod["spec"].get("affinity") or {}
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
            given = affinity.get(kind) or {}
            for term in given.get(_HARD) or ():
                yield self._term(pod, term, 0, sign < 0)
            for each in given.get(_SOFT) or ():
                yield self._term(pod, each["podAffinityTerm"], sign * int(each["weight"]), sign < 0)

    def _term(self, pod: Manifest, term: Manifest, weight: int, anti: bool) -> Term:
        named, selector = term.get("namespaces") or (), term.get("namespaceSelector")
        namespaces: frozenset[str] | None = frozenset(named)
        if selector == {}:
            namespaces = None
        elif selector is not None:
            namespaces = frozenset(named) | self._namespaces(selector)
        elif not named:
            namespaces = frozenset({pod["metadata"]["namespace"]})
        return Term(weight, anti, term["topologyKey"], term.get("labelSelector"), namespaces)


def _taken(term: Term, on_node: Mapping[str, int], nodes: Labels) -> set[str]:
    """The nodes in whose topology domain at least one pod counts."""
    key = term.topology_key
    present = domains(on_node, nodes, key)
    return {name for name, labels in nodes.items() if present.get(labels.get(key, ""), 0) > 0}


def _key(term: Term) -> str:
    namespaces = None if term.namespaces is None else sorted(term.namespaces)
    return json.dumps([term.weight, term.anti, term.topology_key, term.selector, namespaces], sort_keys=True)
