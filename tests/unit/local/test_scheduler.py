from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.local.conditions import find_condition
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_runtime import PaperScript
from airflow_spark_k8s.local.resources import EVENTS, NODES, PODS, PRIORITY_CLASSES


def create(cluster: PaperCluster, name: str, *, memory: str = "1Gi", cpu: str = "1", **spec: Any) -> None:
    resources = {"requests": {"memory": memory, "cpu": cpu}}
    container = {"name": "main", "image": "i", "resources": resources}
    pod = {"restartPolicy": "Never", "containers": [container], **spec}
    cluster.store.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": pod})


def node_of(cluster: PaperCluster, name: str) -> str | None:
    node: str | None = cluster.pod(name)["spec"].get("nodeName")
    return node


def why_not(cluster: PaperCluster, name: str) -> str:
    condition = find_condition(cluster.pod(name), "PodScheduled")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    return str(condition["message"]).split(" no new claims")[0]


def selecting(operator: str, *values: str) -> dict[str, Any]:
    expression = {"key": "disk", "operator": operator, **({"values": list(values)} if values else {})}
    term = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}}


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
LABELLED = NodeOffer(name="n", labels={"disk": "ssd", "size": "8"}, memory="4Gi", cpu="4", pods=3)

PLACEMENTS = {
    "room for it": ({}, True),
    "more memory than the node has": ({"memory": "5Gi"}, "0/1 nodes are available: 1 Insufficient memory."),
    "more of everything": (
        {"memory": "5Gi", "cpu": "5"},
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.",
    ),
    "exactly all there is": ({"memory": "4Gi", "cpu": "4000m"}, True),
    "a selector that matches": ({"nodeSelector": {"disk": "ssd"}}, True),
    "a selector that does not": (
        {"nodeSelector": {"disk": "hdd"}},
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ),
    "affinity: in": (selecting("In", "ssd", "nvme"), True),
    "affinity: not in": (
        selecting("NotIn", "ssd"),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ),
    "affinity: exists": (selecting("Exists"), True),
    "affinity: does not exist": (
        selecting("DoesNotExist"),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    ),
}


@pytest.mark.parametrize(("spec", "result"), PLACEMENTS.values(), ids=PLACEMENTS)
def test_where_a_pod_goes(spec: dict[str, Any], result: bool | str) -> None:
    cluster = PaperCluster(nodes=[LABELLED])
    create(cluster, "p", **spec)
    cluster.advance(1)

    if result is True:
        assert node_of(cluster, "p") == "n"
    else:
        assert why_not(cluster, "p") == result


TOLERATIONS = {
    "none": ([], False),
    "the same key and value": ([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}], True),
    "another value": ([{"key": "gpu", "value": "no"}], False),
    "any value of the key": ([{"key": "gpu", "operator": "Exists"}], True),
    "everything": ([{"operator": "Exists"}], True),
    "another effect": ([{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}], False),
}


@pytest.mark.parametrize(("tolerations", "fits"), TOLERATIONS.values(), ids=TOLERATIONS)
def test_taints_keep_pods_away_that_do_not_tolerate_them(tolerations: list[Any], fits: bool) -> None:
    cluster = PaperCluster(nodes=[NodeOffer(name="n", taints=(TAINT,))])
    create(cluster, "p", tolerations=tolerations)
    cluster.advance(1)

    assert (node_of(cluster, "p") == "n") is fits
    if not fits:
        assert why_not(cluster, "p") == "0/1 nodes are available: 1 node(s) had untolerated taint(s)."


def test_pods_are_counted_by_request_and_by_number() -> None:
    cluster = PaperCluster(nodes=[LABELLED])
    for number in range(4):
        create(cluster, f"p{number}")
    cluster.advance(1)

    assert [node_of(cluster, f"p{number}") for number in range(4)] == ["n", "n", "n", None]
    assert why_not(cluster, "p3") == "0/1 nodes are available: 1 Too many pods."


def test_a_pod_that_waits_gets_the_room_that_another_leaves() -> None:
    cluster = PaperCluster(nodes=[LABELLED])
    cluster.runtime.script(PaperScript(run_seconds=30), name="first")
    create(cluster, "first", memory="3Gi")
    create(cluster, "second", memory="3Gi")
    cluster.advance(10)
    waited = why_not(cluster, "second")

    cluster.advance(25)

    assert waited == "0/1 nodes are available: 1 Insufficient memory."
    assert node_of(cluster, "second") == "n"


def test_a_pod_that_waits_goes_to_a_new_node() -> None:
    cluster = PaperCluster(nodes=[])
    create(cluster, "p")
    cluster.advance(1)
    message = find_condition(cluster.pod("p"), "PodScheduled")

    cluster.add_node(NodeOffer(name="new"))
    cluster.advance(2)

    assert message is not None
    assert message["message"] == "no nodes available to schedule pods"
    assert node_of(cluster, "p") == "new"


def test_pods_spread_over_nodes_with_room() -> None:
    cluster = PaperCluster(nodes=[NodeOffer(name="a"), NodeOffer(name="b")])
    for number in range(4):
        create(cluster, f"p{number}")
    cluster.advance(1)

    assert sorted(node_of(cluster, f"p{number}") or "" for number in range(4)) == ["a", "a", "b", "b"]


def test_a_cordoned_node_gets_no_pod() -> None:
    cluster = PaperCluster()
    cluster.drain("node-1")
    create(cluster, "p")
    cluster.advance(1)

    assert why_not(cluster, "p") == "0/1 nodes are available: 1 node(s) were unschedulable."
    assert cluster.store.get(NODES, None, "node-1")["spec"]["unschedulable"] is True


def test_what_happened_is_told_in_events() -> None:
    cluster = PaperCluster(nodes=[LABELLED])
    create(cluster, "small")
    create(cluster, "large", memory="9Gi")
    cluster.advance(1)

    events = {
        (event["involvedObject"]["name"], event["reason"]): event
        for event in cluster.store.list(EVENTS, "default")
    }
    scheduled, failed = events["small", "Scheduled"], events["large", "FailedScheduling"]
    assert scheduled["message"] == "Successfully assigned default/small to n"
    assert (scheduled["type"], scheduled["action"]) == ("Normal", "Binding")
    assert (failed["type"], failed["reportingComponent"]) == ("Warning", "default-scheduler")
    assert failed["message"].endswith(
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )


def important(cluster: PaperCluster, **fields: Any) -> None:
    priority = {"metadata": {"name": "high"}, "value": 1000, **fields}
    cluster.store.create(PRIORITY_CLASSES, priority)


def test_an_important_pod_displaces_an_unimportant_one_with_a_disruption() -> None:
    cluster = PaperCluster(nodes=[LABELLED])
    important(cluster)
    create(cluster, "victim", memory="3Gi", terminationGracePeriodSeconds=5)
    cluster.runtime.script(PaperScript(term_seconds=3))
    cluster.advance(2)
    create(cluster, "boss", memory="3Gi", priorityClassName="high")
    cluster.advance(1)
    disruption = find_condition(cluster.pod("victim"), "DisruptionTarget")

    cluster.advance(10)

    assert disruption is not None
    assert disruption["reason"] == "PreemptionByScheduler"
    assert cluster.store.find(PODS, "default", "victim") is None
    assert node_of(cluster, "boss") == "n"


def test_an_important_pod_that_never_preempts_waits() -> None:
    cluster = PaperCluster(nodes=[LABELLED])
    important(cluster, preemptionPolicy="Never")
    create(cluster, "other", memory="3Gi")
    cluster.advance(2)
    create(cluster, "boss", memory="3Gi", priorityClassName="high")
    cluster.advance(10)

    assert node_of(cluster, "other") == "n"
    assert why_not(cluster, "boss") == "0/1 nodes are available: 1 Insufficient memory."
