"""Claims and volumes: what binds, what is made, and what goes with its pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_spark_k8s.local.conditions import find_condition
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.resources import (
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)

NAMESPACE = "default"
SIZE = {"resources": {"requests": {"storage": "1Gi"}}}


@pytest.fixture
def cluster() -> PaperCluster:
    return PaperCluster()


def claim_spec(mode: str = "ReadWriteOnce", **more: Any) -> dict[str, Any]:
    return {"accessModes": [mode], **SIZE, **more}


def claim(cluster: PaperCluster, name: str = "data", **spec: Any) -> None:
    body = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": claim_spec(**spec)}
    cluster.store.create(PERSISTENT_VOLUME_CLAIMS, body)


def volume(cluster: PaperCluster, name: str, size: str = "1Gi", **spec: Any) -> None:
    body = {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/srv"},
            **spec,
        },
    }
    cluster.store.create(PERSISTENT_VOLUMES, body)


def storage_class(cluster: PaperCluster, name: str, **fields: Any) -> None:
    body = {"metadata": {"name": name}, "provisioner": "airflow-spark-k8s/local", **fields}
    cluster.store.create(STORAGE_CLASSES, body)


def pod(cluster: PaperCluster, name: str, source: Mapping[str, Any], **spec: Any) -> None:
    body = {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "containers": [{"name": "main", "image": "i"}],
            "volumes": [{"name": "v", **source}],
            **spec,
        },
    }
    cluster.store.create(PODS, body)


def using(name: str = "data") -> dict[str, Any]:
    return {"persistentVolumeClaim": {"claimName": name}}


def ephemeral(**spec: Any) -> dict[str, Any]:
    metadata = {"labels": {"team": "red"}, "annotations": {"note": "scratch"}}
    return {"ephemeral": {"volumeClaimTemplate": {"metadata": metadata, "spec": claim_spec(**spec)}}}


def stored(cluster: PaperCluster, name: str = "data") -> dict[str, Any]:
    return cluster.store.get(PERSISTENT_VOLUME_CLAIMS, NAMESPACE, name)


def why_pending(cluster: PaperCluster, name: str) -> str:
    condition = find_condition(cluster.pod(name), "PodScheduled")
    assert condition is not None
    assert condition["reason"] == "Unschedulable"
    return str(condition["message"])


def events(cluster: PaperCluster) -> list[tuple[str, str]]:
    return [(event["reason"], event["message"]) for event in cluster.store.list(EVENTS)]


def test_a_claim_gets_the_default_class_and_a_volume_of_its_own(cluster: PaperCluster) -> None:
    claim(cluster)
    cluster.advance(1)

    found = stored(cluster)
    name = f"pvc-{found['metadata']['uid']}"
    assert found["spec"]["storageClassName"] == "standard"
    assert found["spec"]["volumeName"] == name
    assert found["status"] == {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
    }
    behind = cluster.store.get(PERSISTENT_VOLUMES, None, name)
    assert behind["status"]["phase"] == "Bound"
    assert behind["spec"]["claimRef"]["uid"] == found["metadata"]["uid"]
    assert ("ProvisioningSucceeded", f"Successfully provisioned volume {name}") in events(cluster)


def test_a_claim_without_class_takes_the_smallest_volume_that_fits(cluster: PaperCluster) -> None:
    for name, size in (("large", "9Gi"), ("small", "2Gi"), ("tiny", "1Mi")):
        volume(cluster, name, size)
    claim(cluster, storageClassName="")
    cluster.advance(1)

    assert stored(cluster)["spec"]["volumeName"] == "small"
    assert stored(cluster)["status"]["capacity"] == {"storage": "2Gi"}


def test_a_claim_waits_for_the_volume_that_it_names(cluster: PaperCluster) -> None:
    volume(cluster, "other")
    claim(cluster, storageClassName="", volumeName="mine")
    cluster.advance(1)
    waited = stored(cluster)["status"]["phase"]
    volume(cluster, "mine")
    cluster.advance(1)

    assert waited == "Pending"
    assert stored(cluster)["status"]["phase"] == "Bound"


def test_a_volume_that_is_kept_for_another_claim_is_not_taken(cluster: PaperCluster) -> None:
    volume(cluster, "kept", claimRef={"namespace": NAMESPACE, "name": "other"})
    claim(cluster, storageClassName="")
    claim(cluster, "other", storageClassName="")
    cluster.advance(1)

    assert stored(cluster)["status"]["phase"] == "Pending"
    assert stored(cluster, "other")["spec"]["volumeName"] == "kept"


PENDING = {
    "no class and no volume": (
        {"storageClassName": ""},
        "FailedBinding",
        "no persistent volumes available for this claim and no storage class is set",
    ),
    "an unknown class": (
        {"storageClassName": "fast"},
        "ProvisioningFailed",
        'storageclass.storage.k8s.io "fast" not found',
    ),
    "a class that waits for a pod": (
        {"storageClassName": "late"},
        "WaitForFirstConsumer",
        "waiting for first consumer to be created before binding",
    ),
    "a provisioner that is not here": (
        {"storageClassName": "disks"},
        "ExternalProvisioning",
        "Waiting for a volume to be created either by the external provisioner 'disks.example.com'",
    ),
}


@pytest.mark.parametrize(("spec", "reason", "message"), PENDING.values(), ids=PENDING)
def test_claims_that_stay_pending(
    cluster: PaperCluster, spec: dict[str, Any], reason: str, message: str
) -> None:
    storage_class(cluster, "late", volumeBindingMode="WaitForFirstConsumer")
    storage_class(cluster, "disks", provisioner="disks.example.com")
    claim(cluster, **spec)
    cluster.advance(1)

    assert stored(cluster)["status"] == {"phase": "Pending"}
    assert any(found == reason and text.startswith(message) for found, text in events(cluster))


def test_the_first_pod_brings_a_claim_that_waited_for_it_its_volume(cluster: PaperCluster) -> None:
    storage_class(cluster, "late", volumeBindingMode="WaitForFirstConsumer")
    claim(cluster, storageClassName="late")
    cluster.advance(1)
    pod(cluster, "p", using())
    cluster.advance(5)

    assert stored(cluster)["status"]["phase"] == "Bound"
    assert cluster.pod("p")["status"]["phase"] == "Running"


BAD_CLAIMS = {
    "no access mode": ({"accessModes": []}, "spec.accessModes: Required value: at least 1 access mode"),
    "an unknown access mode": ({"accessModes": ["Shared"]}, 'spec.accessModes: Unsupported value: "Shared"'),
    "one pod only, and others": (
        {"accessModes": ["ReadWriteOncePod", "ReadWriteMany"]},
        "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
    ),
    "no size": ({"resources": {}}, r"spec.resources\[storage\]: Required value"),
    "a size of nothing": (
        {"resources": {"requests": {"storage": "0"}}},
        r'spec.resources\[storage\]: Invalid value: "0": must be greater than zero',
    ),
}


@pytest.mark.parametrize(("spec", "message"), BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_claims_that_are_refused(cluster: PaperCluster, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        claim(cluster, **spec)
    with pytest.raises(ApiError, match=f"volumeClaimTemplate.{message}"):
        pod(cluster, "p", ephemeral(**spec))


def test_an_ephemeral_volume_is_a_claim_that_goes_with_its_pod(cluster: PaperCluster) -> None:
    pod(cluster, "p", ephemeral())
    cluster.advance(5)
    found = stored(cluster, "p-v")

    assert cluster.pod("p")["status"]["phase"] == "Running"
    assert found["status"]["phase"] == "Bound"
    assert found["metadata"]["labels"] == {"team": "red"}
    assert found["metadata"]["annotations"]["note"] == "scratch"
    assert found["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "p",
            "uid": cluster.pod("p")["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]

    cluster.store.delete(PODS, NAMESPACE, "p", grace_seconds=0)
    cluster.advance(5)
    assert cluster.store.list(PERSISTENT_VOLUME_CLAIMS) == []
    assert cluster.store.list(PERSISTENT_VOLUMES) == []


def test_somebody_elses_claim_is_not_taken_for_an_ephemeral_volume(cluster: PaperCluster) -> None:
    claim(cluster, "p-v")
    pod(cluster, "p", ephemeral())
    cluster.advance(5)

    why = "PVC default/p-v was not created for pod default/p (pod is not owner)"
    assert why_pending(cluster, "p").startswith(f"0/1 nodes are available: {why}. ")
    assert ("FailedBinding", f"ephemeral volume v: {why}") in events(cluster)
    cluster.store.delete(PERSISTENT_VOLUME_CLAIMS, NAMESPACE, "p-v")
    cluster.advance(120)
    assert cluster.pod("p")["status"]["phase"] == "Running"


UNSCHEDULABLE = {
    "no such claim": (using("nope"), 'persistentvolumeclaim "nope" not found'),
    "a claim without volume": (using("pending"), "pod has unbound immediate PersistentVolumeClaims"),
    "a claim that is being deleted": (using("going"), 'persistentvolumeclaim "going" is being deleted'),
}


@pytest.mark.parametrize(("source", "why"), UNSCHEDULABLE.values(), ids=UNSCHEDULABLE)
def test_pods_that_wait_for_their_claims(cluster: PaperCluster, source: dict[str, Any], why: str) -> None:
    claim(cluster, "pending", storageClassName="")
    claim(cluster, "going")
    cluster.advance(1)
    pod(cluster, "user", using("going"))
    cluster.advance(2)
    cluster.store.delete(PERSISTENT_VOLUME_CLAIMS, NAMESPACE, "going")
    pod(cluster, "p", source)
    cluster.advance(2)

    help_ = "1 Preemption is not helpful for scheduling"
    head = "0/1 nodes are available: "
    assert why_pending(cluster, "p") == (
        f"{head}{why}. no new claims to deallocate, preemption: {head}{help_}."
    )


def test_a_pod_runs_once_its_claim_is_there(cluster: PaperCluster) -> None:
    pod(cluster, "p", using())
    cluster.advance(2)
    claim(cluster)
    cluster.advance(3)

    assert cluster.pod("p")["status"]["phase"] == "Running"


def test_a_deleted_claim_stays_while_a_pod_uses_it(cluster: PaperCluster) -> None:
    claim(cluster)
    pod(cluster, "p", using())
    cluster.advance(3)
    cluster.store.delete(PERSISTENT_VOLUME_CLAIMS, NAMESPACE, "data")
    cluster.advance(3)
    kept = stored(cluster)["metadata"]["finalizers"]
    cluster.store.delete(PODS, NAMESPACE, "p", grace_seconds=0)
    cluster.advance(3)

    assert kept == ["kubernetes.io/pvc-protection"]
    assert cluster.store.find(PERSISTENT_VOLUME_CLAIMS, NAMESPACE, "data") is None


def test_a_volume_that_is_to_be_kept_outlives_its_claim(cluster: PaperCluster) -> None:
    volume(cluster, "mine")
    claim(cluster, storageClassName="")
    cluster.advance(1)
    cluster.store.delete(PERSISTENT_VOLUME_CLAIMS, NAMESPACE, "data")
    cluster.advance(1)

    assert cluster.store.get(PERSISTENT_VOLUMES, None, "mine")["status"]["phase"] == "Released"


def test_only_one_pod_uses_a_claim_that_is_for_one_pod() -> None:
    cluster = PaperCluster(nodes=[NodeOffer(name="a"), NodeOffer(name="b")])
    claim(cluster, mode="ReadWriteOncePod")
    cluster.advance(1)
    pod(cluster, "first", using())
    pod(cluster, "second", using())
    cluster.advance(2)

    conflict = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    assert why_pending(cluster, "second").startswith(f"0/2 nodes are available: 2 {conflict}. ")
    cluster.store.delete(PODS, NAMESPACE, "first", grace_seconds=0)
    cluster.advance(5)
    assert cluster.pod("second")["status"]["phase"] == "Running"


NOT_MOUNTED = {
    "nfs": (
        {"nfs": {"server": "files.example.com", "path": "/exports"}},
        "mount failed: the local cluster cannot mount volumes of the kind nfs",
    ),
    "a driver that is not here": (
        {"csi": {"driver": "disks.example.com"}},
        "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name disks.example.com "
        "not found in the list of registered CSI drivers",
    ),
}


@pytest.mark.parametrize(("source", "why"), NOT_MOUNTED.values(), ids=NOT_MOUNTED)
def test_volumes_that_no_node_can_mount_keep_their_pod_pending(
    cluster: PaperCluster, source: dict[str, Any], why: str
) -> None:
    pod(cluster, "p", source)
    cluster.advance(2)

    assert cluster.pod("p")["status"]["phase"] == "Pending"
    assert ("FailedMount", f'MountVolume.SetUp failed for volume "v" : {why}') in events(cluster)


BAD_VOLUMES = {
    "nfs without server": ({"nfs": {"path": "/x"}}, r"spec.volumes\[0\].nfs.server: Required value"),
    "nfs with a relative path": (
        {"nfs": {"server": "s", "path": "x"}},
        r'spec.volumes\[0\].nfs.path: Invalid value: "x": must be an absolute path',
    ),
    "hostPath of an unknown type": (
        {"hostPath": {"path": "/x", "type": "Folder"}},
        r'spec.volumes\[0\].hostPath.type: Unsupported value: "Folder"',
    ),
    "hostPath with back steps": (
        {"hostPath": {"path": "/x/../y"}},
        r"spec.volumes\[0\].hostPath.path: Invalid value: .*must not contain '..'",
    ),
    "two kinds in one": (
        {"hostPath": {"path": "/x"}, "emptyDir": {}},
        r"spec.volumes\[0\].emptyDir: Forbidden: may not specify more than 1 volume type",
    ),
    "ephemeral without template": (
        {"ephemeral": {}},
        r"spec.volumes\[0\].ephemeral.volumeClaimTemplate: Required value",
    ),
    "a negative size": (
        {"emptyDir": {"sizeLimit": "-1"}},
        r"spec.volumes\[0\].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
    ),
}


@pytest.mark.parametrize(("source", "message"), BAD_VOLUMES.values(), ids=BAD_VOLUMES)
def test_volumes_that_are_refused(cluster: PaperCluster, source: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message):
        pod(cluster, "p", source)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        pytest.param({"subPath": "/a"}, "subPath: Invalid value.*must be a relative path", id="absolute"),
        pytest.param({"subPath": "a/../b"}, "must not contain '..'", id="back steps"),
        pytest.param(
            {"subPath": "a", "subPathExpr": "b"}, "subPathExpr and subPath are mutually exclusive", id="both"
        ),
    ],
)
def test_mounts_that_are_refused(cluster: PaperCluster, mount: dict[str, Any], message: str) -> None:
    mounts = [{"name": "v", "mountPath": "/v", **mount}]
    container = {"name": "main", "image": "i", "volumeMounts": mounts}
    with pytest.raises(ApiError, match=message):
        pod(cluster, "p", {"emptyDir": {}}, containers=[container])


def test_fields_that_say_nothing_are_not_kept(cluster: PaperCluster) -> None:
    mount = {"name": "v", "mountPath": "/v", "readOnly": False, "subPath": "", "subPathExpr": ""}
    container = {"name": "main", "image": "i", "volumeMounts": [mount]}
    pod(cluster, "p", {"emptyDir": {"medium": ""}}, containers=[container])
    spec = cluster.pod("p")["spec"]

    assert spec["containers"][0]["volumeMounts"][0] == {"name": "v", "mountPath": "/v"}
    assert spec["volumes"][0] == {"name": "v", "emptyDir": {}}
