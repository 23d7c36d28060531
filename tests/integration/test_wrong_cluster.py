"""A connection that leads to another cluster than before: it is noticed, and nothing is touched there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_spark_k8s.controller.loop import run
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import ClusterUnreachable, WrongCluster
from airflow_spark_k8s.kube.guard import guarded, namespace_uid
from airflow_spark_k8s.kube.submit import submit
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authorization import RoleAuthorizer
from airflow_spark_k8s.local.client import ADMIN, InProcessCluster
from airflow_spark_k8s.local.exchange import User
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_spark import PaperSpark, SparkModel
from airflow_spark_k8s.local.resources import NAMESPACES
from airflow_spark_k8s.templates.render import render
from tests.integration.audited import Asked, Audit
from tests.unit.controller.harness import LoopClock, in_virtual_time

NAMESPACE = "spark"
LOOK = ("get", "", "namespaces", "")


class Paper:
    """A cluster on paper that keeps a record of what it is asked."""

    def __init__(self, namespace: str = NAMESPACE, seed: int = 0) -> None:
        loop: Any = asyncio.get_running_loop()
        self.cluster = PaperCluster(timers=loop, seed=seed)
        self.cluster.store.create(NAMESPACES, {"metadata": {"name": namespace}})
        self.audit = Audit(RoleAuthorizer(self.cluster.store))
        api = Api(self.cluster.store, authorizer=self.audit, nodes=self.cluster.kubelets)
        self.spark = PaperSpark(self.cluster, SparkModel(tasks=200))
        self.client = InProcessCluster(api)

    @property
    def asked(self) -> set[Asked]:
        return self.audit.allowed.get(ADMIN.name, set())


@dataclass
class Connection:
    """Leads to one cluster, and to another one from some moment on."""

    leads_to: Any
    failing: bool = False
    generation: int = 0
    closed: bool = field(default=False)

    async def request(self, method: str, path: str, **options: Any) -> Any:
        if self.failing:
            raise ClusterUnreachable("connection refused")
        return await self.leads_to.client.request(method, path, **options)

    async def text(self, path: str, **options: Any) -> str:
        if self.failing:
            raise ClusterUnreachable("connection refused")
        text: str = await self.leads_to.client.text(path, **options)
        return text

    async def watch(self, path: str, **options: Any) -> AsyncIterator[Any]:
        if self.failing:
            raise ClusterUnreachable("connection refused")
        async for event in self.leads_to.client.watch(path, **options):
            if self.failing:
                raise ClusterUnreachable("connection reset")
            yield event

    async def close(self) -> None:
        self.closed = True


async def submitted(paper: Paper) -> ApplicationReference:
    request = ApplicationRequest(
        application="local:///pi.py",
        namespace=NAMESPACE,
        image="apache/spark:4.3.0",
        conf={"spark.executor.instances": "3"},
    )
    identity = identify("tests", "guard", "task", "run", -1, 1, "ti-1")
    manifests = render(resolve(request), identity, context={}, auth_secret=os.urandom(32))
    uid = await namespace_uid(paper.client, NAMESPACE)
    reference = (await submit(paper.client, manifests, identity)).reference
    return ApplicationReference(
        reference.namespace, reference.application, reference.job_name, reference.job_uid, "ti-1", uid
    )


async def watched(connection: Connection, reference: ApplicationReference) -> Outcome:
    cluster = guarded(connection, reference, generation=lambda: connection.generation)
    return await run(
        cluster, reference, clock=LoopClock(), report=lambda line: None, deadline_epoch_seconds=None
    )


def test_a_trigger_whose_connection_leads_elsewhere_stops_and_touches_nothing() -> None:
    async def main() -> None:
        ours, other = Paper(), Paper(seed=1)
        reference = await submitted(ours)
        with pytest.raises(WrongCluster, match=r"another cluster .* nothing was touched") as raised:
            await watched(Connection(other), reference)
        assert reference.namespace_uid in str(raised.value)
        assert other.asked == {LOOK}
        # Where it was submitted it goes on.
        assert (await watched(Connection(ours), reference)).verdict is Verdict.SUCCEEDED

    in_virtual_time(main())


def test_so_does_one_that_finds_no_such_namespace() -> None:
    async def main() -> None:
        ours, other = Paper(), Paper("elsewhere", seed=1)
        with pytest.raises(WrongCluster, match="without namespace spark"):
            await watched(Connection(other), await submitted(ours))
        assert other.asked == {LOOK}

    in_virtual_time(main())


@pytest.mark.parametrize("how", ["after an outage", "after credentials were loaded anew"])
def test_it_is_noticed_in_the_middle_of_the_work(how: str) -> None:
    async def main() -> None:
        ours, other = Paper(), Paper(seed=1)
        reference = await submitted(ours)
        connection = Connection(ours)
        watching = asyncio.ensure_future(watched(connection, reference))
        await asyncio.sleep(25)
        assert ours.cluster.pods(NAMESPACE, "spark-role=executor")
        if how == "after an outage":
            connection.failing = True
            await asyncio.sleep(30)
        else:
            connection.generation += 1
        connection.leads_to, connection.failing = other, False
        with pytest.raises(WrongCluster):
            await watching
        assert other.asked == {LOOK}

    in_virtual_time(main())


def test_without_the_right_to_read_the_namespace_nothing_is_guarded() -> None:
    async def main() -> None:
        paper = Paper()
        api = Api(paper.cluster.store, authorizer=RoleAuthorizer(paper.cluster.store), nodes={})
        assert await namespace_uid(InProcessCluster(api, User("nobody")), NAMESPACE) == ""
        reference = ApplicationReference(NAMESPACE, "a", "a-r0", "uid", "ti-1", "")
        assert guarded(paper.client, reference) is paper.client

    in_virtual_time(main())
