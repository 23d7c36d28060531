from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from airflow_spark_k8s.exceptions import (
    AlreadyExists,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
)
from airflow_spark_k8s.kube.cluster import MERGE_PATCH, Cluster
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authentication import service_account
from airflow_spark_k8s.local.authorization import RoleAuthorizer
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import VirtualTimeLoop

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def api() -> Api:
    store = Store(wall_clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), chance=random.Random(1))
    return Api(store, authorizer=RoleAuthorizer(store))


async def test_objects_are_written_and_read(api: Api) -> None:
    cluster: Cluster = InProcessCluster(api)
    await cluster.request("POST", CONFIG_MAPS, body={"metadata": {"name": "a", "labels": {"x": "1"}}})
    await cluster.request("PATCH", f"{CONFIG_MAPS}/a", body={"data": {"k": "v"}}, content_type=MERGE_PATCH)
    found = await cluster.request("GET", CONFIG_MAPS, params={"labelSelector": "x=1"})
    assert [each["data"] for each in found["items"]] == [{"k": "v"}]


async def test_failures_are_the_exceptions_of_the_package(api: Api) -> None:
    cluster = InProcessCluster(api)
    created = await cluster.request("POST", CONFIG_MAPS, body={"metadata": {"name": "a"}})
    with pytest.raises(AlreadyExists):
        await cluster.request("POST", CONFIG_MAPS, body={"metadata": {"name": "a"}})
    with pytest.raises(NotFound):
        await cluster.text(f"{CONFIG_MAPS}/none")
    with pytest.raises(Invalid):
        await cluster.request("POST", CONFIG_MAPS, body={"metadata": {"name": "B"}})
    await cluster.request("PATCH", f"{CONFIG_MAPS}/a", body={"data": {"k": "v"}}, content_type=MERGE_PATCH)
    with pytest.raises(Conflict):
        await cluster.request("PUT", f"{CONFIG_MAPS}/a", body={**created, "data": {}})
    with pytest.raises(Forbidden, match="cannot list resource"):
        await InProcessCluster(api, service_account("default", "robot")).request("GET", CONFIG_MAPS)


async def test_a_watch_brings_changes_until_its_time_is_over(api: Api) -> None:
    cluster = InProcessCluster(api)

    async def change() -> None:
        await cluster.request("POST", CONFIG_MAPS, body={"metadata": {"name": "a"}})
        await cluster.request("DELETE", f"{CONFIG_MAPS}/a")

    changing = asyncio.create_task(change())
    params = {"resourceVersion": str(api.store.version), "timeoutSeconds": "1"}
    events = [each async for each in cluster.watch(CONFIG_MAPS, params=params, timeout_seconds=30)]
    await changing
    assert [each["type"] for each in events] == ["ADDED", "DELETED"]


async def test_an_expired_version_is_an_error_event_and_the_end(api: Api) -> None:
    watching = InProcessCluster(api).watch(CONFIG_MAPS, params={"resourceVersion": "1"}, timeout_seconds=30)
    events = [each async for each in watching]
    assert [(each["type"], each["object"]["code"]) for each in events] == [("ERROR", 410)]


def test_silence_is_an_error_on_virtual_time_without_waiting(api: Api) -> None:
    async def watch() -> None:
        params = {"resourceVersion": str(api.store.version)}
        async for _ in InProcessCluster(api).watch(CONFIG_MAPS, params=params, timeout_seconds=3600):
            pass

    loop = VirtualTimeLoop()
    try:
        with pytest.raises(ClusterUnreachable, match="silent for 3600 s"):
            loop.run_until_complete(watch())
        assert loop.time() >= 3600
    finally:
        loop.close()
