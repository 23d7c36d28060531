"""Whether a pod fits on a node, and why not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.amounts import Amounts, amounts, pod_requests
from airflow_spark_k8s.local.claims import claims_of
from airflow_spark_k8s.local.manifests import labels_of

UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"


@dataclass(slots=True)
class NodeLoad:
    """One node and what the pods bound to it ask for."""

    node: Manifest
    used: Amounts = field(default_factory=dict)
    pods: dict[str, Manifest] = field(default_factory=dict)  # by uid
    _read: tuple[Manifest | None, Amounts] = (None, {})  # the node, and what it offers

    def add(self, pod: Manifest, factor: int = 1) -> None:
        """Count a pod in, or out with `factor` -1."""
        for name, value in pod_demand(pod).items():
            self.used[name] = self.used.get(name, 0) + factor * value
        if factor > 0:
            self.pods[pod["metadata"]["uid"]] = pod
        else:
            self.pods.pop(pod["metadata"]["uid"], None)

    def allocatable(self) -> Amounts:
        """What the node can give away in all."""
        if self._read[0] is not self.node:
            self._read = (self.node, amounts(self.node.get("status", {}).get("allocatable")))
        return dict(self._read[1])


def pod_demand(pod: Manifest) -> Amounts:
    """What a pod takes on a node: its requests, and one of the node's pod slots."""
    return {**pod_requests(pod), "pods": 1}


def scheduling_key(pod: Manifest) -> str:
    """Equal for pods that fit on the same nodes, as far as other pods' labels do not matter."""
    spec = pod["spec"]
    parts = [spec.get(key) for key in ("nodeSelector", "affinity", "tolerations", "priority", "nodeName")]
    claims = [claim.name for claim in claims_of(pod)]
    return json.dumps([pod_demand(pod), parts, claims, pod["metadata"]["namespace"]], sort_keys=True)


def obstacles(pod: Manifest, load: NodeLoad, *, ignored: Iterable[Manifest] = ()) -> tuple[str, ...]:
    """
    Why the pod cannot run on the node, in the scheduler's words; empty if it can.

    The pods in `ignored` are taken as gone already.
    """
    spec, node = pod["spec"], load.node
    if node["spec"].get("unschedulable") and not _tolerates(
        spec, {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    ):
        return ("node(s) were unschedulable",)
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] in ("NoSchedule", "NoExecute") and not _tolerates(spec, taint):
            return ("node(s) had untolerated taint(s)",)
    if not is_selected(spec, node):
        return ("node(s) didn't match Pod's node affinity/selector",)
    return _shortages(pod, load, ignored)


def is_hopeless(pod: Manifest, load: NodeLoad) -> bool:
    """Whether the pod could not run on the node even if it were empty."""
    return bool(obstacles(pod, load, ignored=list(load.pods.values())))


def explain(reasons: Sequence[Sequence[str]], hopeless: int) -> str:
    """
    Message for a pod that fits nowhere: `reasons` per node, on `hopeless` of which preemption cannot help.

    Source: FitError and preemption's status of kube-scheduler.
    """
    if not reasons:
        return "no nodes available to schedule pods"
    why = _tally(reason for each in reasons for reason in each)
    return _explanation(why, len(reasons), hopeless)


def explain_claims(trouble: str, nodes: int) -> str:
    """Message for a pod that can be placed on none of so many nodes because of its claims."""
    return _explanation(trouble, nodes, nodes) if nodes else "no nodes available to schedule pods"


def _explanation(why: str, total: int, hopeless: int) -> str:
    head = f"0/{total} nodes are available: "
    tail = [
        f"{number} {text}"
        for number, text in (
            (hopeless, "Preemption is not helpful for scheduling"),
            (total - hopeless, "No preemption victims found for incoming pod"),
        )
        if number
    ]
    return f"{head}{why}. no new claims to deallocate, preemption: {head}{', '.join(sorted(tail))}."


def tolerated_seconds(pod: Manifest, taint: Manifest) -> float | None:
    """How long a pod may stay with a NoExecute taint: 0 not at all, None for ever."""
    matching = [t for t in pod["spec"].get("tolerations") or () if _matches(t, taint)]
    if not matching:
        return 0.0
    bounded = [float(t["tolerationSeconds"]) for t in matching if t.get("tolerationSeconds") is not None]
    return max(min(bounded), 0.0) if bounded else None


def _tally(reasons: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(sorted(f"{number} {reason}" for reason, number in counts.items()))


def _tolerates(spec: Manifest, taint: Manifest) -> bool:
    return any(_matches(toleration, taint) for toleration in spec.get("tolerations") or ())


def _matches(toleration: Manifest, taint: Manifest) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def is_selected(spec: Manifest, node: Manifest) -> bool:
    """Whether the pod's node selector and required node affinity allow the node."""
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(term_matches(term, node) for term in required.get("nodeSelectorTerms") or ())


def term_matches(term: Manifest, node: Manifest) -> bool:
    """Whether a node selector term selects the node; an empty term selects none."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": node["metadata"]["name"]}
    return all(_expression(each, labels_of(node)) for each in expressions) and all(
        _expression(each, names) for each in fields
    )


def _expression(expression: Manifest, values: Mapping[str, str]) -> bool:
    value, wanted = values.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    try:
        left, right = int(value or ""), int(wanted[0])
    except (ValueError, IndexError):
        return False
    return left > right if expression["operator"] == "Gt" else left < right


def _shortages(pod: Manifest, load: NodeLoad, ignored: Iterable[Manifest]) -> tuple[str, ...]:
    free = load.allocatable()
    for name, value in load.used.items():
        free[name] = free.get(name, 0) - value
    for gone in ignored:
        for name, value in pod_demand(gone).items():
            free[name] = free.get(name, 0) + value
    short = [name for name, value in pod_demand(pod).items() if value > 0 and value > free.get(name, 0)]
    return tuple("Too many pods" if name == "pods" else f"Insufficient {name}" for name in short)
