"""The HTTPS server of the local cluster, as clients without kubectl's patience use it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authentication import Tokens
from airflow_spark_k8s.local.certificates import make_certificates
from airflow_spark_k8s.local.kubelet_runtime import NodeRuntime
from airflow_spark_k8s.local.resources import CONFIG_MAPS, PODS
from airflow_spark_k8s.local.server import HttpsServer
from airflow_spark_k8s.local.store import Store

COLLECTION = "/api/v1/namespaces/default/configmaps"


class Node:
    """A kubelet whose pods are on this machine's loopback address."""

    def address(self, namespace: str, pod: str) -> str | None:
        return "127.0.0.1"

    def answer(self, *_: object) -> None:
        return None


@dataclass
class Running:
    """A server and a client for it."""

    store: Store
    server: HttpsServer
    session: aiohttp.ClientSession

    def make(self, name: str, **labels: str) -> None:
        metadata = {"name": name, "namespace": "default", "labels": labels}
        self.store.create(CONFIG_MAPS, {"metadata": metadata})


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    certificates = make_certificates(now())
    store = Store(wall_clock=now, chance=random.Random(1))
    tokens = Tokens(random.Random(2))
    nodes: dict[str, NodeRuntime] = {"node-1": Node()}  # type: ignore[dict-item]
    server = HttpsServer(Api(store, nodes=nodes, tokens=tokens), certificates)
    url = await server.start()
    trust = ssl.create_default_context(cadata=certificates.authority)
    session = aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(ssl=trust),
        headers={"Authorization": f"Bearer {tokens.admin}"},
    )
    try:
        yield Running(store, server, session)
    finally:
        await session.close()
        await server.stop()
        await server.stop()


async def test_the_certificate_is_trusted_and_the_token_needed(running: Running) -> None:
    async with running.session.get("/readyz") as answer:
        assert (answer.status, await answer.text()) == (200, "ok")
    async with running.session.get(COLLECTION, headers={"Authorization": "Bearer wrong"}) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (401, "Unauthorized")
    async with running.session.get(COLLECTION, headers={"Authorization": ""}) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (403, "Forbidden")


async def test_warnings_are_headers(running: Running) -> None:
    async with running.session.post(COLLECTION, json={"metadata": {"name": "a"}, "datta": {}}) as answer:
        assert answer.status == 201
        assert answer.headers.getall("Warning") == ['299 - "unknown field \\"datta\\""']


async def test_an_oversized_body_is_answered(running: Running) -> None:
    body, headers = io.BytesIO(b" " * (3 * 1024 * 1024 + 10)), {"Content-Type": "application/json"}
    async with running.session.post(COLLECTION, data=body, headers=headers) as answer:
        assert answer.status == 413


async def test_a_chunked_watch_brings_events_as_they_happen(running: Running) -> None:
    params = {"watch": "true", "resourceVersion": str(running.store.version), "labelSelector": "w=1"}
    async with running.session.get(COLLECTION, params=params) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        running.make("other")
        running.make("a", w="1")
        event = json.loads(await answer.content.readline())
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
        running.store.delete(CONFIG_MAPS, "default", "a")
        assert json.loads(await answer.content.readline())["type"] == "DELETED"


async def test_a_watch_ends_in_time_with_a_bookmark_before(running: Running) -> None:
    version = str(running.store.version)
    params = {
        "watch": "true",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "1",
    }
    async with running.session.get(COLLECTION, params=params) as answer:
        events = [json.loads(line) for line in (await answer.read()).splitlines()]
    assert [each["type"] for each in events] == ["BOOKMARK"]
    assert events[0]["object"]["metadata"]["resourceVersion"] == version


async def test_an_expired_version_is_an_event_of_a_good_answer(running: Running) -> None:
    async with running.session.get(COLLECTION, params={"watch": "true", "resourceVersion": "1"}) as answer:
        assert answer.status == 200
        (line,) = (await answer.read()).splitlines()
    assert json.loads(line)["object"]["code"] == 410


async def test_a_watch_by_websocket_is_the_same_in_messages(running: Running) -> None:
    params = {"watch": "true", "allowWatchBookmarks": "true", "fieldSelector": "metadata.name=a"}
    async with running.session.ws_connect(COLLECTION, params=params) as socket:
        running.make("a")
        event: dict[str, Any] = json.loads((await socket.receive()).data)
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
    async with running.session.get("/healthz") as answer:
        assert answer.status == 200


async def test_a_stopping_server_ends_its_watches(running: Running) -> None:
    params = {"watch": "true", "fieldSelector": "metadata.name=x"}
    async with running.session.get(COLLECTION, params=params) as answer:
        stopping = asyncio.create_task(running.server.stop())
        with contextlib.suppress(aiohttp.ClientError):
            assert await answer.read() == b""
        await stopping


@pytest.fixture
async def site() -> AsyncIterator[int]:
    async def hello(request: web.Request) -> web.Response:
        if request.path == "/nope":
            return web.Response(status=404, text="no such page")
        return web.json_response({"path": request.path, "query": request.query_string})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def run_pod(running: Running) -> None:
    spec = {"containers": [{"name": "main", "image": "busybox"}]}
    running.store.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})

    def start(pod: dict[str, Any]) -> None:
        pod["spec"]["nodeName"] = "node-1"
        pod["status"] |= {"phase": "Running", "podIP": "127.0.0.1"}

    running.store.edit(PODS, "default", "p", start, subresource="binding")


async def test_the_proxy_passes_answers_through(running: Running, site: int) -> None:
    run_pod(running)
    proxy = f"/api/v1/namespaces/default/pods/p:{site}/proxy"
    async with running.session.get(f"{proxy}/api/v1", params={"a": "b c"}) as answer:
        assert await answer.json() == {"path": "/api/v1", "query": "a=b c"}
    async with running.session.get(f"{proxy}/nope") as answer:
        assert (answer.status, await answer.text()) == (404, "no such page")


async def test_the_proxy_tells_that_nobody_listens(running: Running, unused_tcp_port: int) -> None:
    run_pod(running)
    async with running.session.get(f"/api/v1/namespaces/default/pods/p:{unused_tcp_port}/proxy/") as answer:
        status = await answer.json()
    assert (status["code"], status["reason"]) == (503, "ServiceUnavailable")
    address = f"127.0.0.1:{unused_tcp_port}"
    assert (
        status["message"] == f"error trying to reach service: dial tcp {address}: connect: connection refused"
    )
