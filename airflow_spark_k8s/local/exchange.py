"""Requests to the API and what it answers, without any network library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain"

Emit = Callable[[Manifest], None]
Cancel = Callable[[], None]


@dataclass(frozen=True, slots=True)
class User:
    """Who sends a request."""

    name: str
    groups: tuple[str, ...] = ("system:authenticated",)


ADMIN = User("kubernetes-admin", ("system:masters", "system:authenticated"))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `query` is decoded, header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    user: User = ADMIN

    def parameter(self, name: str) -> str | None:
        """First value of a query parameter; None if it is absent or empty."""
        values = self.query.get(name)
        return values[0] if values and values[0] else None

    def flag(self, name: str) -> bool:
        """Whether a boolean query parameter is set."""
        return (self.parameter(name) or "").lower() in ("1", "t", "true")


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer; `body` is JSON if it is a dict."""

    status: int = 200
    body: Manifest | bytes | str = field(default_factory=dict)
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # one Warning header each

    def encoded(self) -> bytes:
        """The body as it is sent."""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Watch(Protocol):
    """An answer that goes on: events until somebody stops it."""

    @property
    def timeout_seconds(self) -> float | None:
        """When the client wants it to end; None: the server decides."""
        ...

    def open(self, emit: Emit) -> Cancel:
        """A function that ends the watch; `emit` gets every event, those so far before this returns."""
        ...

    def bookmark(self) -> Manifest | None:
        """A BOOKMARK event for now; None if the client did not ask for bookmarks."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the watch has sent its last event (an ERROR)."""
        ...


@dataclass(frozen=True, slots=True)
class LogStream:
    """A container's log that is followed; `open(write, ended)` starts it, its result ends it."""

    open: Callable[[Callable[[bytes], None], Callable[[], None]], Cancel]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A request that is to be passed on to a pod."""

    address: str
    port: int
    scheme: str  # http or https
    path: str  # absolute, still quoted
    query: str  # as sent, without `?`


Answer = Response | Watch | LogStream | Proxy


def failure(error: ApiError) -> Response:
    """The response for an error."""
    return Response(error.code, error.status(), headers=error.headers)
