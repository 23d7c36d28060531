"""
Topology spread constraints of one pod: where they forbid it, and which nodes they like best.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.manifests import labels_of
from airflow_spark_k8s.local.pod_counts import PodCounts, domains, selects

Labels = Mapping[str, Mapping[str, str]]
"""Node → its labels."""

_VIOLATED = "node(s) didn't match pod topology spread constraints"
_UNLABELLED = f"{_VIOLATED} (missing required label)"


def constraints(pod: Manifest, action: str) -> list[Manifest]:
    """The pod's constraints with that `whenUnsatisfiable`: DoNotSchedule or ScheduleAnyway."""
    given = pod["spec"].get("topologySpreadConstraints") or ()
    return [each for each in given if each.get("whenUnsatisfiable", "DoNotSchedule") == action]


def spread_obstacles(pod: Manifest, eligible: Labels, counts: PodCounts) -> dict[str, str]:
    """
    Node → why the pod's hard constraints keep it away; nodes without a reason are missing.

    :param eligible: the nodes that the pod's node selector and affinity allow.
    """
    hard = constraints(pod, "DoNotSchedule")
    counted = _with_keys(eligible, hard)
    found = {name: _UNLABELLED for name in eligible.keys() - counted.keys()}
    for constraint in hard:
        key, selector = constraint["topologyKey"], _selector(pod, constraint)
        present = domains(counts.matching(_own_namespace(pod), selector), counted, key)
        few = len(present) < (constraint.get("minDomains") or 1)
        least = 0 if few else min(present.values(), default=0)
        own = int(selects(selector, labels_of(pod)))
        for name, labels in counted.items():
            if present[labels[key]] + own - least > constraint["maxSkew"]:
                found[name] = _VIOLATED
    return found


def spread_scores(pod: Manifest, fitting: Labels, eligible: Labels, counts: PodCounts) -> dict[str, float]:
    """
    Node → 0 to 100, the more the fewer pods of the kind are there already; {} without soft constraints.

    :param fitting: the nodes that have room; `eligible` as for `spread_obstacles`.
    """
    soft = constraints(pod, "ScheduleAnyway")
    if not soft:
        return {}
    scored, counted = _with_keys(fitting, soft), _with_keys(eligible, soft)
    raw = dict.fromkeys(scored, 0.0)
    for constraint in soft:
        key = constraint["topologyKey"]
        present = domains(counts.matching(_own_namespace(pod), _selector(pod, constraint)), counted, key)
        weight = math.log(len({labels[key] for labels in scored.values()}) + 2)
        for name, labels in scored.items():
            raw[name] += present.get(labels[key], 0) * weight + constraint["maxSkew"] - 1
    high, low = max(raw.values(), default=0.0), min(raw.values(), default=0.0)
    # Nodes that lack a key are the last choice.
    return dict.fromkeys(fitting, 0.0) | {
        name: 100.0 * (high + low - score) / high if high else 100.0 for name, score in raw.items()
    }


def _selector(pod: Manifest, constraint: Manifest) -> Manifest:
    """The constraint's selector, narrowed to pods that have the same values of `matchLabelKeys`."""
    selector: Manifest = constraint.get("labelSelector") or {}
    labels = labels_of(pod)
    keys = [key for key in constraint.get("matchLabelKeys") or () if key in labels]
    if not keys:
        return selector
    same = {key: labels[key] for key in keys}
    return {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), **same}}


def _own_namespace(pod: Manifest) -> frozenset[str]:
    return frozenset({pod["metadata"]["namespace"]})


def _with_keys(nodes: Labels, among: Iterable[Manifest]) -> Labels:
    keys = {each["topologyKey"] for each in among}
    return {name: labels for name, labels in nodes.items() if keys <= labels.keys()}
