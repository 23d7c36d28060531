"""Submission, observation and removal against an API server, with drivers that only say hello."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import (
    ANNOTATION_SPEC_HASH,
    LABEL_APPLICATION,
    LABEL_DEPLOYMENT,
    labels_of,
)
from airflow_spark_k8s.core.spec import Identity, Manifests
from airflow_spark_k8s.exceptions import (
    Invalid,
    InvalidConfiguration,
    InvalidTemplate,
    NotFound,
    Unauthorized,
)
from airflow_spark_k8s.hooks.spark_kubernetes import connection_settings
from airflow_spark_k8s.kube.access import missing_rights
from airflow_spark_k8s.kube.by_uid import delete
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.kube.preflight import preflight
from airflow_spark_k8s.kube.spark_rest import NotYet, SparkRest
from airflow_spark_k8s.kube.submit import Submitted, driver_log, retain
from airflow_spark_k8s.kube.watch import Changed, Interrupted, Listed, watch_objects
from airflow_spark_k8s.local.pytest_plugin import SparkCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

HELLO = "echo line 1; echo line 2; echo hello"
ENDLESS = "echo started; sleep 600 & wait"
DEPLOYMENT = f"tests-{uuid.uuid4().hex[:8]}"  # others may be at work in the same namespace


@pytest.fixture
async def cluster(spark_cluster: SparkCluster) -> AsyncIterator[ApiServer]:
    settings = connection_settings(spark_cluster.connection_extra())
    async with await ApiServer.open(settings.cluster) as opened:
        yield opened
        params = {"labelSelector": f"{LABEL_DEPLOYMENT}={DEPLOYMENT}"}
        answer = await opened.request("GET", collection_path("Job", spark_cluster.namespace), params=params)
        for job in answer["items"]:
            path = object_path("Job", spark_cluster.namespace, job["metadata"]["name"])
            await delete(opened, path, job["metadata"]["uid"])


@pytest.fixture
def run_id() -> str:
    return f"run-{uuid.uuid4()}"


def identity_of(run_id: str, try_number: int = 1) -> Identity:
    return identify(DEPLOYMENT, "dag", "task", run_id, -1, try_number, f"ti-{uuid.uuid4()}")


def manifests_of(
    identity: Identity, spark_cluster: SparkCluster, script: str, *, spec_hash: str = "hash"
) -> Manifests:
    labels = labels_of(identity)

    def metadata(suffix: str) -> dict[str, Any]:
        name = f"{identity.application}-{suffix}"
        return {"name": name, "namespace": spark_cluster.namespace, "labels": dict(labels)}

    def pod(container: str) -> dict[str, Any]:
        return {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": container,
                    "image": spark_cluster.spark_image,
                    "command": ["bash", "-c", script],
                    "env": [],
                }
            ],
        }

    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata("r0"), "annotations": {ANNOTATION_SPEC_HASH: spec_hash}},
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 86400,
            "template": {
                "metadata": {"labels": {**labels, "spark-role": "driver"}},
                "spec": pod("spark-kubernetes-driver"),
            },
        },
    }
    executor = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": spark_cluster.namespace,
            "labels": {**labels, "spark-role": "executor"},
        },
        "spec": pod("spark-kubernetes-executor"),
    }
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("app"), "data": {"a": "b"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("conf"), "data": {"a": "eA=="}}
    return Manifests(job, (config_map,), executor, spec_hash, secret)


async def submitted(cluster: ApiServer, manifests: Manifests, identity: Identity) -> Submitted:
    return await submit_patiently(cluster, manifests, identity, clock=SystemClock(), report=print)


async def seen(
    cluster: ApiServer,
    kind: str,
    namespace: str,
    application: str,
    enough: Callable[[dict[str, dict[str, Any]]], bool],
) -> dict[str, dict[str, Any]]:
    """The application's objects of one kind, by name, once they are as they should be."""
    known: dict[str, dict[str, Any]] = {}
    source = watch_objects(
        cluster,
        collection_path(kind, namespace),
        sleep=asyncio.sleep,
        jitter=lambda: 0.0,
        label_selector=f"{LABEL_APPLICATION}={application}",
    )
    async with aclosing(source) as updates:
        async for update in updates:
            match update:
                case Listed(objects):
                    known = {obj["metadata"]["name"]: obj for obj in objects}
                case Changed("DELETED", obj):
                    known.pop(obj["metadata"]["name"], None)
                case Changed(_, obj):
                    known[obj["metadata"]["name"]] = obj
                case Interrupted(error):
                    raise error
            if enough(known):
                return known
    raise AssertionError("a watch never ends by itself")


def in_phase(phase: str) -> Callable[[dict[str, dict[str, Any]]], bool]:
    return lambda pods: [pod.get("status", {}).get("phase") for pod in pods.values()] == [phase]


def nothing(objects: dict[str, dict[str, Any]]) -> bool:
    return not objects


async def test_an_application_runs_says_its_lines_and_goes_with_all_it_owns(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    identity, namespace = identity_of(run_id), spark_cluster.namespace
    manifests = manifests_of(identity, spark_cluster, HELLO)
    assert await preflight(cluster, manifests) == ()
    result = await submitted(cluster, manifests, identity)
    assert result.how == "created"
    pods = await seen(cluster, "Pod", namespace, identity.application, in_phase("Succeeded"))
    assert await driver_log(cluster, namespace, next(iter(pods)), 2) == "line 2\nhello\n"
    await retain(cluster, result.reference, 0)
    for kind in ("Pod", "ConfigMap", "Secret", "Job"):
        await seen(cluster, kind, namespace, identity.application, nothing)
    with pytest.raises(NotFound):
        await driver_log(cluster, namespace, next(iter(pods)), 2)


async def test_retention_is_set_on_a_job_that_has_ended(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    identity = identity_of(run_id)
    result = await submitted(cluster, manifests_of(identity, spark_cluster, HELLO), identity)
    await seen(cluster, "Pod", spark_cluster.namespace, identity.application, in_phase("Succeeded"))
    await retain(cluster, result.reference, 3600)
    path = object_path("Job", spark_cluster.namespace, result.reference.job_name)
    assert (await cluster.request("GET", path))["spec"]["ttlSecondsAfterFinished"] == 3600


async def test_the_next_try_takes_a_running_application_over(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    first, second = identity_of(run_id, 1), identity_of(run_id, 2)
    before = await submitted(cluster, manifests_of(first, spark_cluster, ENDLESS), first)
    await seen(cluster, "Pod", spark_cluster.namespace, first.application, in_phase("Running"))
    after = await submitted(cluster, manifests_of(second, spark_cluster, ENDLESS), second)
    assert after.how == "adopted from try 1"
    assert after.reference.job_uid == before.reference.job_uid
    again = await submitted(cluster, manifests_of(second, spark_cluster, ENDLESS), second)
    assert (again.how, again.reference) == ("adopted", after.reference)


async def test_the_next_try_with_another_specification_waits_for_the_old_driver_to_end(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    first, second = identity_of(run_id, 1), identity_of(run_id, 2)
    await submitted(cluster, manifests_of(first, spark_cluster, ENDLESS), first)
    await seen(cluster, "Pod", spark_cluster.namespace, first.application, in_phase("Running"))
    other = manifests_of(second, spark_cluster, ENDLESS, spec_hash="other")
    assert (await submitted(cluster, other, second)).how == "created"
    path = collection_path("Pod", spark_cluster.namespace)
    selector = {"labelSelector": f"{LABEL_APPLICATION}={first.application}"}
    left = (await cluster.request("GET", path, params=selector))["items"]
    assert [pod for pod in left if pod["status"]["phase"] in ("Pending", "Running")] == []


# The calls that change something: Job, ConfigMap, Secret, resumption.
@pytest.mark.parametrize("calls", [3, 4, 5, 6])
async def test_a_submission_that_is_cut_off_after_a_call_is_completed(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str, calls: int
) -> None:
    identity = identity_of(run_id)
    manifests = manifests_of(identity, spark_cluster, HELLO)
    with pytest.raises(asyncio.CancelledError):
        await submitted(_Mortal(cluster, calls), manifests, identity)  # type: ignore[arg-type]
    result = await submitted(cluster, manifests, identity)
    assert result.how == "adopted"
    pods = await seen(cluster, "Pod", spark_cluster.namespace, identity.application, in_phase("Succeeded"))
    assert len(pods) == 1


class _Mortal:
    """A client whose process dies after some calls."""

    def __init__(self, cluster: ApiServer, calls: int) -> None:
        self._cluster = cluster
        self._calls = calls

    async def request(self, method: str, path: str, **options: Any) -> Any:
        answer = await self._cluster.request(method, path, **options)
        self._calls -= 1
        if self._calls == 0:
            raise asyncio.CancelledError
        return answer


async def test_a_missing_service_account_is_told_before_anything_is_created(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    identity = identity_of(run_id)
    manifests = manifests_of(identity, spark_cluster, HELLO)
    manifests.job["spec"]["template"]["spec"]["serviceAccountName"] = "no-such-account"
    with pytest.raises(InvalidConfiguration, match="serviceAccountName='no-such-account'"):
        await preflight(cluster, manifests)
    await seen(cluster, "Job", spark_cluster.namespace, identity.application, nothing)


async def test_a_missing_priority_class_is_told(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    manifests = manifests_of(identity_of(run_id), spark_cluster, HELLO)
    manifests.executor["spec"]["priorityClassName"] = "no-such-class"
    with pytest.raises(InvalidConfiguration, match="priorityClassName='no-such-class'"):
        await preflight(cluster, manifests)


async def test_an_unknown_field_is_told(cluster: ApiServer, spark_cluster: SparkCluster, run_id: str) -> None:
    manifests = manifests_of(identity_of(run_id), spark_cluster, HELLO)
    manifests.job["spec"]["template"]["spec"]["nodeSelektor"] = {}
    with pytest.raises(InvalidTemplate, match="nodeSelektor"):
        await preflight(cluster, manifests)


async def test_a_missing_namespace_is_told(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    manifests = manifests_of(identity_of(run_id), spark_cluster, HELLO)
    manifests.job["metadata"]["namespace"] = "no-such-namespace"
    with pytest.raises(InvalidConfiguration, match="namespace='no-such-namespace'"):
        await preflight(cluster, manifests)


async def test_the_connection_has_all_rights(cluster: ApiServer, spark_cluster: SparkCluster) -> None:
    assert await missing_rights(cluster, spark_cluster.namespace) == ()


async def test_a_driver_without_a_ui_does_not_answer_yet(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    identity = identity_of(run_id)
    await submitted(cluster, manifests_of(identity, spark_cluster, ENDLESS), identity)
    pods = await seen(cluster, "Pod", spark_cluster.namespace, identity.application, in_phase("Running"))
    name = next(iter(pods))
    spark = SparkRest(cluster, spark_cluster.namespace, name, name)
    assert await spark.application() == NotYet("the driver's UI port is not open")


async def test_a_log_that_has_not_begun_is_refused(
    cluster: ApiServer, spark_cluster: SparkCluster, run_id: str
) -> None:
    identity = identity_of(run_id)
    manifests = manifests_of(identity, spark_cluster, HELLO)
    template = manifests.job["spec"]["template"]["spec"]
    template["containers"][0]["envFrom"] = [{"configMapRef": {"name": "no-such-map"}}]
    await submitted(cluster, manifests, identity)
    waiting = "CreateContainerConfigError"
    pods = await seen(
        cluster,
        "Pod",
        spark_cluster.namespace,
        identity.application,
        lambda pods: waiting in str([pod.get("status") for pod in pods.values()]),
    )
    with pytest.raises(Invalid, match="waiting to start"):
        await driver_log(cluster, spark_cluster.namespace, next(iter(pods)), 5)


async def test_a_wrong_token_is_unauthorized(spark_cluster: SparkCluster) -> None:
    settings = connection_settings(spark_cluster.connection_extra())
    async with await ApiServer.open(settings.cluster) as good:
        host = good.host
    kubeconfig = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": host, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "a", "user": {"token": "wrong"}}],
    }
    wrong = connection_settings({"kube_config": kubeconfig})
    async with await ApiServer.open(wrong.cluster) as cluster:
        with pytest.raises(Unauthorized):
            await cluster.request("GET", collection_path("Pod", spark_cluster.namespace))
