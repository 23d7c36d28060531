"""The local cluster without a socket, as the rest of the package sees a cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from urllib.parse import parse_qs

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import ClusterUnreachable
from airflow_spark_k8s.kube.cluster import JSON, SILENT
from airflow_spark_k8s.kube.errors import error_from_answer
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.api_pods import refused
from airflow_spark_k8s.local.exchange import ADMIN, Answer, LogStream, Proxy, Request, Response, User, failure
from airflow_spark_k8s.local.manifests import copy_manifest


class InProcessCluster:
    """
    `kube.cluster.Cluster` over `Api.handle`: for tests on virtual time.

    :param api: the API to ask.
    :param user: who asks.
    :param sharing: hand out the store's own objects, not to be changed: copies take most of the time.
    """

    def __init__(self, api: Api, user: User = ADMIN, *, sharing: bool = False) -> None:
        self._api = api
        self._user = user
        self._sharing = sharing

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
        """Answer of one call, decoded; `{}` if the body is empty. Raises what `kube.errors` makes of it."""
        encoded = b"" if body is None else json.dumps(body).encode()
        answer = await self._ask(method, path, params, encoded, {"content-type": content_type})
        if self._sharing and isinstance(answer.body, dict):
            return answer.body
        text = answer.encoded()
        decoded: JSON = json.loads(text) if text.strip() else {}
        return decoded

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        """Answer of one GET as text. Raises what `kube.errors` makes of failures."""
        return (await self._ask("GET", path, params, b"", {})).encoded().decode("utf-8", "replace")

    async def watch(
        self, path: str, *, params: Mapping[str, str], timeout_seconds: float
    ) -> AsyncIterator[JSON]:
        """Events of a watch, as sent; raises ClusterUnreachable after `timeout_seconds` of silence."""
        await asyncio.sleep(0)
        answer = self._handle("GET", path, {**params, "watch": "true"}, b"", {})
        if isinstance(answer, Response):
            self._raise_if_failed("GET", path, answer)
        if isinstance(answer, (Response, LogStream, Proxy)):
            raise ClusterUnreachable(f"{path} cannot be watched")
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Manifest | None] = asyncio.Queue()
        lasts = answer.timeout_seconds
        timer = None if lasts is None else loop.call_later(lasts, events.put_nowait, None)
        cancel = answer.open(events.put_nowait)
        try:
            while not (answer.is_over and events.empty()):
                try:
                    async with asyncio.timeout(timeout_seconds):
                        event = await events.get()
                except TimeoutError as error:
                    raise ClusterUnreachable(
                        f"the watch of {path} is silent for {timeout_seconds} s", reason=SILENT
                    ) from error
                if event is None:
                    return
                yield event if self._sharing else copy_manifest(event)
        finally:
            cancel()
            if timer is not None:
                timer.cancel()

    async def close(self) -> None:
        """Do nothing: there is no socket."""

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Response:
        await asyncio.sleep(0)  # as with a socket, others get their turn
        answer = self._handle(method, path, params or {}, body, headers)
        if isinstance(answer, Proxy):
            answer = failure(refused(answer.address, answer.port))
        if not isinstance(answer, Response):
            raise ClusterUnreachable(f"{method} {path} has an endless answer")
        self._raise_if_failed(method, path, answer)
        return answer

    def _handle(
        self, method: str, path: str, params: Mapping[str, str], body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        bare, _, query = path.partition("?")
        values = parse_qs(query, keep_blank_values=True) | {name: [value] for name, value in params.items()}
        return self._api.handle(Request(method, bare, values, headers, body, self._user))

    @staticmethod
    def _raise_if_failed(method: str, path: str, answer: Response) -> None:
        if answer.status >= 300:
            raise error_from_answer(method, path, answer.status, answer.encoded(), answer.headers)
