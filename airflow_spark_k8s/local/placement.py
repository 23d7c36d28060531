"""Which of the nodes with room is best for a pod, and where other pods keep it away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.amounts import Amounts
from airflow_spark_k8s.local.claims import ONE_POD, claims_of
from airflow_spark_k8s.local.manifests import Reader, labels_of
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.pod_affinity import PodAffinity
from airflow_spark_k8s.local.pod_counts import PodCounts, selects
from airflow_spark_k8s.local.pod_spreading import Labels, spread_obstacles, spread_scores
from airflow_spark_k8s.local.resources import NAMESPACES, PERSISTENT_VOLUME_CLAIMS
from airflow_spark_k8s.local.scheduling import NodeLoad, is_selected, pod_demand, term_matches

_ONE_POD_CONFLICT = (
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)
_SPREAD_WEIGHT = 2
_POD_AFFINITY_WEIGHT = 2
_NODE_AFFINITY_WEIGHT = 2


class Placement:
    """
    What the pods that are bound already mean for one that is not.

    Nodes score by spread, affinity and free room, with the weights of the scheduler's own plugins; images,
    soft taints and the balance between CPU and memory do not count.

    Source: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
    """

    def __init__(self, reader: Reader, loads: Mapping[str, NodeLoad]) -> None:
        self._reader = reader
        self._loads = loads
        self._counts = PodCounts()
        self._affinity = PodAffinity(self._counts, self._namespaces)
        self._claims: Counter[Key] = Counter()

    def add(self, node: str, pod: Manifest) -> None:
        """Count in a pod that is bound to the node."""
        self._counts.add(node, pod)
        self._affinity.add(node, pod)
        self._claims.update(_claim_keys(pod))

    def remove(self, pod: Manifest) -> None:
        """Count out a pod that has ended or gone."""
        self._counts.remove(pod)
        self._affinity.remove(pod)
        self._claims.subtract(_claim_keys(pod))

    def obstacles(self, pod: Manifest, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Node → why other pods keep this one away; nodes without a reason are missing."""
        if any(self._claims[key] and self._is_for_one_pod(key) for key in _claim_keys(pod)):
            return dict.fromkeys(names, (_ONE_POD_CONFLICT,))
        nodes = self._labels(list(self._loads))
        found = self._affinity.obstacles(pod, nodes) | spread_obstacles(
            pod, self._eligible(pod), self._counts
        )
        return {name: (found[name],) for name in names if name in found}

    def best(self, pod: Manifest, fitting: Sequence[str]) -> str:
        """The node with the highest score; among equals the last by name."""
        nodes = self._labels(fitting)
        spread = spread_scores(pod, nodes, self._eligible(pod), self._counts)
        company = self._affinity.scores(pod, nodes, self._labels(list(self._loads)))
        wishes = {name: self._preference(pod, name) for name in fitting}
        most, demand = max(wishes.values()) or 1, pod_demand(pod)

        def score(name: str) -> tuple[float, str]:
            return (
                _SPREAD_WEIGHT * spread.get(name, 0.0)
                + _POD_AFFINITY_WEIGHT * company.get(name, 0.0)
                + _NODE_AFFINITY_WEIGHT * 100.0 * wishes[name] / most
                + self._room(demand, name),
                name,
            )

        return max(fitting, key=score)

    def _room(self, demand: Amounts, name: str) -> float:
        """0 to 100: how much of CPU and memory would be left."""
        load = self._loads[name]
        total = load.allocatable()
        shares = [
            max(0.0, 1.0 - (load.used.get(each, 0) + demand.get(each, 0)) / total[each])
            for each in ("cpu", "memory")
            if total.get(each)
        ]
        return 100.0 * sum(shares) / len(shares) if shares else 0.0

    def _preference(self, pod: Manifest, name: str) -> int:
        affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
        return sum(
            int(each["weight"])
            for each in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            if term_matches(each["preference"], self._loads[name].node)
        )

    def _labels(self, names: Sequence[str]) -> Labels:
        return {name: labels_of(self._loads[name].node) for name in names}

    def _eligible(self, pod: Manifest) -> Labels:
        if not pod["spec"].get("topologySpreadConstraints"):
            return {}
        return {
            name: labels_of(load.node)
            for name, load in self._loads.items()
            if is_selected(pod["spec"], load.node)
        }

    def _is_for_one_pod(self, key: Key) -> bool:
        claim = self._reader.peek(PERSISTENT_VOLUME_CLAIMS, *key)
        return claim is not None and ONE_POD in (claim["spec"].get("accessModes") or ())

    def _namespaces(self, selector: Manifest) -> frozenset[str]:
        return frozenset(
            each["metadata"]["name"]
            for each in self._reader.iterate(NAMESPACES)
            if selects(selector, labels_of(each))
        )


def _claim_keys(pod: Manifest) -> list[Key]:
    return [(pod["metadata"]["namespace"], claim.name) for claim in claims_of(pod)]
