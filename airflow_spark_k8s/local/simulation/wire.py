"""The network between a process and the API server: a `kube.cluster.Cluster` where all may go wrong."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from airflow_spark_k8s.exceptions import ClusterError, ClusterUnreachable
from airflow_spark_k8s.kube.cluster import JSON, SILENT, Cluster
from airflow_spark_k8s.kube.errors import error_from_answer
from airflow_spark_k8s.local.api import refusal
from airflow_spark_k8s.local.exchange import Request, User
from airflow_spark_k8s.local.routing import parse_path
from airflow_spark_k8s.local.simulation.process import Process
from airflow_spark_k8s.local.simulation.trace import Trace
from airflow_spark_k8s.local.simulation.weather import WRITES, Kind, Weather

T = TypeVar("T")

_STATUS = {
    Kind.UNAUTHORIZED: (401, "Unauthorized", "Unauthorized"),
    Kind.FORBIDDEN: (403, "Forbidden", "forbidden"),
    Kind.CONFLICT: (409, "Conflict", "the object has been modified; please apply your changes to it"),
    Kind.GONE: (410, "Expired", "The provided continue parameter is too old"),
    Kind.TOO_MANY: (429, "TooManyRequests", "the server has received too many requests"),
    Kind.SERVER_ERROR: (500, "InternalError", "etcdserver: leader changed"),
    Kind.UNAVAILABLE: (503, "ServiceUnavailable", "apiserver is shutting down"),
}
_AIRFLOW = User("airflow")
_REPEATED = 4
_LATEST_SECONDS = 20.0


@dataclass(slots=True)
class Gate:
    """What the API server demands of credentials, and what their source gives out."""

    demanded: int = 0
    given_out: int = 0


class Wire:
    """
    The API server as one process sees it.

    :param cluster: the API server itself.
    :param network: spells may hit only the processes in one network.
    """

    def __init__(
        self, cluster: Cluster, process: Process, weather: Weather, gate: Gate, trace: Trace, network: int
    ) -> None:
        self._cluster = cluster
        self._process = process
        self._weather = weather
        self._gate = gate
        self._trace = trace
        self._network = network
        self._open: list[_Arrivals] = []

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
        """Answer of one call; see `kube.cluster.Cluster`."""
        verb = _verb(method, path)
        call = self._cluster.request(method, path, params=params, body=body, content_type=content_type)
        return await self._call(verb, f"{method} {path}", call, timeout_seconds)

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        """Answer of one GET as text; see `kube.cluster.Cluster`."""
        return await self._call(
            "GET", f"GET {path}", self._cluster.text(path, params=params), timeout_seconds
        )

    async def watch(
        self, path: str, *, params: Mapping[str, str], timeout_seconds: float
    ) -> AsyncIterator[JSON]:
        """Events of a watch; see `kube.cluster.Cluster`."""
        await self._call("WATCH", f"WATCH {path}", _nothing(), timeout_seconds)
        source = cast(
            AsyncGenerator[JSON, None],
            self._cluster.watch(path, params=params, timeout_seconds=timeout_seconds),
        )
        arrivals = _Arrivals(source)
        self._open.append(arrivals)
        try:
            async with aclosing(self._events(path, arrivals, timeout_seconds)) as events:
                async for event in events:
                    yield event
        finally:
            self._open.remove(arrivals)
            await arrivals.close()

    def cut_watches(self) -> None:
        """Break every connection on which a watch is open."""
        for arrivals in self._open:
            arrivals.put(ClusterUnreachable("connection reset by peer"))

    async def close(self) -> None:
        """Do nothing: there is no socket."""

    # calls

    async def _call(self, verb: str, what: str, call: Coroutine[Any, Any, T], timeout_seconds: float) -> T:
        try:
            self._process.step()
            await self._authenticate(what)
            kind = self._weather.of_call(verb, self._network)
            if kind is not None:
                self._note(kind, what)
            if kind is not None and self._is_refused(kind, verb):
                await asyncio.sleep(self._weather.latency())
                raise self._error(kind, what)
        except BaseException:
            call.close()
            raise
        return await self._sent(kind, what, call, timeout_seconds)

    async def _sent(
        self, kind: Kind | None, what: str, call: Coroutine[Any, Any, T], timeout_seconds: float
    ) -> T:
        """Send the call; the server carries it out even if nobody waits for the answer any more."""
        if kind is Kind.HUNG and self._weather.heads():
            call.close()  # it never arrives
            await asyncio.sleep(timeout_seconds)
            raise self._error(kind, what)
        there, back = self._delays(kind, timeout_seconds)
        server = asyncio.get_running_loop().create_task(_later(there, call))
        server.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(timeout_seconds):
                answer = await asyncio.shield(server)
                await asyncio.sleep(back)
                self._process.step()
        except TimeoutError as error:
            raise ClusterUnreachable(f"no answer within {timeout_seconds} s ({what})") from error
        except asyncio.CancelledError:
            if self._weather.heads():
                server.cancel()
            raise
        if kind in (Kind.LOST_ANSWER, Kind.SERVER_ERROR):
            raise self._error(kind, what)
        return answer

    def _is_refused(self, kind: Kind, verb: str) -> bool:
        """Whether the call is answered by an error without being carried out."""
        if kind is Kind.SERVER_ERROR and verb in WRITES:
            return self._weather.heads()
        return kind in _STATUS or kind in (Kind.NO_SUCH_PAGE, Kind.REFUSED)

    def _delays(self, kind: Kind | None, timeout_seconds: float) -> tuple[float, float]:
        weather = self._weather
        if kind is Kind.HUNG:
            return weather.between(0, timeout_seconds), timeout_seconds  # it arrives, its answer does not
        if kind is Kind.SLOW:
            return weather.between(0, timeout_seconds / 2), weather.between(0, timeout_seconds / 2)
        return weather.latency(), weather.latency()

    async def _authenticate(self, what: str) -> None:
        """As the real client does, try once more with the credentials that their source gives out now."""
        if self._process.generation == self._gate.demanded:
            return
        await asyncio.sleep(self._weather.latency())
        self._process.generation = self._gate.given_out
        if self._process.generation != self._gate.demanded:
            self._trace.count("old credentials")
            raise self._error(Kind.UNAUTHORIZED, what)

    def _error(self, kind: Kind, what: str) -> ClusterError:
        method, _, path = what.partition(" ")
        if kind is Kind.NO_SUCH_PAGE:
            return error_from_answer(method, path, 404, b"default backend - 404")
        if kind in _STATUS:
            status, reason, message = _STATUS[kind]
            if kind is Kind.FORBIDDEN:
                message = _refusal(method, path) or message
            body = {"kind": "Status", "code": status, "reason": reason, "message": message}
            headers = {"Retry-After": str(int(self._weather.between(1, 30)))} if status == 429 else {}
            return error_from_answer(method, path, status, json.dumps(body).encode(), headers)
        return ClusterUnreachable(f"{kind.value} ({what})")

    def _note(self, kind: Kind, what: str) -> None:
        self._trace.count(kind.value)
        self._trace.say(self._process.name, f"! {kind.value}: {what}")

    # watches

    async def _events(
        self, path: str, arrivals: _Arrivals, timeout_seconds: float
    ) -> AsyncGenerator[JSON, None]:
        recent: deque[JSON] = deque(maxlen=_REPEATED)
        due = 0.0
        while (arrival := await arrivals.get()) is not None:
            arrived, event = arrival
            kind = self._weather.of_event(self._network)
            if kind is not None:
                self._note(kind, f"watch of {path}")
            if kind in (Kind.LOST_EVENT, Kind.WATCH_CUT):
                raise ClusterUnreachable(f"connection reset by peer (WATCH {path})")
            if kind is Kind.WATCH_SILENT:
                await asyncio.sleep(timeout_seconds)
                raise ClusterUnreachable(f"nothing came for too long (WATCH {path})", reason=SILENT)
            # Events of one watch never overtake each other.
            due = max(due, arrived + self._lag(kind))
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            self._process.step()
            recent.append(event)
            for each in tuple(recent) if kind is Kind.REPEATED_EVENT else (event,):
                yield each

    def _lag(self, kind: Kind | None) -> float:
        return (
            self._weather.between(0, _LATEST_SECONDS) if kind is Kind.LATE_EVENT else self._weather.latency()
        )


class _Arrivals:
    """Events of one watch as they arrive, with the time of their arrival."""

    def __init__(self, source: AsyncGenerator[JSON, None]) -> None:
        self._events: asyncio.Queue[tuple[float, JSON] | ClusterError | None] = asyncio.Queue()
        self._source = source
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def get(self) -> tuple[float, JSON] | None:
        """The next event; None when the server has ended the watch. Raises what breaks it."""
        arrival = await self._events.get()
        if isinstance(arrival, ClusterError):
            raise arrival
        return arrival

    def put(self, error: ClusterError) -> None:
        """Break the connection."""
        self._events.put_nowait(error)

    async def close(self) -> None:
        """Stop reading."""
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(self._source) as events:
                async for event in events:
                    self._events.put_nowait((loop.time(), event))
        except ClusterError as error:
            self._events.put_nowait(error)
        else:
            self._events.put_nowait(None)


def _verb(method: str, path: str) -> str:
    collections = ("/jobs", "/pods", "/configmaps", "/secrets")
    return "LIST" if method == "GET" and path.endswith(collections) else method


def _refusal(method: str, path: str) -> str | None:
    """What an API server says that does not let Airflow do it; None: it has no words for it."""
    query = {"watch": ["true"]} if method == "WATCH" else {}
    request = Request("GET" if method == "WATCH" else method, path, query)
    target = parse_path(path)
    action = None if target is None else target.action(request)
    return None if action is None else refusal(_AIRFLOW, action).message


async def _later(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    try:
        await asyncio.sleep(seconds)
    except BaseException:
        call.close()
        raise
    return await call


async def _nothing() -> None:
    return None


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Keep asyncio from reporting an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
