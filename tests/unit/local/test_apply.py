"""Server-side apply, as far as the local cluster knows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_spark_k8s.local.exchange import Request, Response
from airflow_spark_k8s.local.paper_cluster import PaperCluster

PATH = "/api/v1/namespaces/default/configmaps/c"
OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}


def apply(cluster: PaperCluster, body: Any, **query: str) -> tuple[int, dict[str, Any]]:
    given = {name: [value] for name, value in {"fieldManager": "tests", **query}.items() if value}
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/apply-patch+yaml"}
    answer = cluster.api.handle(Request("PATCH", PATH, given, headers, encoded))
    assert isinstance(answer, Response)
    return answer.status, json.loads(answer.encoded())


def test_an_object_that_is_not_there_is_made() -> None:
    status, made = apply(PaperCluster(), OBJECT)
    assert status == 201
    assert made["metadata"]["namespace"] == "default"
    assert made["data"] == {"a": "1"}


def test_yaml_is_understood() -> None:
    status, made = apply(PaperCluster(), b"apiVersion: v1\nkind: ConfigMap\ndata: {a: '1'}\n")
    assert (status, made["metadata"]["name"], made["data"]) == (201, "c", {"a": "1"})


def test_fields_are_laid_over_an_object_that_is_there() -> None:
    cluster = PaperCluster()
    _, made = apply(cluster, OBJECT)
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}
    metadata = {"name": "c", "uid": made["metadata"]["uid"], "ownerReferences": [owner]}
    status, changed = apply(cluster, {**OBJECT, "metadata": metadata, "data": {"b": "2"}}, force="true")
    assert status == 200
    assert changed["data"] == {"a": "1", "b": "2"}
    assert changed["metadata"]["ownerReferences"] == [owner]


def test_a_dry_run_stores_nothing() -> None:
    cluster = PaperCluster()
    assert apply(cluster, OBJECT, dryRun="All")[0] == 201
    assert apply(cluster, OBJECT)[0] == 201
    assert apply(cluster, {**OBJECT, "data": {"a": "9"}}, dryRun="All")[1]["data"] == {"a": "9"}
    assert apply(cluster, OBJECT)[1]["data"] == {"a": "1"}


@pytest.mark.parametrize(
    ("body", "query", "status", "message"),
    [
        pytest.param(
            OBJECT,
            {"fieldManager": ""},
            422,
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply',
            id="nobody applies",
        ),
        pytest.param(
            {**OBJECT, "metadata": {"name": "d"}},
            {},
            400,
            "the name of the object (d) does not match the name on the URL (c)",
            id="another name",
        ),
        pytest.param(
            {**OBJECT, "datta": {}},
            {},
            400,
            'strict decoding error: unknown field "datta"',
            id="an unknown field",
        ),
        pytest.param(
            {**OBJECT, "metadata": {"name": "c", "resourceVersion": "1"}},
            {},
            409,
            "the object has been modified",
            id="an old version",
        ),
    ],
)
def test_what_is_refused(body: Any, query: dict[str, str], status: int, message: str) -> None:
    cluster = PaperCluster()
    apply(cluster, OBJECT)
    code, answer = apply(cluster, body, **query)
    assert code == status
    assert message in answer["message"]
