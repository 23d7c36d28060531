"""One kind of objects under observation: list, watch from there, list again when the watch cannot go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import ClusterError, ClusterUnreachable, Gone
from airflow_spark_k8s.kube.cluster import JSON, SILENT, Cluster
from airflow_spark_k8s.kube.errors import error_from_status

PAGE_SIZE = 500
"""Objects of one page of a list; what kubectl and client-go ask for."""

SERVER_TIMEOUT_SECONDS = 300
"""The server ends a watch after this long, plus up to half as much by jitter; the next one continues it."""

SILENCE_SECONDS = 150.0
"""Without an event or bookmark for this long the connection may be dead; bookmarks come once a minute."""

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects there are, as of `resource_version`: whatever was known before is replaced by them."""

    objects: tuple[Manifest, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One object was added, modified or deleted, or began or ceased to match the selectors."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Manifest


@dataclass(frozen=True, slots=True)
class Interrupted:
    """
    The objects cannot be watched: the server refuses or does not answer. What is known may be outdated.

    There is one for every failed attempt; the next `Listed` ends the interruption.
    """

    error: ClusterError


WatchUpdate = Listed | Changed | Interrupted


async def watch_objects(
    cluster: Cluster,
    path: str,
    *,
    sleep: Callable[[float], Awaitable[None]],
    jitter: Callable[[], float],
    label_selector: str | None = None,
    field_selector: str | None = None,
    timeout_seconds: float = 30.0,
    silence_seconds: float = SILENCE_SECONDS,
) -> AsyncGenerator[WatchUpdate, None]:
    """
    Updates about the objects under `path`, endlessly and without ever raising a ClusterError.

    The first update is `Listed` or `Interrupted`. Of the objects' history only the latest state is promised:
    after an interruption or when the server has forgotten the resource version, a new `Listed` stands for
    everything missed. Close the iterator (`aclosing`) to stop.

    :param sleep: called between failed attempts, for 1 s doubling to 30 s, or what the server asks for.
    :param jitter: a number in [0, 1); spreads pauses and the length of watches.
    :param timeout_seconds: for one page of a list.
    :param silence_seconds: how long a watch may bring nothing before it is opened anew.

    Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
    """
    selectors = _selectors(label_selector, field_selector)
    pauses = _Pauses(sleep, jitter)
    while True:
        try:
            listed = await _list(cluster, path, selectors, timeout_seconds)
        except Gone:  # the pages of a list took longer than the server remembers
            await pauses.wait()
            continue
        except ClusterError as error:
            yield Interrupted(error)
            await pauses.wait(error)
            continue
        yield listed
        trail = _Trail(listed.resource_version)
        try:
            async with aclosing(_follow(cluster, path, selectors, trail, pauses, silence_seconds)) as changes:
                async for change in changes:
                    yield change
        except Gone:
            # Without a pause a server that forgets everything at once would be listed in a tight loop.
            if not trail.moved:
                await pauses.wait()
        except ClusterError as error:
            yield Interrupted(error)
            await pauses.wait(error)


async def list_objects(
    cluster: Cluster, path: str, *, label_selector: str, timeout_seconds: float = 30.0
) -> Listed:
    """
    The objects under `path` that match a label selector, as they are now.

    :param timeout_seconds: for one page.
    :raises ClusterError: if the server does not give them.
    """
    return await _list(cluster, path, _selectors(label_selector, None), timeout_seconds)


class _Trail:
    """The resource version up to which a watch has delivered everything."""

    def __init__(self, resource_version: str) -> None:
        self.resource_version = resource_version
        self.moved = False

    def advance(self, obj: Manifest) -> None:
        self.resource_version = obj["metadata"]["resourceVersion"]
        self.moved = True


class _Pauses:
    """Pauses that double while nothing succeeds."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]], jitter: Callable[[], float]) -> None:
        self._sleep = sleep
        self.jitter = jitter
        self._next_seconds = FIRST_PAUSE_SECONDS

    def reset(self) -> None:
        self._next_seconds = FIRST_PAUSE_SECONDS

    async def wait(self, error: ClusterError | None = None) -> None:
        seconds = self._next_seconds * (0.5 + self.jitter() / 2)
        self._next_seconds = min(2 * self._next_seconds, LONGEST_PAUSE_SECONDS)
        if error is not None and error.retry_after_seconds is not None:
            # Never earlier than asked for, and not all at the same moment.
            seconds = max(seconds, error.retry_after_seconds * (1 + self.jitter() / 4))
        await self._sleep(seconds)

    async def wait_briefly(self) -> None:
        await self._sleep(FIRST_PAUSE_SECONDS * (0.5 + self.jitter() / 2))


async def _list(cluster: Cluster, path: str, selectors: dict[str, str], timeout_seconds: float) -> Listed:
    objects: list[Manifest] = []
    page_token = ""
    while True:
        params = {**selectors, "limit": str(PAGE_SIZE), **({"continue": page_token} if page_token else {})}
        page = await cluster.request("GET", path, params=params, timeout_seconds=timeout_seconds)
        metadata = page.get("metadata") or {}
        objects.extend(page.get("items") or ())
        page_token = metadata.get("continue") or ""
        if not page_token:
            return Listed(tuple(objects), metadata.get("resourceVersion", ""))


async def _follow(
    cluster: Cluster,
    path: str,
    selectors: dict[str, str],
    trail: _Trail,
    pauses: _Pauses,
    silence_seconds: float,
) -> AsyncGenerator[Changed, None]:
    """Changes after `trail`, over as many watches as end normally; raises the error that breaks one."""
    while True:
        params = {
            **selectors,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": trail.resource_version,
            "timeoutSeconds": str(SERVER_TIMEOUT_SECONDS + int(pauses.jitter() * SERVER_TIMEOUT_SECONDS / 2)),
        }
        started_at = trail.resource_version
        try:
            async with aclosing(
                _events(cluster.watch(path, params=params, timeout_seconds=silence_seconds))
            ) as events:
                async for event in events:
                    change = _change(event, trail)
                    pauses.reset()
                    if change is not None:
                        yield change
        except ClusterUnreachable as error:
            # Silence alone does not prove an outage: the next watch, opened at once, will show.
            if error.reason != SILENT:
                raise
            continue
        if trail.resource_version == started_at:
            # A server that is shutting down ends its watches at once: it must not be asked without a pause.
            await pauses.wait_briefly()


async def _events(source: AsyncIterator[JSON]) -> AsyncGenerator[JSON, None]:
    """The events of `source`, closed with it where it can be closed."""
    try:
        async for event in source:
            yield event
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


def _change(event: JSON, trail: _Trail) -> Changed | None:
    kind, obj = event["type"], event["object"]
    if kind == "ERROR":
        raise error_from_status(obj)
    trail.advance(obj)
    return None if kind == "BOOKMARK" else Changed(kind, obj)


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    named = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in named.items() if value}
