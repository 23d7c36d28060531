"""The client for a real API server; heavy to import, so hooks do it when they need it."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from weakref import WeakSet

import aiohttp
from yarl import URL

from airflow_spark_k8s.exceptions import ClusterUnreachable
from airflow_spark_k8s.kube.cluster import JSON, SILENT
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.kube.credentials import REFRESH_SECONDS, Credentials, Endpoint, Renew
from airflow_spark_k8s.kube.errors import error_from_answer, unreachable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

CONNECT_SECONDS = 15.0
OPENING_SECONDS = 30.0
MAX_CONNECTIONS = 100
USER_AGENT = "airflow-spark-k8s"


class ApiServer:
    """
    One API server over HTTPS: a `Cluster` with a connection pool and credentials of its own.

    Use it on one event loop, and close it there.
    """

    def __init__(self, credentials: Credentials, *, tcp_keepalive: bool = True) -> None:
        self._credentials = credentials
        self._tcp_keepalive = tcp_keepalive
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def open(
        cls,
        settings: ClusterSettings,
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        renew: Renew | None = None,
    ) -> ApiServer:
        """
        A client whose credentials are loaded; nothing has been asked of the server yet.

        `refresh_seconds` is how long credentials are used before their source is asked again. `renew` gives
        the settings as they are now, for when those at hand are refused; None: they never change.

        Raises:
            InvalidConfiguration: the kubeconfig or service account is missing or malformed.
            Unauthorized: a credential plug-in failed.

        """
        credentials = await Credentials.load(settings, refresh_seconds=refresh_seconds, renew=renew)
        return cls(credentials, tcp_keepalive=settings.tcp_keepalive)

    @property
    def host(self) -> str:
        """Address of the server, `https://name:port`."""
        return self._credentials.endpoint.host

    @property
    def namespace(self) -> str:
        """Namespace for applications that name none."""
        return self._credentials.namespace

    @property
    def generation(self) -> int:
        """Counts how often credentials, and perhaps the server's address, were loaded anew."""
        return self._credentials.generation

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object | None = None,
        content_type: str = "application/json",
        timeout_seconds: float = 30.0,
    ) -> JSON:
        """Answer of one call, decoded; `{}` if the body is empty."""
        call = _Call(method, path, params, body, content_type)
        answer = await self._answer(call, timeout_seconds)
        if not answer.strip():
            return {}
        decoded = self._decoded(call, answer)
        if not isinstance(decoded, dict):
            raise self._no_kubernetes(call)
        return decoded

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        """Answer of one GET as text; bytes that are no UTF-8 are replaced."""
        answer = await self._answer(_Call("GET", path, params), timeout_seconds)
        return answer.decode("utf-8", errors="replace")

    async def watch(
        self, path: str, *, params: Mapping[str, str], timeout_seconds: float
    ) -> AsyncGenerator[JSON, None]:
        """Events of a watch, as sent, until the server ends it or is silent for `timeout_seconds`."""
        call = _Call("GET", path, params)
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=timeout_seconds)
        with self._translated(call):
            async with AsyncExitStack() as stack:
                # A server begins its answer at once, however long the first event takes.
                async with asyncio.timeout(min(OPENING_SECONDS, timeout_seconds)):
                    response = await stack.enter_async_context(self._response(call, limits))
                rest = b""
                async for chunk in _chunks(response, call, self.host):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        if line.strip():
                            yield self._decoded(call, line)

    async def close(self) -> None:
        """Close sockets; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            connector = session.connector
            await session.close()
            if isinstance(connector, _Connector):
                await connector.drop()
        await self._credentials.close()

    async def _answer(self, call: _Call, timeout_seconds: float) -> bytes:
        limits = aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS)
        with self._translated(call):
            async with asyncio.timeout(timeout_seconds), self._response(call, limits) as response:
                return await response.read()

    @asynccontextmanager
    async def _response(
        self, call: _Call, limits: aiohttp.ClientTimeout
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """The response, if it is a success; a 401 is tried once more with credentials loaded anew."""
        generation = self._credentials.generation
        response = await self._send(call, limits)
        if response.status == 401:
            response.close()
            host = self.host
            await self._credentials.replace(generation)
            if self.host != host:
                # Whether this is the same cluster under another name, the caller has to find out first.
                raise ClusterUnreachable(
                    f"the connection leads to {self.host} instead of {host} now ({call})"
                )
            response = await self._send(call, limits)
        try:
            if response.status >= 300:
                body = await response.read()
                raise error_from_answer(call.method, call.path, response.status, body, response.headers)
            yield response
        finally:
            response.close()

    async def _send(self, call: _Call, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": call.content_type}
        headers |= await self._credentials.headers()
        endpoint = self._credentials.endpoint
        return await self._open_session().request(
            call.method,
            _url(endpoint, call),
            data=None if call.body is None else json.dumps(call.body),
            headers=headers,
            ssl=True if endpoint.tls is None else endpoint.tls,
            server_hostname=endpoint.server_name,
            proxy=endpoint.proxy,
            timeout=limits,
            # A redirect could carry the token to somebody else.
            allow_redirects=False,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = _Connector(
                limit=MAX_CONNECTIONS, socket_factory=_kept_alive if self._tcp_keepalive else None
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT},
                # As with kubectl, a proxy of the environment is not asked for this machine itself.
                trust_env=not _is_loopback(self.host),
            )
        return self._session

    @contextmanager
    def _translated(self, call: _Call) -> Iterator[None]:
        """What network and TLS raise becomes ClusterUnreachable."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(self.host, str(call), error) from error

    def _decoded(self, call: _Call, answer: bytes) -> Any:
        try:
            return json.loads(answer)
        except ValueError as error:
            raise self._no_kubernetes(call) from error

    def _no_kubernetes(self, call: _Call) -> ClusterUnreachable:
        return ClusterUnreachable(
            f"{self.host} answers, but not as a Kubernetes API server does ({call}); "
            "check the server's address in the kubeconfig"
        )


class _Connector(aiohttp.TCPConnector):
    """
    A pool that also ends connections which were given up in the middle of a call.

    Those say good-bye to the server and wait for its answer, on an event loop that may be closed before.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._transports: WeakSet[asyncio.Transport] = WeakSet()

    async def _create_connection(self, *request: Any, **options: Any) -> Any:
        protocol = await super()._create_connection(*request, **options)
        if protocol.transport is not None:
            self._transports.add(protocol.transport)
        return protocol

    async def drop(self) -> None:
        """End what is left of all connections."""
        for transport in list(self._transports):
            transport.abort()
        for _ in range(2):  # for the TLS layer, and for the socket below it
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: object | None = field(default=None, repr=False)
    content_type: str = "application/json"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


async def _chunks(response: aiohttp.ClientResponse, call: _Call, host: str) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            chunk = await response.content.readany()
        except aiohttp.SocketTimeoutError as error:
            raise ClusterUnreachable(f"{host}: nothing came for too long ({call})", reason=SILENT) from error
        if not chunk:
            return
        yield chunk


def _url(endpoint: Endpoint, call: _Call) -> URL:
    query = f"?{urlencode(call.params)}" if call.params else ""
    return URL(f"{endpoint.host}{call.path}{query}", encoded=True)


def _kept_alive(address: tuple[Any, ...]) -> socket.socket:
    """A socket that notices within about a minute that nobody is at the other end any more."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE_OPTIONS.items():
        # Not every operating system has them all.
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock


_KEEPALIVE_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


def _is_loopback(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
