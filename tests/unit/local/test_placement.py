"""Where pods go because of other pods: spread, affinity and anti-affinity."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.local.conditions import find_condition
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.resources import NAMESPACES, PODS

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
WEB = {"matchLabels": {"app": "web"}}


def three_nodes() -> PaperCluster:
    """Two zones; node c, alone in its zone, has most room and would be everybody's choice."""
    return PaperCluster(
        nodes=[
            NodeOffer(name="a", memory="16Gi", labels={ZONE: "north"}),
            NodeOffer(name="b", memory="16Gi", labels={ZONE: "north"}),
            NodeOffer(name="c", memory="64Gi", cpu="64", labels={ZONE: "south"}),
        ]
    )


def place(
    cluster: PaperCluster, name: str, *, app: str = "web", namespace: str = "default", **spec: Any
) -> str | None:
    resources = {"requests": {"memory": "1Gi", "cpu": "100m"}}
    body = {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app, "number": name}},
        "spec": {"containers": [{"name": "main", "image": "i", "resources": resources}], **spec},
    }
    cluster.store.create(PODS, body)
    cluster.advance(1)
    node: str | None = cluster.pod(name, namespace)["spec"].get("nodeName")
    return node


def why_not(cluster: PaperCluster, name: str) -> str:
    condition = find_condition(cluster.pod(name), "PodScheduled")
    assert condition is not None
    return str(condition["message"]).split(" no new claims")[0].removeprefix("0/3 nodes are available: ")


def spread(action: str, key: str = HOST, **more: Any) -> dict[str, Any]:
    constraint = {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": action,
        "labelSelector": WEB,
        **more,
    }
    return {"topologySpreadConstraints": [constraint]}


def term(key: str = HOST, **more: Any) -> dict[str, Any]:
    return {"topologyKey": key, "labelSelector": WEB, **more}


def hard(kind: str, *terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}}


def soft(kind: str, *terms: dict[str, Any], weight: int = 100) -> dict[str, Any]:
    wishes = [{"weight": weight, "podAffinityTerm": each} for each in terms]
    return {"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": wishes}}}


def test_without_any_wish_pods_go_where_most_is_left() -> None:
    cluster = three_nodes()
    assert [place(cluster, f"p{number}") for number in range(4)] == ["c"] * 4


def test_a_soft_spread_takes_the_nodes_in_turn() -> None:
    cluster = three_nodes()
    places = [place(cluster, f"p{number}", **spread("ScheduleAnyway")) for number in range(6)]
    assert sorted(map(str, places)) == ["a", "a", "b", "b", "c", "c"]


def test_a_soft_spread_over_zones_counts_zones() -> None:
    cluster = three_nodes()
    places = [place(cluster, f"p{number}", **spread("ScheduleAnyway", ZONE)) for number in range(4)]
    assert [place == "c" for place in places].count(True) == 2


def test_a_soft_spread_does_not_keep_pods_from_running() -> None:
    cluster = PaperCluster(nodes=[NodeOffer(name="only")])
    places = [place(cluster, f"p{number}", **spread("ScheduleAnyway")) for number in range(3)]
    assert places == ["only"] * 3


def test_a_spread_does_not_count_pods_of_others() -> None:
    cluster = three_nodes()
    cluster.store.create(NAMESPACES, {"metadata": {"name": "elsewhere"}})
    assert place(cluster, "other", app="db") == "c"
    assert place(cluster, "foreign", namespace="elsewhere") == "c"
    assert place(cluster, "p", **spread("ScheduleAnyway")) == "c"


def test_a_spread_narrowed_by_a_label_counts_pods_with_the_same_value() -> None:
    cluster = three_nodes()
    wish = spread("ScheduleAnyway", matchLabelKeys=["number"])
    assert [place(cluster, f"p{number}", **wish) for number in range(2)] == ["c", "c"]


def test_a_hard_spread_waits_for_room_on_the_right_node() -> None:
    cluster = three_nodes()
    wish = spread("DoNotSchedule")
    huge = {"containers": [{"name": "main", "image": "i", "resources": {"requests": {"memory": "16Gi"}}}]}
    place(cluster, "full-a", app="db", nodeSelector={HOST: "a"}, **huge)
    places = [place(cluster, f"p{number}", **wish) for number in range(3)]

    assert places == ["c", "b", None]
    violated = "2 node(s) didn't match pod topology spread constraints"
    assert why_not(cluster, "p2") == f"1 Insufficient memory, {violated}."
    cluster.store.delete(PODS, "default", "full-a", grace_seconds=0)
    cluster.advance(5)
    assert cluster.pod("p2")["spec"]["nodeName"] == "a"


def test_a_spread_is_over_the_nodes_that_the_pod_may_have() -> None:
    cluster = three_nodes()
    only_c = {"nodeSelector": {HOST: "c"}}
    wish = spread("DoNotSchedule")
    assert [place(cluster, f"p{number}", **wish, **only_c) for number in range(3)] == ["c"] * 3


def test_a_hard_spread_over_an_unknown_key_fits_nowhere() -> None:
    cluster = three_nodes()
    assert place(cluster, "p", **spread("DoNotSchedule", "example.com/rack")) is None
    assert why_not(cluster, "p") == (
        "3 node(s) didn't match pod topology spread constraints (missing required label)."
    )


def test_a_hard_spread_that_wants_more_domains_than_there_are() -> None:
    cluster = three_nodes()
    wish = spread("DoNotSchedule", ZONE, minDomains=3)
    assert [place(cluster, f"p{number}", **wish) is not None for number in range(3)] == [True, True, False]
    assert why_not(cluster, "p2") == "3 node(s) didn't match pod topology spread constraints."


def test_a_soft_anti_affinity_avoids_company_while_there_is_a_choice() -> None:
    cluster = three_nodes()
    wish = soft("podAntiAffinity", term())
    places = [place(cluster, f"p{number}", **wish) for number in range(4)]
    assert sorted(map(str, places[:3])) == ["a", "b", "c"]
    assert places[3] == "c"


def test_pods_that_avoid_others_are_avoided_by_them() -> None:
    cluster = three_nodes()
    assert place(cluster, "shy", app="db", **soft("podAntiAffinity", term())) == "c"
    assert place(cluster, "web") != "c"


def test_a_soft_affinity_looks_for_company() -> None:
    cluster = three_nodes()
    assert place(cluster, "web", nodeSelector={HOST: "a"}) == "a"
    assert place(cluster, "friend", app="db", **soft("podAffinity", term())) == "a"


def test_a_hard_anti_affinity_keeps_pods_apart() -> None:
    cluster = three_nodes()
    wish = hard("podAntiAffinity", term())
    assert None not in [place(cluster, f"p{number}", **wish) for number in range(3)]
    assert place(cluster, "p3", **wish) is None
    # The scheduler looks at the other pods' terms first, and then at the pod's own.
    assert why_not(cluster, "p3") == "3 node(s) didn't match pod anti-affinity rules."
    assert place(cluster, "plain") is None
    assert why_not(cluster, "plain") == "3 node(s) didn't satisfy existing pods anti-affinity rules."

    cluster.store.delete(PODS, "default", "p0", grace_seconds=0)
    cluster.advance(5)
    assert cluster.pod("p3")["spec"].get("nodeName") is not None


def test_a_hard_affinity_needs_company() -> None:
    cluster = three_nodes()
    wish = hard("podAffinity", term(ZONE))
    assert place(cluster, "lonely", app="db", **wish) is None
    assert why_not(cluster, "lonely") == "3 node(s) didn't match pod affinity rules."
    place(cluster, "web", nodeSelector={HOST: "a"})
    cluster.advance(3)
    assert cluster.pod("lonely")["spec"]["nodeName"] in ("a", "b")


def test_the_first_pod_of_a_group_may_go_anywhere() -> None:
    cluster = three_nodes()
    wish = hard("podAffinity", term())
    first = place(cluster, "p0", **wish)
    assert first is not None
    assert place(cluster, "p1", **wish) == first


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        pytest.param({}, False, id="the pod's own namespace"),
        pytest.param({"namespaces": ["elsewhere"]}, True, id="a namespace by name"),
        pytest.param({"namespaceSelector": {}}, True, id="all namespaces"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "red"}}}, True, id="by label"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "blue"}}}, False, id="by another label"),
    ],
)
def test_namespaces_whose_pods_count(more: dict[str, Any], counts: bool) -> None:
    cluster = three_nodes()
    cluster.store.create(NAMESPACES, {"metadata": {"name": "elsewhere", "labels": {"team": "red"}}})
    assert place(cluster, "web", namespace="elsewhere") == "c"
    assert (place(cluster, "p", **soft("podAntiAffinity", term(**more))) != "c") is counts


SELECTORS = {
    "in": ({"key": "app", "operator": "In", "values": ["web", "db"]}, True),
    "not in": ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
    "exists": ({"key": "app", "operator": "Exists"}, True),
    "does not exist": ({"key": "app", "operator": "DoesNotExist"}, False),
}


@pytest.mark.parametrize(("expression", "counts"), SELECTORS.values(), ids=SELECTORS)
def test_what_a_selector_selects(expression: dict[str, Any], counts: bool) -> None:
    cluster = three_nodes()
    assert place(cluster, "web") == "c"
    wish = soft("podAntiAffinity", term(labelSelector={"matchExpressions": [expression]}))
    assert (place(cluster, "p", app="other", **wish) != "c") is counts


def test_spread_and_company_do_not_displace_anybody() -> None:
    cluster = three_nodes()
    priority = {"priority": 0}
    for number in range(3):
        place(cluster, f"p{number}", **hard("podAntiAffinity", term()), **priority)
    important = {"priorityClassName": "system-cluster-critical"}
    assert place(cluster, "p3", **hard("podAntiAffinity", term()), **important) is None
    assert len(cluster.pods()) == 4
