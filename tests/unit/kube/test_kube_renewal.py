"""Credentials in an Airflow connection that are replaced while a client uses them; and servers that hang."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from aiohttp import web

from airflow_spark_k8s.exceptions import (
    ClusterUnreachable,
    InvalidConfiguration,
    Unauthorized,
    UnknownConnection,
)
from airflow_spark_k8s.kube import client as client_module
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.cluster import SILENT
from airflow_spark_k8s.kube.config import ClusterSettings, cluster_settings
from tests.unit.kube.fake_server import Certificate, TestServer, serving

Renew = Callable[[], Awaitable[ClusterSettings]]


def _settings(server: TestServer, token: str) -> ClusterSettings:
    return cluster_settings({"kube_config": server.kubeconfig(token=token)})


def _accepts(server: TestServer, token: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == f"Bearer {token}"
        return web.json_response({} if good else {"kind": "Status"}, status=200 if good else 401)

    server.answer = answer


@asynccontextmanager
async def _client(server: TestServer, renew: Renew) -> AsyncIterator[ApiServer]:
    async with await ApiServer.open(_settings(server, "old"), renew=renew) as client:
        yield client


async def test_a_connection_is_read_again_once_its_token_is_refused(server: TestServer) -> None:
    _accepts(server, "old")
    asked = 0

    async def renew() -> ClusterSettings:
        nonlocal asked
        asked += 1
        return _settings(server, "new")

    async with _client(server, renew) as client:
        await client.request("GET", "/x")
        assert asked == 0, "as long as the credentials are good, Airflow is left alone"
        _accepts(server, "new")
        await asyncio.gather(*(client.request("GET", "/x") for _ in range(5)))
        await client.request("GET", "/x")
    assert asked == 1, "many refused calls lead to one question"


async def test_a_watch_reads_the_connection_again_as_well(server: TestServer) -> None:
    _accepts(server, "new")

    async def renew() -> ClusterSettings:
        return _settings(server, "new")

    async with (
        _client(server, renew) as client,
        aclosing(client.watch("/x", params={}, timeout_seconds=30)) as events,
    ):
        assert [event async for event in events] == [], "opened, and ended in good order"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Airflow is away"),
        TimeoutError(),
        UnknownConnection("conn_id", "c", "no such connection"),  # Airflow says so then, too
    ],
)
async def test_what_is_at_hand_is_tried_again_while_airflow_is_away(
    server: TestServer, error: Exception
) -> None:
    _accepts(server, "new")

    async def renew() -> ClusterSettings:
        raise error

    async with _client(server, renew) as client:
        with pytest.raises(Unauthorized):
            await client.request("GET", "/x")
        _accepts(server, "old")
        await client.request("GET", "/x")


async def test_a_connection_that_cannot_work_any_more_is_named(server: TestServer) -> None:
    _accepts(server, "new")

    async def renew() -> ClusterSettings:
        raise InvalidConfiguration("conn_id", "gone", "no such connection")

    async with _client(server, renew) as client:
        with pytest.raises(Unauthorized, match="there are no others: conn_id='gone': no such connection"):
            await client.request("GET", "/x")


async def test_a_connection_that_leads_to_another_server_is_told_before_that_is_asked(
    server: TestServer, certificate: Certificate
) -> None:
    _accepts(server, "new")
    async with serving(certificate) as other:
        _accepts(other, "new")

        async def renew() -> ClusterSettings:
            return _settings(other, "new")

        async with _client(server, renew) as client:
            with pytest.raises(ClusterUnreachable, match=f"leads to {other.url} instead of {server.url}"):
                await client.request("GET", "/x")
            assert other.requests == []
            assert client.generation == 1
            await client.request("GET", "/x")
        assert len(other.requests) == 1


async def test_a_watch_that_is_never_opened_is_given_up_long_before_its_silence(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    server.answer = hang
    monkeypatch.setattr(client_module, "OPENING_SECONDS", 0.2)
    settings = _settings(server, "t")
    async with await ApiServer.open(settings) as client:
        with pytest.raises(ClusterUnreachable, match="does not answer") as raised:
            async with aclosing(client.watch("/x", params={}, timeout_seconds=3600)) as events:
                await anext(events)
        released.set()
    assert raised.value.reason != SILENT, "a watch that could not be opened is an outage"
