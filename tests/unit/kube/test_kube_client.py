from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from aiohttp import web

from airflow_spark_k8s.exceptions import (
    ClusterUnreachable,
    Conflict,
    InvalidConfiguration,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.cluster import MERGE_PATCH, SILENT
from airflow_spark_k8s.kube.config import ClusterSettings, cluster_settings
from tests.unit.kube.fake_server import TestServer, make_certificate


@asynccontextmanager
async def client_of(
    server: TestServer, content: dict[str, Any] | None = None, **extras: Any
) -> AsyncIterator[ApiServer]:
    settings = cluster_settings({"kube_config": content or server.kubeconfig(), **extras})
    async with await ApiServer.open(settings) as client:
        yield client


async def test_a_call_carries_token_parameters_and_body_and_brings_the_answer(server: TestServer) -> None:
    server.answers({"kind": "Job"})
    async with client_of(server) as client:
        answer = await client.request(
            "PATCH", "/x/pods/a:4040", params={"l": "a=b,c!=d"}, body={"ö": [1]}, content_type=MERGE_PATCH
        )
    assert answer == {"kind": "Job"}
    request = server.requests[0]
    assert (request.method, request.path, request.query["l"]) == ("PATCH", "/x/pods/a:4040", "a=b,c!=d")
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Content-Type"] == MERGE_PATCH
    assert json.loads(server.bodies[0]) == {"ö": [1]}


async def test_an_empty_answer_is_an_empty_object(server: TestServer) -> None:
    async def empty(_request: web.Request) -> web.Response:
        return web.Response(status=200)

    server.answer = empty
    async with client_of(server) as client:
        assert await client.request("DELETE", "/x") == {}


async def test_text_is_given_as_it_is_with_broken_bytes_replaced(server: TestServer) -> None:
    async def log(_request: web.Request) -> web.Response:
        return web.Response(body=b"line 1\nbr\xffken\n")

    server.answer = log
    async with client_of(server) as client:
        assert await client.text("/log") == "line 1\nbr\N{REPLACEMENT CHARACTER}ken\n"


async def test_refusals_are_told_by_kind(server: TestServer) -> None:
    server.answers({"kind": "Status", "reason": "Conflict", "message": "modified", "code": 409}, status=409)
    async with client_of(server) as client:
        with pytest.raises(Conflict, match="modified"):
            await client.request("PUT", "/x", body={})


async def test_a_throttled_call_says_how_long_to_wait(server: TestServer) -> None:
    async def throttled(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "9"})

    server.answer = throttled
    async with client_of(server) as client:
        with pytest.raises(TooManyRequests) as raised:
            await client.text("/x")
    assert raised.value.retry_after_seconds == 9.0


async def test_a_redirect_is_not_followed_with_the_token(server: TestServer) -> None:
    async def moved(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://example.org/"})

    server.answer = moved
    async with client_of(server) as client:
        with pytest.raises(Exception, match="HTTP 302"):
            await client.request("GET", "/x")
    assert len(server.requests) == 1


async def test_a_page_is_no_kubernetes(server: TestServer) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<html>hello</html>")

    server.answer = page
    async with client_of(server) as client:
        with pytest.raises(ClusterUnreachable, match="not as a Kubernetes API server"):
            await client.request("GET", "/x")


async def test_a_server_that_hangs_is_given_up_after_the_timeout(server: TestServer) -> None:
    released = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    server.answer = hang
    async with client_of(server) as client:
        with pytest.raises(ClusterUnreachable, match="does not answer"):
            await client.request("GET", "/x", timeout_seconds=0.1)
        released.set()


async def test_closing_ends_calls_that_were_given_up_without_waiting_for_the_server(
    server: TestServer,
) -> None:
    asked, released = asyncio.Event(), asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        asked.set()
        await released.wait()
        return web.Response()

    server.answer = hang
    port = urlsplit(server.url).port
    async with client_of(server) as client:
        call = asyncio.ensure_future(client.request("GET", "/x"))
        await asked.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    # The server shares this event loop: it has had no time for a good-bye of its own.
    sockets = [each for each in psutil.Process().net_connections() if each.raddr and each.raddr.port == port]
    assert [each for each in sockets if each.status == psutil.CONN_ESTABLISHED and each.fd != -1] == []
    released.set()


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    content = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "a", "user": {"token": "x"}}],
    }
    async with await ApiServer.open(ClusterSettings(kube_config=content)) as client:
        with pytest.raises(ClusterUnreachable, match=rf"https://127.0.0.1:{port} does not answer.*address"):
            await client.request("GET", "/version")


async def test_a_certificate_of_somebody_else_is_refused(server: TestServer, tmp_path: Path) -> None:
    content = server.kubeconfig()
    content["clusters"][0]["cluster"]["certificate-authority-data"] = make_certificate(
        tmp_path
    ).certificate_data
    server.answers({})
    async with client_of(server, content) as client:
        with pytest.raises(ClusterUnreachable, match="certificate-authority-data"):
            await client.request("GET", "/version")
    async with client_of(server, content, disable_verify_ssl=True) as client:
        assert await client.request("GET", "/version") == {}


async def test_a_refused_token_is_read_again_once(
    server: TestServer, write_kubeconfig: Callable[[dict[str, Any]], Path]
) -> None:
    async def only_new(request: web.Request) -> web.Response:
        return web.json_response({}, status=200 if request.headers["Authorization"] == "Bearer new" else 401)

    server.answer = only_new
    path = write_kubeconfig(server.kubeconfig(token="old"))
    async with await ApiServer.open(cluster_settings({"kube_config_path": str(path)})) as client:
        write_kubeconfig(server.kubeconfig(token="new"))
        # All at once: they are refused together, and the kubeconfig is read for all of them.
        await asyncio.gather(*(client.request("GET", "/x") for _ in range(5)))
    tokens = [request.headers["Authorization"] for request in server.requests]
    assert sorted(tokens) == ["Bearer new"] * 5 + ["Bearer old"] * 5


async def test_credentials_that_stay_refused_are_unauthorized(server: TestServer) -> None:
    server.answers({"kind": "Status", "message": "Unauthorized", "reason": "Unauthorized"}, status=401)
    async with client_of(server) as client:
        with pytest.raises(Unauthorized):
            await client.request("GET", "/x")
    assert len(server.requests) == 2


async def test_a_kubeconfig_that_is_gone_when_the_token_is_refused_is_unauthorized(
    server: TestServer, write_kubeconfig: Callable[[dict[str, Any]], Path]
) -> None:
    server.answers({}, status=401)
    path = write_kubeconfig(server.kubeconfig())
    async with await ApiServer.open(cluster_settings({"kube_config_path": str(path)})) as client:
        path.unlink()
        with pytest.raises(Unauthorized, match="no such file"):
            await client.request("GET", "/x")


def plugin(folder: Path, script: str) -> dict[str, Any]:
    path = folder / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), "args": []}


COUNTING = """
import json, pathlib
counter = pathlib.Path(__file__).with_name("count")
count = int(counter.read_text()) + 1 if counter.exists() else 1
counter.write_text(str(count))
status = {"token": f"t{count}", "expirationTimestamp": "2999-01-01T00:00:00Z"}
answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
print(json.dumps(answer))
"""


async def test_a_plugin_gives_the_token_and_another_one_after_a_refusal(
    server: TestServer, tmp_path: Path
) -> None:
    async def only_second(request: web.Request) -> web.Response:
        return web.json_response({}, status=200 if request.headers["Authorization"] == "Bearer t2" else 401)

    server.answer = only_second
    async with client_of(server, server.kubeconfig(exec=plugin(tmp_path, COUNTING))) as client:
        await client.request("GET", "/x")
        await client.request("GET", "/x")
    tokens = [request.headers["Authorization"] for request in server.requests]
    assert tokens == ["Bearer t1", "Bearer t2", "Bearer t2"]


async def test_a_plugin_that_fails_is_named_with_what_it_said(server: TestServer, tmp_path: Path) -> None:
    content = server.kubeconfig(exec=plugin(tmp_path, "import sys; sys.exit('please log in')"))
    with pytest.raises(Unauthorized, match=r"plugin.*please log in"):
        async with client_of(server, content):
            pass


async def test_a_plugin_that_is_not_installed_is_named(server: TestServer) -> None:
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}
    with pytest.raises(Unauthorized, match="no-such-plugin"):
        async with client_of(server, server.kubeconfig(exec=exec_)):
            pass


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param("print('s3cret')", "printed no ExecCredential", id="no JSON"),
        pytest.param("print('{}')", "printed no ExecCredential", id="no status"),
        pytest.param('print(\'{"status": {"clientKeyData": "s3cret"}}\')', "printed no", id="half a pair"),
    ],
)
async def test_a_plugin_that_prints_something_else_is_refused(
    server: TestServer, tmp_path: Path, script: str, message: str
) -> None:
    with pytest.raises(Unauthorized, match=message) as raised:
        async with client_of(server, server.kubeconfig(exec=plugin(tmp_path, script))):
            pass
    assert "s3cret" not in str(raised.value)


async def test_a_plugin_may_give_a_client_certificate(server: TestServer, tmp_path: Path) -> None:
    server.answers({})
    certificate, key = server.certificate.certificate_path, server.certificate.key_path
    script = (
        "import json, pathlib\n"
        f"status = dict(clientCertificateData=pathlib.Path({str(certificate)!r}).read_text(),\n"
        f"              clientKeyData=pathlib.Path({str(key)!r}).read_text())\n"
        "print(json.dumps(dict(status=status)))"
    )
    async with client_of(server, server.kubeconfig(exec=plugin(tmp_path, script))) as client:
        await client.request("GET", "/x")
    assert "Authorization" not in server.requests[0].headers


async def test_a_plugin_beside_the_kubeconfig_is_found_and_told_what_it_asks_for(
    server: TestServer, tmp_path: Path, write_kubeconfig: Callable[[dict[str, Any]], Path]
) -> None:
    server.answers({})
    script = (
        "import json, os\n"
        "cluster = json.loads(os.environ['KUBERNETES_EXEC_INFO'])['spec']['cluster']['server']\n"
        "print(json.dumps(dict(status=dict(token=cluster + os.environ['SUFFIX']))))"
    )
    exec_ = {
        **plugin(tmp_path, script),
        "command": "./plugin",
        "provideClusterInfo": True,
        "env": [{"name": "SUFFIX", "value": "/mine"}],
    }
    path = write_kubeconfig(server.kubeconfig(exec=exec_))
    async with await ApiServer.open(cluster_settings({"kube_config_path": str(path)})) as client:
        await client.request("GET", "/x")
    assert server.requests[0].headers["Authorization"] == f"Bearer {server.url}/mine"


async def test_a_plugin_that_wants_a_terminal_is_refused(server: TestServer, tmp_path: Path) -> None:
    exec_ = {**plugin(tmp_path, "print()"), "interactiveMode": "Always"}
    with pytest.raises(Unauthorized, match="wants a terminal"):
        async with client_of(server, server.kubeconfig(exec=exec_)):
            pass


async def test_a_client_certificate_needs_no_token(server: TestServer) -> None:
    server.answers({})
    key = server.certificate.key_path
    content = server.kubeconfig(
        **{"client-certificate": str(server.certificate.certificate_path), "client-key": str(key)}
    )
    async with client_of(server, content) as client:
        await client.request("GET", "/x")
    assert "Authorization" not in server.requests[0].headers


async def test_certificates_survive_a_cleaned_temporary_folder(server: TestServer) -> None:
    from kubernetes_asyncio.config import kube_config

    server.answers({})
    async with client_of(server) as client:
        await client.request("GET", "/x")
    for name in kube_config._temp_files.values():
        os.unlink(name)
    async with client_of(server) as client:
        await client.request("GET", "/x")


async def test_a_token_file_is_read_again_from_time_to_time(server: TestServer, tmp_path: Path) -> None:
    server.answers({})
    token = tmp_path / "token"
    token.write_text("one")
    settings = cluster_settings({"kube_config": server.kubeconfig(tokenFile=str(token))})
    async with await ApiServer.open(settings, refresh_seconds=0.0) as client:
        await client.request("GET", "/x")
        token.write_text("two")
        await client.request("GET", "/x")
        token.unlink()
        await client.request("GET", "/x")
    tokens = [request.headers["Authorization"] for request in server.requests]
    assert tokens == ["Bearer one", "Bearer two", "Bearer two"]


async def test_a_pod_uses_its_service_account_and_its_token_is_read_again(
    server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers({})
    address = urlsplit(server.url)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    (tmp_path / "token").write_text("one")
    (tmp_path / "namespace").write_text("pods-own")
    (tmp_path / "ca.crt").write_bytes(server.certificate.certificate_path.read_bytes())
    settings = ClusterSettings(in_cluster=True, service_account_folder=tmp_path)
    async with await ApiServer.open(settings, refresh_seconds=0.0) as client:
        assert client.namespace == "pods-own"
        await client.request("GET", "/x")
        (tmp_path / "token").write_text("two")
        await client.request("GET", "/x")
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer one", "Bearer two"]


async def test_outside_a_pod_there_is_no_service_account(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"in_cluster=True.*kube_config_path or kube_config"):
        await ApiServer.open(ClusterSettings(in_cluster=True, service_account_folder=tmp_path))


async def test_two_clusters_in_one_process_do_not_mix(server: TestServer) -> None:
    server.answers({})
    async with (
        client_of(server, server.kubeconfig(token="one")) as one,
        client_of(server, server.kubeconfig(token="two")) as two,
    ):
        await two.request("GET", "/x")
        await one.request("GET", "/x")
    assert [request.headers["Authorization"] for request in server.requests] == ["Bearer two", "Bearer one"]


def streaming(*chunks: bytes, then: asyncio.Event | None = None) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then is not None:
            await then.wait()
        return response

    return answer


async def seen(client: ApiServer, timeout_seconds: float = 30.0) -> list[Any]:
    async with aclosing(
        client.watch("/pods", params={"watch": "true"}, timeout_seconds=timeout_seconds)
    ) as events:
        return [event async for event in events]


async def test_a_watch_gives_events_however_they_are_cut_into_pieces(server: TestServer) -> None:
    large = {"type": "ADDED", "object": {"data": "x" * 3_000_000}}
    small = {"type": "MODIFIED", "object": {}}
    text = b"".join(json.dumps(event).encode() + b"\n" for event in (large, small, small))
    server.answer = streaming(text[:10], text[10:2_000_000], text[2_000_000:-5], text[-5:])
    async with client_of(server) as client:
        assert await seen(client) == [large, small, small]


async def test_a_watch_that_falls_silent_says_so(server: TestServer) -> None:
    never = asyncio.Event()
    server.answer = streaming(b'{"type":"ADDED"}\n', then=never)
    async with client_of(server) as client:
        with pytest.raises(ClusterUnreachable) as raised:
            await seen(client, timeout_seconds=0.1)
        never.set()
    assert raised.value.reason == SILENT


async def test_a_watch_that_is_cut_is_unreachable_but_not_silent(server: TestServer) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type":"ADDED"}\n')
        assert request.transport is not None
        request.transport.abort()
        return response

    server.answer = cut
    async with client_of(server) as client:
        with pytest.raises(ClusterUnreachable) as raised:
            await seen(client)
    assert raised.value.reason != SILENT


@pytest.mark.parametrize(
    ("status", "expected"),
    [pytest.param(404, NotFound, id="404"), pytest.param(500, ServerError, id="500")],
)
async def test_a_watch_that_is_refused_is_told_by_kind(
    server: TestServer, status: int, expected: type[Exception]
) -> None:
    server.answers({"kind": "Status", "message": "no"}, status=status)
    async with client_of(server) as client:
        with pytest.raises(expected):
            await seen(client)


async def test_closing_twice_is_safe_and_a_closed_client_opens_again(server: TestServer) -> None:
    server.answers({})
    async with client_of(server) as client:
        await client.request("GET", "/x")
        await client.close()
        await client.close()
        assert await client.request("GET", "/x") == {}


async def test_the_namespace_is_the_contexts(server: TestServer) -> None:
    async with client_of(server) as client:
        assert client.namespace == "spark"
    async with client_of(server, namespace="other") as client:
        assert client.namespace == "other"


async def test_a_broken_certificate_authority_is_a_configuration_error(server: TestServer) -> None:
    content = server.kubeconfig()
    content["clusters"][0]["cluster"]["certificate-authority-data"] = "bm90IGEgY2VydGlmaWNhdGU="
    with pytest.raises(InvalidConfiguration, match="certificate"):
        async with client_of(server, content):
            pass


SLOW_THE_SECOND_TIME = """
import json, pathlib, time
marker = pathlib.Path(__file__).with_name("asked")
if marker.exists():
    time.sleep(600)
marker.touch()
print(json.dumps({"status": {"token": "t", "expirationTimestamp": "2020-01-01T00:00:00Z"}}))
"""


async def test_a_plugin_that_hangs_does_not_hold_a_call_longer_than_its_timeout(
    server: TestServer, tmp_path: Path
) -> None:
    server.answers({})
    content = server.kubeconfig(exec=plugin(tmp_path, SLOW_THE_SECOND_TIME))
    settings = cluster_settings({"kube_config": content})
    async with await ApiServer.open(settings, refresh_seconds=0.0) as client:
        with pytest.raises(ClusterUnreachable, match="does not answer"):
            await client.request("GET", "/x", timeout_seconds=0.2)
    assert [p for p in psutil.process_iter() if str(tmp_path) in " ".join(_command_line(p))] == []


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
