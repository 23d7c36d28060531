"""Deletion of one object: a conflict alone is no proof that it is gone."""

from __future__ import annotations

import asyncio

import pytest

from airflow_spark_k8s.exceptions import Conflict
from airflow_spark_k8s.kube.by_uid import delete
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import pod

PATH = "/api/v1/namespaces/spark/pods/p"


def _cluster(uid: str | None, version: int = 1) -> FakeCluster:
    cluster = FakeCluster()
    cluster.faults.append(
        Fault(lambda method, path: method == "DELETE", lambda: Conflict("changed", status=409))
    )
    if uid is not None:
        cluster.put(PATH, pod("p", uid=uid, version=version))
    return cluster


@pytest.mark.parametrize("uid", ["another", None], ids=["replaced", "gone"])
def test_a_conflict_over_something_else_is_no_error(uid: str | None) -> None:
    assert asyncio.run(delete(_cluster(uid), PATH, "u")) is False


def test_a_conflict_over_the_object_itself_is_raised() -> None:
    with pytest.raises(Conflict):
        asyncio.run(delete(_cluster("u"), PATH, "u"))


def test_a_conflict_over_a_version_that_has_passed_is_no_error() -> None:
    cluster = _cluster("u")
    assert asyncio.run(delete(cluster, PATH, "u", resource_version="no such version")) is False
