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


def lost_job(cluster: PaperCluster) -> dict[str, Any]:
    """A Job as drivers have it, with one pod, on the only node there is, which falls silent; then another."""
    tolerations = [
        {
            "key": f"node.kubernetes.io/{key}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 5,
        }
        for key in ("unreachable", "not-ready")
    ]
    container = {"name": "main", "image": "i"}
    pod_spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "containers": [container],
        "tolerations": tolerations,
    }
    policy = {
        "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    }
    spec = {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": policy,
        "template": {"spec": pod_spec},
    }
    cluster.store.create(JOBS, {"metadata": {"name": "lost", "namespace": "default"}, "spec": spec})
    cluster.advance(5)
    (first,) = cluster.pods()
    cluster.silence("node-1")
    cluster.add_node(NodeOffer(name="node-2"))
    return first


def job_status(cluster: PaperCluster) -> dict[str, Any]:
    status: dict[str, Any] = cluster.store.get(JOBS, "default", "lost")["status"]
    return status


def test_a_pod_of_a_silent_node_that_nobody_speaks_for_stays_and_is_not_replaced(
    cluster: PaperCluster,
) -> None:
    first = lost_job(cluster)
    cluster.advance(150)

    (pod_left,) = cluster.pods()
    status = job_status(cluster)
    assert pod_left["metadata"]["uid"] == first["metadata"]["uid"]
    assert pod_left["metadata"]["deletionGracePeriodSeconds"] == 2
    assert pod_left["status"]["phase"] == "Running"
    assert {key: status[key] for key in status.keys() - {"startTime"}} == {
        "terminating": 1,
        "uncountedTerminatedPods": {},
        "ready": 0,
    }


def test_a_silent_node_that_is_out_of_service_gives_its_pods_up_and_the_job_goes_on(
    cluster: PaperCluster,
) -> None:
    lost_job(cluster)
    cluster.advance(150)
    seen = []
    cluster.store.subscribe(lambda event: seen.append(event) if event.resource is PODS else None)

    cluster.put_out_of_service("node-1")
    cluster.advance(40)

    failed = next(event.object for event in seen if event.object["status"].get("phase") == "Failed")
    (second,) = cluster.pods()
    assert find_condition(failed, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
    assert (second["spec"]["nodeName"], second["status"]["phase"]) == ("node-2", "Running")
    assert job_status(cluster)["active"] == 1


def test_a_pod_that_somebody_deleted_on_a_node_out_of_service_is_a_failure_to_its_job(
    cluster: PaperCluster,
) -> None:
    first = lost_job(cluster)
    cluster.store.delete(PODS, "default", first["metadata"]["name"])
    cluster.advance(60)

    cluster.put_out_of_service("node-1")
    cluster.advance(40)

    assert cluster.pods() == []
    failed = find_condition(cluster.store.get(JOBS, "default", "lost"), "Failed")
    assert failed is not None
    assert failed["reason"] == "BackoffLimitExceeded"


def test_a_node_that_answers_is_not_out_of_service_whatever_its_taints_say(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(term_seconds=None))
    pod(cluster, "deaf", terminationGracePeriodSeconds=300)
    cluster.advance(5)
    taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
    cluster.store.edit(NODES, None, "node-1", lambda node: node["spec"].update(taints=[taint]))
    cluster.advance(100)

    left = cluster.pod("deaf")
    assert left["status"]["phase"] == "Running"
    assert "deletionTimestamp" in left["metadata"]


def test_a_pod_of_a_job_that_is_deleted_before_it_has_a_node_is_a_failure_to_its_job(
    cluster: PaperCluster,
) -> None:
    huge = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1000"}}}
    spec = {
        "backoffLimit": 0,
        "podReplacementPolicy": "Failed",
        "template": {"spec": {"restartPolicy": "Never", "containers": [huge]}},
    }
    cluster.store.create(JOBS, {"metadata": {"name": "huge", "namespace": "default"}, "spec": spec})
    cluster.advance(5)
    (first,) = cluster.pods()
    cluster.store.delete(PODS, "default", first["metadata"]["name"])
    cluster.advance(1)
    held = names(cluster)
    cluster.advance(21)

    assert held == [first["metadata"]["name"]], "its Job has not counted it"
    failed = find_condition(cluster.store.get(JOBS, "default", "huge"), "Failed")
    assert failed is not None
    assert failed["reason"] == "BackoffLimitExceeded"
    assert names(cluster) == []
