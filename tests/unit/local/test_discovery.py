from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.exchange import ANONYMOUS, Request, Response
from airflow_spark_k8s.local.store import Store

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def get(path: str, **headers: str) -> Any:
    store = Store(wall_clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), chance=random.Random(1))
    answer = Api(store).handle(Request("GET", path, headers=headers, user=ANONYMOUS))
    assert isinstance(answer, Response)
    assert answer.status == 200
    return answer.body


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez", "/readyz/ping"])
def test_health_is_told_to_everybody(path: str) -> None:
    assert get(path) == "ok"


def test_every_group_lists_its_resources() -> None:
    for group in get("/apis")["groups"]:
        version = group["preferredVersion"]["groupVersion"]
        assert get(f"/apis/{version}")["resources"]
        assert get(f"/apis/{group['name']}")["name"] == group["name"]


def test_evictions_are_offered_the_way_kubectl_looks_for_them() -> None:
    (entry,) = [each for each in get("/api/v1")["resources"] if each["name"] == "pods/eviction"]
    assert (entry["group"], entry["version"], entry["kind"]) == ("policy", "v1", "Eviction")


def test_aggregated_discovery_says_the_same() -> None:
    (core,) = get("/api", accept=AGGREGATED)["items"]
    plain = {each["name"]: each["verbs"] for each in get("/api/v1")["resources"] if "/" not in each["name"]}
    found = {each["resource"]: each["verbs"] for each in core["versions"][0]["resources"]}
    assert found == plain
    names = {each["metadata"]["name"] for each in get("/apis", accept=AGGREGATED)["items"]}
    assert names == {each["name"] for each in get("/apis")["groups"]}


def test_openapi_tells_that_the_server_checks_fields() -> None:
    for place in get("/openapi/v3")["paths"].values():
        for operations in get(place["serverRelativeURL"])["paths"].values():
            assert [each["name"] for each in operations["patch"]["parameters"]] == ["fieldValidation"]
