"""The Roles that `airflow-spark-k8s rbac` prints: they are enough, and none of their verbs is idle."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_spark_k8s.cli import main
from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import LABEL_TASK_INSTANCE, LABEL_TI_ID
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application, ApplicationReference, Identity, Manifests
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.kube.access import RIGHTS
from airflow_spark_k8s.kube.guard import namespace_uid
from airflow_spark_k8s.kube.leftovers import LISTING_RIGHTS, find_applications
from airflow_spark_k8s.kube.node_sizes import size_warnings
from airflow_spark_k8s.kube.paths import collection_path
from airflow_spark_k8s.kube.preflight import preflight
from airflow_spark_k8s.kube.roles import CLUSTER_RIGHTS
from airflow_spark_k8s.kube.submit import driver_log, retain, submit
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authorization import RoleAuthorizer
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.exchange import User
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_spark import PaperSpark, SparkModel
from airflow_spark_k8s.local.resources import NAMESPACES
from airflow_spark_k8s.templates.quality import rendered_pods
from airflow_spark_k8s.templates.render import render
from airflow_spark_k8s.triggers.removal import remove_applications
from tests.integration.audited import AIRFLOW, Audit, apply, asked
from tests.unit.controller.harness import LoopClock, in_virtual_time

LOSES_EXECUTOR = Path(__file__).parent / "jobs" / "loses_executor.py"
NAMESPACE = "spark"
SMALL = {
    "spark.executor.instances": "2",
    "spark.executor.memory": "512m",
    "spark.driver.memory": "512m",
    "spark.kubernetes.driver.request.cores": "100m",
    "spark.kubernetes.executor.request.cores": "100m",
}


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["rbac", "--namespace", NAMESPACE, *options]) == 0
    return capsys.readouterr().out


def identity_of(name: str, try_number: int = 1) -> Identity:
    return identify("tests", "roles", name, "run", -1, try_number, f"{name}-{try_number}")


# On paper: Airflow's part, with everything that rarely happens.


class Paper:
    """A paper cluster on which Airflow has the printed Roles."""

    def __init__(self) -> None:
        loop: Any = asyncio.get_running_loop()
        self.cluster = PaperCluster(timers=loop)
        self.cluster.store.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        self.audit = Audit(RoleAuthorizer(self.cluster.store))
        self._api = Api(self.cluster.store, authorizer=self.audit, nodes=self.cluster.kubelets)
        self.spark = PaperSpark(self.cluster, SparkModel(tasks=200))
        self.airflow = InProcessCluster(self._api, User(AIRFLOW))

    async def submitted(self, manifests: Manifests, identity: Identity) -> ApplicationReference:
        uid = await namespace_uid(self.airflow, NAMESPACE)
        submitted = await submit(self.airflow, manifests, identity, sleep=asyncio.sleep)
        return replace(submitted.reference, namespace_uid=uid)

    async def controlled(self, reference: ApplicationReference, cluster: Any = None) -> Any:
        return await run(
            cluster or self.airflow,
            reference,
            clock=LoopClock(),
            report=lambda line: None,
            deadline_epoch_seconds=None,
        )

    def executors(self) -> list[Any]:
        return self.cluster.pods(NAMESPACE, "spark-role=executor")


class Deaf:
    """A client that never gets an answer to a request for a new pod."""

    def __init__(self, cluster: InProcessCluster) -> None:
        self._cluster = cluster
        self.text, self.watch = cluster.text, cluster.watch

    async def request(self, method: str, path: str, **options: Any) -> Any:
        answer = await self._cluster.request(method, path, **options)
        if method == "POST" and path.endswith("/pods"):
            await asyncio.Event().wait()
        return answer


def application() -> Application:
    return resolve(
        ApplicationRequest(
            application="local:///pi.py",
            namespace=NAMESPACE,
            image="apache/spark:4.3.0",
            conf={**SMALL, "spark.executor.memory": "8g"},
            shaping=Shaping(driver_priority_class="system-cluster-critical"),
            default_driver_service_account="spark-driver",
        )
    )


def manifests_of(identity: Identity) -> Manifests:
    return render(application(), identity, context={}, auth_secret=os.urandom(32))


async def check_before(paper: Paper) -> None:
    manifests = manifests_of(identity_of("checked"))
    await preflight(paper.airflow, manifests)
    await size_warnings(paper.airflow, rendered_pods(application(), manifests))


async def run_where_others_left_something(paper: Paper) -> None:
    identity = identity_of("runs")
    manifests = manifests_of(identity)
    for left in (manifests.secret, manifests.config_maps[0]):
        kind = {"Secret": "secrets", "ConfigMap": "configmaps"}[left["kind"]]
        path = f"/api/v1/namespaces/{NAMESPACE}/{kind}"
        await paper.cluster.client().request("POST", path, body=left)
    reference = await paper.submitted(manifests, identity)
    beside = asyncio.ensure_future(paper.controlled(reference))
    await asyncio.sleep(25)
    paper.cluster.runtime.kill(paper.executors()[0], reason="OOMKilled")
    outcome = await beside
    assert outcome.verdict is Verdict.SUCCEEDED
    await driver_log(paper.airflow, NAMESPACE, outcome.driver_pod, 10)
    await retain(paper.airflow, reference, 600)


async def go_on_after_a_triggerer_that_got_no_answer(paper: Paper) -> None:
    identity = identity_of("owed")
    reference = await paper.submitted(manifests_of(identity), identity)
    first = asyncio.ensure_future(paper.controlled(reference, Deaf(paper.airflow)))
    while not paper.executors():  # noqa: ASYNC110 (virtual time)
        await asyncio.sleep(0.1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.ensure_future(paper.controlled(reference))
    await asyncio.sleep(60)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    vanished = paper.executors()[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{vanished}"
    await paper.cluster.client().request("DELETE", path, body={"gracePeriodSeconds": 0})
    assert (await paper.controlled(reference)).verdict is Verdict.SUCCEEDED


async def meet_a_job_of_the_same_name(paper: Paper) -> None:
    identity = identity_of("taken")
    manifests = manifests_of(identity)
    labels = {**manifests.job["metadata"]["labels"], LABEL_TASK_INSTANCE: "another", LABEL_TI_ID: "another"}
    other = {**manifests.job, "metadata": {**manifests.job["metadata"], "labels": labels}}
    await paper.cluster.client().request("POST", collection_path("Job", NAMESPACE), body=other)
    with pytest.raises(InvalidConfiguration, match="is at work under this name"):
        await paper.submitted(manifests, identity)


async def be_killed(paper: Paper) -> None:
    identity = identity_of("killed")
    reference = await paper.submitted(manifests_of(identity), identity)
    assert await remove_applications(paper.airflow, NAMESPACE, identity.ti_id) == [reference.job_name]


async def look_for_leftovers(paper: Paper) -> None:
    assert (await find_applications(paper.airflow, NAMESPACE, "tests")).unlisted == ()


PATHS = (
    check_before,
    run_where_others_left_something,
    go_on_after_a_triggerer_that_got_no_answer,
    meet_a_job_of_the_same_name,
    be_killed,
    look_for_leftovers,
)


def audited(text: str) -> Audit:
    """What Airflow asked for, and was refused, over all paths, each with a cluster of its own."""
    together = Audit(SimpleNamespace(allows=None))  # type: ignore[arg-type]

    async def one(path: Any) -> None:
        paper = Paper()
        await apply(paper.cluster.client(), text)
        await path(paper)
        together.allowed.setdefault(AIRFLOW, set()).update(paper.audit.allowed[AIRFLOW])
        together.denied += paper.audit.denied

    for path in PATHS:
        in_virtual_time(one(path))
    return together


def test_airflow_needs_all_of_its_role_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    audit = audited(printed(capsys, "--cluster-role"))
    assert audit.denied == []
    assert audit.allowed[AIRFLOW] == {asked(right) for right in (*RIGHTS, *LISTING_RIGHTS, *CLUSTER_RIGHTS)}


def test_without_the_optional_rights_an_application_runs_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "--no-optional")

    async def scenario() -> None:
        paper = Paper()
        await apply(paper.cluster.client(), text)
        identity = identity_of("plain")
        manifests = manifests_of(identity)
        optional = {str(right) for right in RIGHTS if not right.required}
        warnings = await preflight(paper.airflow, manifests)
        assert {warning.partition(": ")[2] for warning in warnings} == optional
        outcome = await paper.controlled(await paper.submitted(manifests, identity))
        assert outcome.verdict is Verdict.SUCCEEDED
        assert outcome.executor_counts == {"succeeded": 2}

    in_virtual_time(scenario())
