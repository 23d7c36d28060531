"""The Roles that `airflow-spark-k8s rbac` prints: they are enough, and none of their verbs is idle."""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from airflow_spark_k8s.cli import main
from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import LABEL_APPLICATION, LABEL_TASK_INSTANCE, LABEL_TI_ID
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application, ApplicationReference, Identity, Manifests, UserFile
from airflow_spark_k8s.exceptions import Forbidden, InvalidConfiguration
from airflow_spark_k8s.kube.access import RIGHTS, Right
from airflow_spark_k8s.kube.guard import namespace_uid
from airflow_spark_k8s.kube.leftovers import LISTING_RIGHTS, find_applications, remove
from airflow_spark_k8s.kube.node_sizes import size_warnings
from airflow_spark_k8s.kube.paths import collection_path
from airflow_spark_k8s.kube.preflight import preflight
from airflow_spark_k8s.kube.roles import AIRFLOW_ROLE, CLUSTER_RIGHTS, DRIVER_RIGHTS
from airflow_spark_k8s.kube.submit import driver_log, retain
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authorization import RoleAuthorizer
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.exchange import User
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_spark import PaperSpark, SparkModel
from airflow_spark_k8s.local.resources import NAMESPACES, PODS
from airflow_spark_k8s.templates.quality import rendered_pods
from airflow_spark_k8s.templates.render import render
from airflow_spark_k8s.triggers.removal import remove_applications
from tests.integration.audited import AIRFLOW, DRIVER, Audit, AuditedCluster, apply, asked, audited_cluster
from tests.unit.controller.harness import LoopClock, in_virtual_time

LOSES_EXECUTOR = Path(__file__).parent / "jobs" / "loses_executor.py"
NAMESPACE = "spark"
KILLED = "The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM)."
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


# Real Spark: the whole path.


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 (neither store nor audit tell anybody)
        await asyncio.sleep(0.05)


async def submitted(cluster: Any, manifests: Manifests, identity: Identity) -> ApplicationReference:
    uid = await namespace_uid(cluster, NAMESPACE)
    done = await submit_patiently(cluster, manifests, identity, clock=SystemClock(), report=print)
    return replace(done.reference, namespace_uid=uid)


@dataclass
class Stage:
    """A cluster on which Airflow and drivers have the printed Roles."""

    cluster: AuditedCluster
    airflow: Any  # with the token of Airflow's service account

    async def submitted(self, manifests: Manifests, identity: Identity) -> ApplicationReference:
        return await submitted(self.airflow, manifests, identity)

    async def run(self) -> None:
        """From the check before the submission to the time to live after the verdict."""
        manifests, identity = with_a_lost_executor()
        lines: list[str] = []
        assert await preflight(self.airflow, manifests) == ()
        reference = await self.submitted(manifests, identity)
        outcome = await run(
            self.airflow,
            reference,
            clock=SystemClock(),
            report=lines.append,
            deadline_epoch_seconds=None,
        )
        log = await driver_log(self.airflow, NAMESPACE, outcome.driver_pod or "", 1000)
        await retain(self.airflow, reference, 600)
        assert outcome.verdict is Verdict.SUCCEEDED, "\n".join([*lines, log])
        assert outcome.executor_counts.get("failed"), "no executor was lost"
        assert ("get", "", "pods", "proxy") in self.cluster.audit.allowed[AIRFLOW]
        assert "counted 1000" in log

    async def kill(self) -> None:
        """What the trigger of a task does that is marked or cleared."""
        manifests, identity = with_a_lost_executor()
        reference = await self.submitted(manifests, identity)
        await until(lambda: self.pods(reference) == ["Running"])
        assert await remove_applications(self.airflow, NAMESPACE, identity.ti_id) == [reference.job_name]
        await until(lambda: self.pods(reference) == [])

    async def collect(self) -> None:
        """What `gc` does with an orphan."""
        manifests, identity = with_a_lost_executor()
        reference = await self.submitted(manifests, identity)
        found = (await find_applications(self.airflow, NAMESPACE, "tests")).applications
        orphans = [each for each in found if each.name == reference.application]
        assert [each.removed for each in await remove(self.airflow, NAMESPACE, orphans)] == [True]
        await until(lambda: self.pods(reference) == [])

    def pods(self, reference: ApplicationReference) -> list[str]:
        """Phases of the application's pods, as the cluster itself knows them."""
        return [
            pod["status"]["phase"]
            for pod in self.cluster.store.iterate(PODS, NAMESPACE)
            if pod["metadata"]["labels"][LABEL_APPLICATION] == reference.application
        ]


def with_a_lost_executor() -> tuple[Manifests, Identity]:
    identity = identity_of(uuid.uuid4().hex)
    request = ApplicationRequest(
        application=LOSES_EXECUTOR.name,
        user_file=UserFile(LOSES_EXECUTOR.name, LOSES_EXECUTOR.read_bytes()),
        namespace=NAMESPACE,
        image="apache/spark:4.3.0",
        conf=SMALL,
        default_driver_service_account="spark-driver",
    )
    return render(resolve(request), identity, context={}, auth_secret=os.urandom(32)), identity


@pytest.mark.spark
@pytest.mark.timeout(900)  # Spark takes minutes on a machine that has much else to do
async def test_the_whole_path_with_the_printed_roles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with audited_cluster(tmp_path, NAMESPACE) as cluster:
        async with await cluster.as_admin() as administrator:
            await apply(administrator, printed(capsys, "--cluster-role"))
        async with await cluster.as_account("airflow", "airflow") as airflow:
            stage = Stage(cluster, airflow)
            await stage.run()
            await stage.kill()
            await stage.collect()
    assert cluster.audit.denied == []
    assert cluster.audit.allowed[DRIVER] == {asked(right) for right in DRIVER_RIGHTS}


# On paper: Airflow's part, with everything that rarely happens.


class Paper:
    """A paper cluster on which Airflow has the printed Roles."""

    def __init__(self) -> None:
        loop: Any = asyncio.get_running_loop()
        self.cluster = PaperCluster(timers=loop)
        self.cluster.store.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        self.audit = Audit(RoleAuthorizer(self.cluster.store))
        self._api = Api(self.cluster.store, authorizer=self.audit, nodes=self.cluster.kubelets)
        self.spark = PaperSpark(self.cluster, SparkModel(tasks=200, remove_reason=KILLED))
        self.airflow = InProcessCluster(self._api, User(AIRFLOW))

    async def submitted(self, manifests: Manifests, identity: Identity) -> ApplicationReference:
        return await submitted(self.airflow, manifests, identity)

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


class CutOff:
    """A client that never gets an answer to a request for a new pod, which may not even have been sent."""

    def __init__(self, cluster: InProcessCluster, *, sends: bool) -> None:
        self._cluster, self._sends = cluster, sends
        self.text, self.watch = cluster.text, cluster.watch
        self.waits = False

    async def request(self, method: str, path: str, **options: Any) -> Any:
        is_creation = method == "POST" and path.endswith("/pods")
        if not is_creation or self._sends:
            answer = await self._cluster.request(method, path, **options)
        if is_creation:
            self.waits = True
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


async def cut_off(paper: Paper, reference: ApplicationReference, *, sends: bool) -> None:
    """A triggerer that is gone before it knows what became of the executors it asked for."""
    client = CutOff(paper.airflow, sends=sends)
    first = asyncio.ensure_future(paper.controlled(reference, client))
    await until(lambda: client.waits)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def go_on_after_a_triggerer_that_got_no_answer(paper: Paper) -> None:
    identity = identity_of("owed")
    reference = await paper.submitted(manifests_of(identity), identity)
    await cut_off(paper, reference, sends=True)
    second = asyncio.ensure_future(paper.controlled(reference))
    await asyncio.sleep(60)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    vanished = paper.executors()[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{vanished}"
    await paper.cluster.client().request("DELETE", path, body={"gracePeriodSeconds": 0})
    assert (await paper.controlled(reference)).verdict is Verdict.SUCCEEDED


async def go_on_after_a_triggerer_that_did_not_get_to_asking(paper: Paper) -> None:
    identity = identity_of("unsent")
    reference = await paper.submitted(manifests_of(identity), identity)
    await cut_off(paper, reference, sends=False)
    assert (await paper.controlled(reference)).verdict is Verdict.SUCCEEDED


async def be_started_again(paper: Paper) -> None:
    identity = identity_of("again")
    reference = await paper.submitted(manifests_of(identity), identity)
    beside = asyncio.ensure_future(paper.controlled(reference))
    await asyncio.sleep(25)
    (driver,) = paper.cluster.pods(NAMESPACE, "spark-role=driver")
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{driver['metadata']['name']}"
    await paper.cluster.client().request("DELETE", path)
    outcome = await beside
    assert (outcome.verdict, outcome.driver_restarts) == (Verdict.SUCCEEDED, 1)
    assert outcome.job_name.endswith("-r1")


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
    go_on_after_a_triggerer_that_did_not_get_to_asking,
    be_started_again,
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


def without(text: str, right: Right) -> str:
    """The printed objects, Airflow's Role without that one verb."""
    objects = list(yaml.safe_load_all(text))
    (role,) = [each for each in objects if each["metadata"]["name"] == AIRFLOW_ROLE and "rules" in each]
    rules = [rule for rule in role["rules"] if rule["resources"] == [right.resource]]
    (rule,) = [rule for rule in rules if right.verb in rule["verbs"]]
    rule["verbs"].remove(right.verb)
    return yaml.safe_dump_all(objects)


def test_without_any_one_of_the_others_nothing_is_created(capsys: pytest.CaptureFixture[str]) -> None:
    text, manifests = printed(capsys), manifests_of(identity_of("refused"))

    async def refused(right: Right) -> None:
        paper = Paper()
        await apply(paper.cluster.client(), without(text, right))
        with pytest.raises(Forbidden, match=re.escape(str(right))):
            await preflight(paper.airflow, manifests)
        assert paper.audit.allowed == {}, "it went on"

    for right in RIGHTS:
        if right.required:
            in_virtual_time(refused(right))


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
