"""One API server, as the rest of the package sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

JSON = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"

SILENT = "Silent"
"""`reason` of the ClusterUnreachable that ends a watch on which nothing came for too long."""


class Cluster(Protocol):
    """
    One API server and the credentials for it.

    All paths are absolute (`/api/v1/namespaces/spark/pods`). Every method raises a subclass of
    `exceptions.ClusterError` and nothing else; a call never takes longer than its timeout.
    """

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
        """Answer of one call, decoded; `{}` if the body is empty. `body` is any JSON value."""
        ...

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        """Answer of one GET as text: pod logs, or JSON lists behind the pod proxy."""
        ...

    def watch(self, path: str, *, params: Mapping[str, str], timeout_seconds: float) -> AsyncIterator[JSON]:
        """
        Events of a watch, as sent, until the server ends it.

        Silence longer than `timeout_seconds` raises ClusterUnreachable with the reason `SILENT`.
        """
        ...

    async def close(self) -> None:
        """Close sockets; safe to call twice."""
        ...
