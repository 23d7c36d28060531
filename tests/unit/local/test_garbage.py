from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.local.conditions import find_condition
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_runtime import PaperScript
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, NAMESPACES, NODES, PODS, SECRETS


@pytest.fixture
def cluster() -> PaperCluster:
    return PaperCluster()


def pod(cluster: PaperCluster, name: str, *owners: dict[str, Any], **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", **_owned(owners)}
    return cluster.store.create(
        PODS, {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}
    )


def config_map(cluster: PaperCluster, name: str, *owners: dict[str, Any]) -> dict[str, Any]:
    return cluster.store.create(
        CONFIG_MAPS, {"metadata": {"name": name, "namespace": "default", **_owned(owners)}}
    )


def _owned(owners: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {"ownerReferences": [_reference(owner) for owner in owners]} if owners else {}


def _reference(owner: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }


def names(cluster: PaperCluster) -> list[str]:
    return [
        obj["metadata"]["name"]
        for resource in (PODS, CONFIG_MAPS)
        for obj in cluster.store.list(resource, "default")
        if obj["metadata"]["name"] != "kube-root-ca.crt"
    ]


def test_what_an_object_owns_goes_with_it_down_to_the_last(cluster: PaperCluster) -> None:
    driver = pod(cluster, "driver")
    executor = pod(cluster, "executor", driver)
    config_map(cluster, "settings", driver)
    config_map(cluster, "notes", executor)
    config_map(cluster, "other")
    cluster.advance(2)

    cluster.store.delete(PODS, "default", "driver")
    cluster.advance(5)

    assert names(cluster) == ["other"]


def test_a_pod_that_is_ended_gracefully_still_owns_until_it_is_gone(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(term_seconds=None))
    driver = pod(cluster, "deaf", terminationGracePeriodSeconds=20)
    config_map(cluster, "settings", driver)
    cluster.advance(2)

    cluster.store.delete(PODS, "default", "deaf")
    cluster.advance(15)
    meanwhile = names(cluster)
    cluster.advance(10)

    assert meanwhile == ["deaf", "settings"]
    assert names(cluster) == []


def test_an_object_with_a_living_owner_stays_without_the_dead_one(cluster: PaperCluster) -> None:
    one, two = config_map(cluster, "one"), config_map(cluster, "two")
    config_map(cluster, "child", one, two)

    cluster.store.delete(CONFIG_MAPS, "default", "one")
    cluster.advance(3)

    child = cluster.store.get(CONFIG_MAPS, "default", "child")
    assert [owner["name"] for owner in child["metadata"]["ownerReferences"]] == ["two"]


def test_an_object_whose_owner_never_was_is_collected_after_a_second(cluster: PaperCluster) -> None:
    ghost = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ghost", "uid": "nobody"}}
    config_map(cluster, "orphaned", ghost)
    cluster.advance(0.9)
    meanwhile = names(cluster)
    cluster.advance(0.2)

    assert meanwhile == ["orphaned"]
    assert names(cluster) == []


def test_an_owner_of_an_unknown_kind_is_taken_as_alive(cluster: PaperCluster) -> None:
    stranger = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t", "uid": "u"}}
    config_map(cluster, "kept", stranger)
    cluster.advance(10)

    assert names(cluster) == ["kept"]


def test_an_owner_of_the_same_name_but_another_uid_does_not_count(cluster: PaperCluster) -> None:
    old = config_map(cluster, "owner")
    cluster.store.delete(CONFIG_MAPS, "default", "owner")
    config_map(cluster, "owner")
    config_map(cluster, "child", old)
    cluster.advance(3)

    assert names(cluster) == ["owner"]


def test_foreground_deletion_waits_for_what_is_owned(cluster: PaperCluster) -> None:
    driver = config_map(cluster, "owner")
    pod(cluster, "child", driver)
    cluster.advance(2)

    cluster.store.delete(CONFIG_MAPS, "default", "owner", propagation="Foreground")
    at_once = names(cluster)
    cluster.advance(5)

    assert at_once == ["child", "owner"]
    assert names(cluster) == []


def test_orphan_deletion_sets_free_what_is_owned(cluster: PaperCluster) -> None:
    owner = config_map(cluster, "owner")
    config_map(cluster, "child", owner)

    cluster.store.delete(CONFIG_MAPS, "default", "owner", propagation="Orphan")
    cluster.advance(5)

    assert names(cluster) == ["child"]
    assert "ownerReferences" not in cluster.store.get(CONFIG_MAPS, "default", "child")["metadata"]


def test_a_namespace_goes_once_everything_in_it_has_gone(cluster: PaperCluster) -> None:
    cluster.store.create(NAMESPACES, {"metadata": {"name": "team"}})
    cluster.store.create(SECRETS, {"metadata": {"name": "s", "namespace": "team"}})
    container = {"name": "c", "image": "i"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    cluster.store.create(
        JOBS, {"metadata": {"name": "j", "namespace": "team"}, "spec": {"template": template}}
    )
    cluster.advance(3)

    cluster.store.delete(NAMESPACES, None, "team")
    with pytest.raises(ApiError, match="because it is being terminated"):
        cluster.store.create(SECRETS, {"metadata": {"name": "late", "namespace": "team"}})
    while_ending = cluster.store.find(NAMESPACES, None, "team")
    cluster.advance(10)

    assert while_ending is not None
    assert while_ending["status"]["phase"] == "Terminating"
    assert cluster.store.find(NAMESPACES, None, "team") is None
    assert not [*cluster.store.list(PODS, "team"), *cluster.store.list(JOBS, "team")]


def test_pods_of_a_deleted_node_are_given_up_as_disrupted(cluster: PaperCluster) -> None:
    seen = []
    cluster.store.subscribe(lambda event: seen.append(event) if event.resource is PODS else None)
    pod(cluster, "p")
    cluster.advance(2)

    cluster.delete_node("node-1")
    cluster.advance(39)
    meanwhile = names(cluster)
    cluster.advance(2)

    last = seen[-1].object
    disruption = find_condition(last, "DisruptionTarget")
    assert meanwhile == ["p"]
    assert (seen[-1].type, last["status"]["phase"]) == ("DELETED", "Failed")
    assert disruption is not None
    assert (disruption["reason"], disruption["message"]) == (
        "DeletionByPodGC",
        "PodGC: node no longer exists",
    )


def test_a_silent_node_is_tainted_and_its_pods_leave_after_their_patience(cluster: PaperCluster) -> None:
    pod(cluster, "p")
    cluster.advance(5)

    cluster.silence("node-1")
    cluster.advance(70)
    node, unready = cluster.store.get(NODES, None, "node-1"), cluster.pod("p")
    cluster.advance(270)
    patient = cluster.pod("p")
    cluster.advance(60)
    terminating = cluster.pod("p")

    ready = find_condition(node, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
    assert {(taint["key"], taint["effect"]) for taint in node["spec"]["taints"]} == {
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    }
    assert find_condition(unready, "Ready")["status"] == "False"
    assert "deletionTimestamp" not in patient["metadata"]
    assert "deletionTimestamp" in terminating["metadata"]
    assert find_condition(terminating, "DisruptionTarget")["reason"] == "DeletionByTaintManager"


def test_a_node_that_comes_back_keeps_its_pods_and_tells_what_it_missed(cluster: PaperCluster) -> None:
    stays, ends = pod(cluster, "stays", restartPolicy="Never"), pod(cluster, "ends", restartPolicy="Never")
    cluster.advance(5)

    cluster.silence("node-1")
    cluster.advance(30)
    cluster.runtime.end(ends, 3)
    cluster.advance(60)
    unseen = cluster.pod("ends")["status"]["phase"]
    cluster.revive("node-1")
    cluster.advance(10)

    node = cluster.store.get(NODES, None, "node-1")
    assert unseen == "Running"
    assert cluster.pod("ends")["status"]["phase"] == "Failed"
    assert cluster.pod("stays")["metadata"]["uid"] == stays["metadata"]["uid"]
    assert find_condition(cluster.pod("stays"), "Ready")["status"] == "True"
    assert find_condition(node, "Ready")["status"] == "True"
    assert "taints" not in node["spec"]


def test_a_node_that_comes_back_lets_pods_go_that_were_deleted_meanwhile(cluster: PaperCluster) -> None:
    pod(cluster, "p", restartPolicy="Never")
    cluster.advance(5)

    cluster.silence("node-1")
    cluster.store.delete(PODS, "default", "p")
    cluster.advance(40)
    waiting = names(cluster)
    cluster.revive("node-1")
    cluster.advance(5)

    assert waiting == ["p"]
    assert names(cluster) == []


def test_a_pod_that_was_bound_and_deleted_while_its_node_was_silent_never_runs(cluster: PaperCluster) -> None:
    cluster.silence("node-1")
    late = pod(cluster, "late")
    cluster.advance(5)
    cluster.store.delete(PODS, "default", "late")
    cluster.advance(5)
    waiting = names(cluster)

    cluster.revive("node-1")
    cluster.advance(5)

    assert waiting == ["late"]
    assert names(cluster) == []
    assert not cluster.runtime.runs(late)


def test_draining_evicts_every_pod_and_others_take_over(cluster: PaperCluster) -> None:
    cluster.add_node(NodeOffer(name="node-2"))
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    spec = {"template": template, "backoffLimit": 0, "podFailurePolicy": policy}
    cluster.store.create(JOBS, {"metadata": {"name": "j", "namespace": "default"}, "spec": spec})
    cluster.advance(3)
    (first,) = cluster.pods()
    node = first["spec"]["nodeName"]

    cluster.drain(node)
    cluster.advance(60)

    (second,) = cluster.pods()
    assert second["spec"]["nodeName"] != node
    assert second["status"]["phase"] == "Running"
