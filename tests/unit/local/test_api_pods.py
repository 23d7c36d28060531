from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.exchange import LogStream, Proxy, Request, Response
from airflow_spark_k8s.local.kubelet_runtime import LogOptions, ProxyAnswer, ProxyRequest
from airflow_spark_k8s.local.resources import POD_DISRUPTION_BUDGETS, PODS, SERVICES
from airflow_spark_k8s.local.store import Store

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
POD = "/api/v1/namespaces/default/pods/p"


class Node:
    """A kubelet that has one log and, on port 4040, one server of its own."""

    def __init__(self) -> None:
        self.asked: list[LogOptions] = []

    def logs(self, namespace: str, pod: str, container: str, options: LogOptions) -> bytes:
        self.asked.append(options)
        return b"one\ntwo\n"

    def follow(
        self,
        namespace: str,
        pod: str,
        container: str,
        options: LogOptions,
        write: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> Callable[[], None]:
        write(b"one\n")
        ended()
        return lambda: None

    def address(self, namespace: str, pod: str) -> str | None:
        return "127.1.2.3"

    def answer(self, namespace: str, pod: str, request: ProxyRequest) -> ProxyAnswer | None:
        if request.port == 4040:
            return ProxyAnswer(body=f"{request.path}?{request.query}".encode())
        return ProxyAnswer(refused=True) if request.port == 4041 else None


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def api(node: Node) -> Api:
    return Api(Store(wall_clock=lambda: NOW, chance=random.Random(7)), nodes={"node-1": node})


def make_pod(
    api: Api, state: Manifest | None = None, *, bound: bool = True, containers: tuple[str, ...] = ("main",)
) -> None:
    spec = {"containers": [{"name": name, "image": "busybox"} for name in containers]}
    api.store.create(
        PODS, {"metadata": {"name": "p", "namespace": "default", "labels": {"a": "b"}}, "spec": spec}
    )

    def start(pod: Manifest) -> None:
        if bound:
            pod["spec"]["nodeName"] = "node-1"
        if state is not None:
            status = {"name": "main", "state": state, "lastState": {}}
            ready = {"type": "Ready", "status": "True"}
            pod["status"] |= {"phase": "Running", "podIP": "127.1.2.3", "containerStatuses": [status]}
            pod["status"]["conditions"] = [ready]

    api.store.edit(PODS, "default", "p", start, subresource="binding")


RUNNING = {"running": {"startedAt": "2026-11-22T12:00:00Z"}}


def ask(api: Api, path: str, method: str = "GET", body: object = None, **query: str) -> Any:
    encoded = b"" if body is None else json.dumps(body).encode()
    return api.handle(Request(method, path, {name: [value] for name, value in query.items()}, {}, encoded))


def test_log_options_reach_the_kubelet(api: Api, node: Node) -> None:
    make_pod(api, RUNNING)
    answer = ask(api, f"{POD}/log", tailLines="2", limitBytes="9", timestamps="true", sinceSeconds="60")
    assert (answer.body, answer.content_type) == (b"one\ntwo\n", "text/plain")
    since = datetime(2026, 11, 22, 11, 59, 0, tzinfo=UTC)
    assert node.asked == [LogOptions(tail_lines=2, since=since, limit_bytes=9, timestamps=True)]


def test_a_followed_log_is_opened_by_the_server(api: Api) -> None:
    make_pod(api, RUNNING)
    answer = ask(api, f"{POD}/log", follow="true")
    assert isinstance(answer, LogStream)
    told: list[object] = []
    answer.open(told.append, lambda: told.append("end"))
    assert told == [b"one\n", "end"]


@pytest.mark.parametrize(
    ("pod", "query", "message"),
    [
        pytest.param(
            {"state": RUNNING}, {"container": "zz"}, "container zz is not valid for pod p", id="no container"
        ),
        pytest.param(
            {"state": RUNNING, "containers": ("a", "b")},
            {},
            "a container name must be specified for pod p, choose one of: [a b]",
            id="several containers",
        ),
        pytest.param(
            {"state": RUNNING},
            {"previous": "true"},
            'previous terminated container "main" in pod "p" not found',
            id="no earlier instance",
        ),
        pytest.param(
            {"state": {"waiting": {"reason": "ImagePullBackOff"}}},
            {},
            'container "main" in pod "p" is waiting to start: trying and failing to pull image',
            id="no image",
        ),
        pytest.param(
            {}, {}, 'container "main" in pod "p" is waiting to start: ContainerCreating', id="only just bound"
        ),
        pytest.param({"state": RUNNING}, {"tailLines": "x"}, "tailLines must be", id="no number"),
    ],
)
def test_why_there_is_no_log(api: Api, pod: dict[str, Any], query: dict[str, str], message: str) -> None:
    make_pod(api, **pod)
    answer = ask(api, f"{POD}/log", **query)
    assert answer.status == 400
    assert message in answer.body["message"]


def test_a_pod_without_node_has_an_empty_log(api: Api) -> None:
    make_pod(api, bound=False)
    assert ask(api, f"{POD}/log").status == 204


def test_the_proxy_asks_a_server_inside_the_kubelet_first(api: Api) -> None:
    make_pod(api, RUNNING)
    answer = ask(api, f"{POD}:4040/proxy/api/v1/applications", status="running")
    assert answer.body == b"/api/v1/applications?status=running"


def test_the_proxy_names_the_address_that_refuses(api: Api) -> None:
    make_pod(api, RUNNING)
    answer = ask(api, f"{POD}:4041/proxy/")
    assert (answer.status, answer.body["reason"]) == (503, "ServiceUnavailable")
    refused = "dial tcp 127.1.2.3:4041: connect: connection refused"
    assert answer.body["message"] == f"error trying to reach service: {refused}"


def test_other_ports_are_left_to_the_server(api: Api) -> None:
    make_pod(api, RUNNING)
    answer = ask(api, "/api/v1/namespaces/default/pods/https:p:8443/proxy/a b", x="1")
    assert answer == Proxy("127.1.2.3", 8443, "https", "/a%20b", "x=1")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param(f"{POD}:4040/proxy/", 400, id="a pod without address"),
        pytest.param("/api/v1/namespaces/default/pods/none:4040/proxy/", 404, id="no pod"),
    ],
)
def test_where_the_proxy_cannot_reach(api: Api, path: str, status: int) -> None:
    make_pod(api)
    assert ask(api, path).status == status


def test_a_service_stands_for_a_pod_behind_it(api: Api) -> None:
    port = {"name": "ui", "port": 80, "targetPort": 4040}
    spec = {"selector": {"a": "b"}, "ports": [port]}
    api.store.create(SERVICES, {"metadata": {"name": "s", "namespace": "default"}, "spec": spec})
    service = "/api/v1/namespaces/default/services/s:ui/proxy/x"
    assert "no endpoints available" in ask(api, service).body["message"]
    make_pod(api, RUNNING)
    assert ask(api, service).body == b"/x?"


def test_an_eviction_marks_the_pod_before_it_deletes_it(api: Api) -> None:
    make_pod(api, RUNNING)
    assert ask(api, f"{POD}/eviction", "POST", {"kind": "Eviction"}).status == 201
    pod = api.store.get(PODS, "default", "p")
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 30
    condition = pod["status"]["conditions"][-1]
    assert (condition["type"], condition["reason"]) == ("DisruptionTarget", "EvictionByEvictionAPI")


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        pytest.param({"minAvailable": 1}, 429, id="the last one that is needed"),
        pytest.param({"maxUnavailable": "100%"}, 201, id="none is needed"),
        pytest.param({"maxUnavailable": 0}, 429, id="none may be missing"),
    ],
)
def test_a_disruption_budget_may_forbid_an_eviction(api: Api, spec: dict[str, Any], status: int) -> None:
    make_pod(api, RUNNING)
    budget = {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {**spec, "selector": {"matchLabels": {"a": "b"}}},
    }
    api.store.create(POD_DISRUPTION_BUDGETS, budget)
    answer = ask(api, f"{POD}/eviction", "POST", {})
    assert answer.status == status
    assert ("deletionTimestamp" in api.store.get(PODS, "default", "p")["metadata"]) is (status == 201)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", f"{POD}/exec", 404, id="no exec"),
        pytest.param("PUT", f"{POD}/log", 405, id="logs are not written"),
        pytest.param("PUT", "/api/v1/namespaces/default/pods", 405, id="collections are not replaced"),
        pytest.param("GET", "/apis/apps/v1/deployments", 404, id="a kind that is left out"),
        pytest.param("GET", "/apis/batch/v1/jobs", 200, id="all namespaces"),
    ],
)
def test_paths_and_methods(api: Api, method: str, path: str, status: int) -> None:
    answer = ask(api, path, method)
    assert isinstance(answer, Response)
    assert answer.status == status
