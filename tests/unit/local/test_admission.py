from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.admission import TOKEN_PATH
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.resources import (
    JOBS,
    NAMESPACES,
    PODS,
    PRIORITY_CLASSES,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from airflow_spark_k8s.local.store import Store

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def store() -> Store:
    return Store(wall_clock=lambda: NOW, chance=random.Random(7))


def pod(*, container: Manifest | None = None, **spec: Any) -> Manifest:
    main = {"name": "main", "image": "busybox", **(container or {})}
    return {
        "metadata": {"generateName": "p-", "namespace": "default"},
        "spec": {"containers": [main], **spec},
    }


def job(*, template: Manifest | None = None, labels: Manifest | None = None, **spec: Any) -> Manifest:
    container = {"name": "main", "image": "busybox"}
    inner = {"spec": {"restartPolicy": "Never", "containers": [container], **(template or {})}}
    metadata = {"name": "j", "namespace": "default", **({"labels": labels} if labels else {})}
    return {"metadata": metadata, "spec": {"template": inner, **spec}}


def refusal(store: Store, resource: Resource, obj: Manifest) -> ApiError:
    with pytest.raises(ApiError) as refused:
        store.create(resource, obj)
    return refused.value


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        pytest.param("spark", "Always", id="no tag"),
        pytest.param("spark:latest", "Always", id="the tag latest"),
        pytest.param("registry:5000/spark", "Always", id="a port is no tag"),
        pytest.param("registry:5000/spark:4.3.0", "IfNotPresent", id="a tag"),
        pytest.param("spark@sha256:00", "IfNotPresent", id="a digest"),
    ],
)
def test_the_pull_policy_follows_the_tag(store: Store, image: str, policy: str) -> None:
    created = store.create(PODS, pod(container={"image": image}))
    assert created["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        pytest.param({}, "BestEffort", id="nothing asked for"),
        pytest.param({"requests": {"memory": "1Gi"}}, "Burstable", id="a request only"),
        pytest.param({"limits": {"memory": "1Gi"}}, "Burstable", id="no CPU"),
        pytest.param({"limits": {"memory": "1Gi", "cpu": "1"}}, "Guaranteed", id="limits become requests"),
        pytest.param(
            {"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"cpu": "500m"}},
            "Burstable",
            id="a lower request",
        ),
    ],
)
def test_the_quality_of_service_class(store: Store, resources: Manifest, quality: str) -> None:
    assert store.create(PODS, pod(container={"resources": resources}))["status"]["qosClass"] == quality


def test_a_token_is_mounted_into_every_container(store: Store) -> None:
    init = {"name": "init", "image": "busybox"}
    spec = store.create(PODS, pod(initContainers=[init]))["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["volumeMounts"] == [
            {"name": volume["name"], "mountPath": TOKEN_PATH, "readOnly": True}
        ]


@pytest.mark.parametrize(
    ("of_pod", "of_account", "mounted"),
    [
        pytest.param(None, None, True, id="nobody says anything"),
        pytest.param(None, False, False, id="the account says no"),
        pytest.param(True, False, True, id="the pod overrules the account"),
        pytest.param(False, True, False, id="the pod says no"),
    ],
)
def test_who_decides_about_the_token(
    store: Store, of_pod: bool | None, of_account: bool | None, mounted: bool
) -> None:
    account = {
        "metadata": {"name": "robot", "namespace": "default"},
        "automountServiceAccountToken": of_account,
    }
    store.create(SERVICE_ACCOUNTS, account if of_account is not None else {"metadata": account["metadata"]})
    given = pod(serviceAccountName="robot")
    if of_pod is not None:
        given["spec"]["automountServiceAccountToken"] = of_pod
    assert bool(store.create(PODS, given)["spec"].get("volumes")) is mounted


def test_own_tolerations_keep_the_default_ones_away(store: Store) -> None:
    everything = {"operator": "Exists"}
    assert store.create(PODS, pod(tolerations=[everything]))["spec"]["tolerations"] == [everything]


def test_a_priority_class_gives_its_value(store: Store) -> None:
    store.create(PRIORITY_CLASSES, {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"})
    spec = store.create(PODS, pod(priorityClassName="high"))["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (1000, "Never")


def test_the_labels_of_a_job_without_labels_are_those_of_its_template(store: Store) -> None:
    created = store.create(JOBS, job())
    uid = created["metadata"]["uid"]
    labels = {
        "batch.kubernetes.io/controller-uid": uid,
        "controller-uid": uid,
        "batch.kubernetes.io/job-name": "j",
        "job-name": "j",
    }
    assert created["metadata"]["labels"] == labels
    assert created["spec"]["template"]["metadata"]["labels"] == labels
    assert created["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def test_the_labels_of_a_job_with_labels_stay_as_they_are(store: Store) -> None:
    assert store.create(JOBS, job(labels={"own": "1"}))["metadata"]["labels"] == {"own": "1"}


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        pytest.param({}, "TerminatingOrFailed", id="without a failure policy"),
        pytest.param({"podFailurePolicy": {"rules": []}}, "Failed", id="with a failure policy"),
    ],
)
def test_the_replacement_policy_of_a_job(store: Store, spec: Manifest, policy: str) -> None:
    assert store.create(JOBS, job(**spec))["spec"]["podReplacementPolicy"] == policy


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        pytest.param(
            pod(container={"name": "A"}), "spec.containers[0].name", "lowercase RFC 1123 label", id="name"
        ),
        pytest.param(
            pod(container={"image": ""}), "spec.containers[0].image", "Required value", id="no image"
        ),
        pytest.param(
            pod(restartPolicy="Maybe"), "spec.restartPolicy", 'supported values: "Always"', id="restart"
        ),
        pytest.param(
            pod(container={"imagePullPolicy": "x"}), "spec.containers[0].imagePullPolicy", '"x"', id="pull"
        ),
        pytest.param(
            pod(container={"env": [{"name": "a=b"}]}),
            "spec.containers[0].env[0].name",
            "other than '='",
            id="env",
        ),
        pytest.param(
            pod(container={"env": [{"name": "a", "valueFrom": {"secretKeyRef": {"name": "s"}}}]}),
            "spec.containers[0].env[0].valueFrom.secretKeyRef.key",
            "Required value",
            id="a reference without key",
        ),
        pytest.param(
            pod(container={"ports": [{"containerPort": 70000}]}),
            "spec.containers[0].ports[0].containerPort",
            "between 1 and 65535",
            id="a port out of range",
        ),
        pytest.param(
            pod(container={"resources": {"limits": {"memory": "-1"}}}),
            "spec.containers[0].resources.limits[memory]",
            "greater than or equal to 0",
            id="a negative limit",
        ),
        pytest.param(
            pod(nodeSelector={"a": "b c"}), "spec.nodeSelector", "a valid label must be", id="node selector"
        ),
        pytest.param(
            pod(volumes=[{"name": "v", "secret": {}}]),
            "spec.volumes[0].secret.secretName",
            "Required",
            id="volume",
        ),
        pytest.param(
            pod(volumes=[{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]),
            "spec.volumes[0].hostPath",
            "may not specify more than 1 volume type",
            id="two volumes in one",
        ),
    ],
)
def test_what_is_wrong_with_a_pod(store: Store, given: Manifest, field: str, words: str) -> None:
    error = refusal(store, PODS, given)
    assert error.code == 422
    causes = {each["field"]: each["message"] for each in (error.details or {})["causes"]}
    assert words in causes[field]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            job(template={"restartPolicy": "Always"}), 'valid values: "OnFailure", "Never"', id="restarts"
        ),
        pytest.param(job(backoffLimit=-1), "spec.backoffLimit: Invalid value: -1", id="a negative limit"),
        pytest.param(
            job(podFailurePolicy={"rules": [{"action": "Ignore"}]}),
            "specifying one of OnExitCodes and OnPodConditions is required",
            id="a rule about nothing",
        ),
        pytest.param(
            job(podReplacementPolicy="TerminatingOrFailed", podFailurePolicy={"rules": []}),
            'Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
            id="replacement too early for a failure policy",
        ),
        pytest.param(
            job(
                podFailurePolicy={
                    "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [0]}}]
                }
            ),
            "must not be 0 for the In operator",
            id="success as a failure",
        ),
    ],
)
def test_what_is_wrong_with_a_job(store: Store, given: Manifest, message: str) -> None:
    assert message in refusal(store, JOBS, given).message


def test_a_name_too_long_for_the_pods_label_is_refused(store: Store) -> None:
    given = job()
    given["metadata"]["name"] = "x" * 64
    assert "must be no more than 63 bytes" in refusal(store, JOBS, given).message


def quota(**hard: str) -> Manifest:
    limits = {name.replace("_", "."): value for name, value in hard.items()}
    return {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": limits}}


def asking(memory: str) -> Manifest:
    return pod(container={"resources": {"limits": {"memory": memory}}})


def test_a_quota_counts_the_memory_of_pods_that_have_not_ended(store: Store) -> None:
    store.create(RESOURCE_QUOTAS, quota(limits_memory="3Gi"))
    first = store.create(PODS, asking("2Gi"))
    error = refusal(store, PODS, asking("2Gi"))
    assert error.code == 403
    assert (
        "exceeded quota: q, requested: limits.memory=2Gi, used: limits.memory=2Gi, limited: limits.memory=3Gi"
        in (error.message)
    )
    name = first["metadata"]["name"]
    store.edit(
        PODS, "default", name, lambda each: each["status"].update(phase="Failed"), subresource="status"
    )
    store.create(PODS, asking("2Gi"))


def test_a_quota_demands_that_its_resource_is_stated(store: Store) -> None:
    store.create(RESOURCE_QUOTAS, quota(memory="3Gi"))
    assert "failed quota: q: must specify memory for: main" in refusal(store, PODS, pod()).message


def test_a_quota_counts_objects_of_any_kind(store: Store) -> None:
    store.create(RESOURCE_QUOTAS, {**quota(), "spec": {"hard": {"count/secrets": "1"}}})
    store.create(SECRETS, {"metadata": {"name": "a", "namespace": "default"}})
    error = refusal(store, SECRETS, {"metadata": {"name": "b", "namespace": "default"}})
    assert "requested: count/secrets=1, used: count/secrets=1, limited: count/secrets=1" in error.message


RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param(pod(container={"securityContext": RESTRICTED}), None, id="everything is restricted"),
        pytest.param(pod(), "allowPrivilegeEscalation != false", id="nothing is said"),
        pytest.param(
            pod(
                container={"securityContext": RESTRICTED}, volumes=[{"name": "h", "hostPath": {"path": "/"}}]
            ),
            "hostPath volumes",
            id="a volume of the node",
        ),
        pytest.param(
            pod(container={"securityContext": {**RESTRICTED, "runAsUser": 0}}),
            "runAsUser=0",
            id="root by number",
        ),
    ],
)
def test_a_namespace_may_demand_restricted_pods(store: Store, given: Manifest, words: str | None) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    store.create(NAMESPACES, {"metadata": {"name": "strict", "labels": label}})
    given = {**given, "metadata": {"name": "p", "namespace": "strict"}}
    if words is None:
        store.create(PODS, given)
        return
    error = refusal(store, PODS, given)
    assert error.code == 403
    assert 'violates PodSecurity "restricted:latest"' in error.message
    assert words in error.message


IMMUTABLE = [
    pytest.param(
        PODS,
        "p",
        lambda each: each["spec"].update(nodeSelector={"a": "b"}),
        "pod updates may not change",
        id="pod",
    ),
    pytest.param(
        JOBS,
        "j",
        lambda each: each["spec"]["template"]["spec"].update(terminationGracePeriodSeconds=9),
        "field is immutable",
        id="template of a Job",
    ),
    pytest.param(
        JOBS, "j", lambda each: each["spec"].update(completions=2), "spec.completions", id="completions"
    ),
]


@pytest.mark.parametrize(("resource", "name", "change", "words"), IMMUTABLE)
def test_what_may_not_change(store: Store, resource: Resource, name: str, change: Any, words: str) -> None:
    store.create(JOBS, job())
    store.create(PODS, {**pod(), "metadata": {"name": "p", "namespace": "default"}})
    with pytest.raises(ApiError) as refused:
        store.edit(resource, "default", name, change)
    assert refused.value.code == 422
    assert words in refused.value.message


def test_a_suspended_job_may_still_be_told_where_to_run(store: Store) -> None:
    store.create(JOBS, job(suspend=True))

    def place(stored: Manifest) -> None:
        stored["spec"]["template"]["spec"]["nodeSelector"] = {"a": "b"}

    changed = store.edit(JOBS, "default", "j", place)
    assert changed["spec"]["template"]["spec"]["nodeSelector"] == {"a": "b"}
    store.edit(JOBS, "default", "j", lambda each: each["spec"].update(suspend=False))
    with pytest.raises(ApiError, match="field is immutable"):
        store.edit(JOBS, "default", "j", lambda each: each["spec"]["template"]["spec"].pop("nodeSelector"))


def test_an_object_that_is_being_deleted_gets_no_new_finalizer(store: Store) -> None:
    metadata = {"name": "s", "namespace": "default", "finalizers": ["example.com/a"]}
    store.create(SECRETS, {"metadata": metadata})
    store.delete(SECRETS, "default", "s")
    with pytest.raises(ApiError, match="no new finalizers can be added"):
        store.edit(
            SECRETS, "default", "s", lambda each: each["metadata"]["finalizers"].append("example.com/b")
        )
