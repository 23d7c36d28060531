"""The API over HTTPS: chunked and WebSocket watches, followed logs, the pod proxy."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.api_pods import refused
from airflow_spark_k8s.local.certificates import Certificates
from airflow_spark_k8s.local.decoding import BODY_LIMIT_BYTES
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.exchange import TEXT_TYPE, LogStream, Proxy, Request, Response, Watch, failure

log = logging.getLogger(__name__)

_WATCH_SECONDS = 2700.0  # how long a watch without timeoutSeconds lasts
_BOOKMARK_SECONDS = 60.0
_LAST_BOOKMARK_SECONDS = 2.0  # before the end of the watch
_PROXY_SECONDS = 30.0
_SHUTDOWN_SECONDS = 1.0
_HOP_BY_HOP = {
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_NOT_PASSED_ON = _HOP_BY_HOP | {"authorization", "accept-encoding", "content-encoding"}


class HttpsServer:
    """Serves an `Api` on one address until it is stopped."""

    def __init__(
        self, api: Api, certificates: Certificates, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._api = api
        self._certificates = certificates
        self._host = host
        self._port = port  # 0: any free one
        self._runner: web.ServerRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._streams: set[asyncio.Task[object]] = set()

    @property
    def url(self) -> str:
        """Where it is reached; the port is known once `start` has returned."""
        return f"https://{self._host}:{self._port}"

    async def start(self) -> str:
        """The URL of the running server; raises OSError if the port is taken."""
        server = web.Server(self._answer, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner,
            self._host,
            self._port,
            ssl_context=self._certificates.server_context(),
            backlog=1024,
        )
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self.url

    async def stop(self) -> None:
        """End every watch and close every socket; safe to call twice."""
        for task in tuple(self._streams):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            request = await self._request(http)
            answer = self._api.handle(request)
        except ApiError as error:
            return _response(failure(error))
        except Exception:
            log.exception("%s %s failed", http.method, http.path)
            return _response(failure(ApiError(500, "InternalError", "Internal error occurred", {})))
        if isinstance(answer, Response):
            return _response(answer)
        task = asyncio.current_task()
        if task is not None:
            self._streams.add(task)
            task.add_done_callback(self._streams.discard)
        if isinstance(answer, Proxy):
            return await self._pass_on(http, request, answer)
        if isinstance(answer, LogStream):
            return await _stream_log(http, answer)
        if http.headers.get("Upgrade", "").lower() == "websocket":
            return await _watch_by_websocket(http, answer)
        return await _watch_by_chunks(http, answer)

    async def _request(self, http: web.BaseRequest) -> Request:
        user = self._api.tokens.user(http.headers.get("Authorization"))
        body = b""
        if http.body_exists:
            body = await http.content.read(BODY_LIMIT_BYTES + 1)
            while not http.content.at_eof() and len(body) <= BODY_LIMIT_BYTES:
                body += await http.content.read(BODY_LIMIT_BYTES)
        headers = {name.lower(): ", ".join(http.headers.getall(name)) for name in http.headers}
        user = self._api.tokens.acting_as(user, headers)
        query = {name: http.query.getall(name) for name in http.query}
        return Request(http.method, http.path, query, headers, body, user)

    async def _pass_on(self, http: web.BaseRequest, request: Request, proxy: Proxy) -> web.StreamResponse:
        if self._session is None:
            return _response(failure(ApiError(503, "ServiceUnavailable", "the server is stopping")))
        url = f"{proxy.scheme}://{proxy.address}:{proxy.port}{proxy.path}"
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON}
        try:
            async with self._session.request(
                request.method,
                f"{url}?{proxy.query}" if proxy.query else url,
                headers=headers | {"accept-encoding": "identity"},
                data=io.BytesIO(request.body) if request.body else None,
                allow_redirects=False,
                ssl=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_PROXY_SECONDS, sock_read=_PROXY_SECONDS
                ),
            ) as answer:
                return await _copy(http, answer)
        except aiohttp.ClientConnectorError as error:
            why = (
                "connect: connection refused"
                if isinstance(error.os_error, ConnectionRefusedError)
                else str(error)
            )
            return _response(failure(refused(proxy.address, proxy.port, why)))
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"error trying to reach service: {error or type(error).__name__}"
            return _response(failure(ApiError(502, "", message)))


async def _copy(http: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(http)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _response(answer: Response) -> web.Response:
    response = web.Response(status=answer.status, body=answer.encoded(), headers=dict(answer.headers))
    if answer.status != 204:
        response.headers["Content-Type"] = answer.content_type
    for warning in answer.warnings:
        quoted = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


async def _stream_log(http: web.BaseRequest, stream: LogStream) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": TEXT_TYPE})
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
    await response.prepare(http)
    cancel = stream.open(chunks.put_nowait, lambda: chunks.put_nowait(None))
    try:
        while (chunk := await chunks.get()) is not None:
            await response.write(chunk)
        await response.write_eof()
    except ConnectionError:
        pass  # the client has seen enough
    finally:
        cancel()
    return response


async def _watch_by_chunks(http: web.BaseRequest, watch: Watch) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(http)
    try:
        async for line in watch_lines(watch):
            await response.write(line)
        await response.write_eof()
    except ConnectionError:
        pass  # the client has gone
    return response


async def _watch_by_websocket(http: web.BaseRequest, watch: Watch) -> web.StreamResponse:
    socket = web.WebSocketResponse(timeout=_SHUTDOWN_SECONDS)
    await socket.prepare(http)
    sender = asyncio.create_task(_send_events(socket, watch))
    try:
        async for _ in socket:
            pass  # a watch has nothing to hear; reading is how its end is noticed
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
    return socket


async def _send_events(socket: web.WebSocketResponse, watch: Watch) -> None:
    async for line in watch_lines(watch):
        await socket.send_str(line.decode())
    await socket.close()


async def watch_lines(watch: Watch) -> AsyncIterator[bytes]:
    """The watch's events as lines of JSON, with bookmarks every minute and shortly before its end."""
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Manifest] = asyncio.Queue()
    lasts = watch.timeout_seconds or _WATCH_SECONDS
    end = loop.time() + lasts
    bookmarks = _bookmark_times(loop.time(), end)
    cancel = watch.open(events.put_nowait)
    try:
        while not (watch.is_over and events.empty()):
            due = min(bookmarks[0], end) if bookmarks else end
            try:
                async with asyncio.timeout_at(due):
                    yield _line(await events.get())
            except TimeoutError:
                if loop.time() >= end:
                    return
                bookmarks = bookmarks[1:]
                if (bookmark := watch.bookmark()) is not None:
                    yield _line(bookmark)
    finally:
        cancel()


def _bookmark_times(start: float, end: float) -> list[float]:
    regular = [start + _BOOKMARK_SECONDS * n for n in range(1, int((end - start) / _BOOKMARK_SECONDS) + 1)]
    last = max(end - _LAST_BOOKMARK_SECONDS, start + (end - start) / 2)
    return [*(each for each in regular if each < last), last]


def _line(event: Manifest) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
