"""
Whether a connection still leads to the cluster that an application was submitted to.

A cluster has no name of its own. What tells two of them apart, and may be read with a right inside the
namespace, is the uid of the namespace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import ClusterUnreachable, Forbidden, NotFound, Unauthorized, WrongCluster
from airflow_spark_k8s.kube.cluster import JSON, Cluster

_DOUBTFUL = (ClusterUnreachable, Unauthorized)
"""After these another server may answer: an address moved, a backup was restored, credentials changed."""


async def namespace_uid(cluster: Cluster, namespace: str) -> str:
    """
    Uid of the namespace; empty if it may not be read.

    Raises:
        NotFound: there is no such namespace.
        ClusterError: the server refuses or does not answer.

    """
    try:
        return str((await cluster.request("GET", _path(namespace)))["metadata"]["uid"])
    except Forbidden:
        return ""


def guarded(
    cluster: Cluster, reference: ApplicationReference, *, generation: Callable[[], int] = lambda: 0
) -> Cluster:
    """
    `cluster`, where every call raises WrongCluster if the application was submitted to another one.

    :param generation: changes when the cluster's address or credentials may have.
    """
    return _Guarded(cluster, reference, generation) if reference.namespace_uid else cluster


class _Guarded:
    """Asks who answers before the first call, and again whenever that may have changed."""

    def __init__(
        self, cluster: Cluster, reference: ApplicationReference, generation: Callable[[], int]
    ) -> None:
        self._cluster = cluster
        self._reference = reference
        self._generation = generation
        self._known: int | None = None  # the generation that was found right; None: nobody has looked
        self._looking = asyncio.Lock()

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
        """As the cluster, after a look at who answers."""
        await self._verify(timeout_seconds)
        with _Doubt(self):
            return await self._cluster.request(
                method,
                path,
                params=params,
                body=body,
                content_type=content_type,
                timeout_seconds=timeout_seconds,
            )

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        """As the cluster, after a look at who answers."""
        await self._verify(timeout_seconds)
        with _Doubt(self):
            return await self._cluster.text(path, params=params, timeout_seconds=timeout_seconds)

    def watch(self, path: str, *, params: Mapping[str, str], timeout_seconds: float) -> AsyncIterator[JSON]:
        """As the cluster, after a look at who answers."""
        return self._watched(path, params, timeout_seconds)

    async def _watched(
        self, path: str, params: Mapping[str, str], timeout_seconds: float
    ) -> AsyncGenerator[JSON, None]:
        await self._verify(timeout_seconds)
        events = self._cluster.watch(path, params=params, timeout_seconds=timeout_seconds)
        with _Doubt(self):
            async with aclosing(events) as open_events:  # type: ignore[type-var]
                async for event in open_events:
                    yield event

    async def close(self) -> None:
        """As the cluster."""
        await self._cluster.close()

    def doubt(self) -> None:
        """Look again before the next call."""
        self._known = None

    async def _verify(self, timeout_seconds: float) -> None:
        async with self._looking:
            if self._known != self._generation():
                await self._look(timeout_seconds)

    async def _look(self, timeout_seconds: float) -> None:
        generation, reference = self._generation(), self._reference
        try:
            namespace = await self._cluster.request(
                "GET", _path(reference.namespace), timeout_seconds=timeout_seconds
            )
        except NotFound as error:
            raise WrongCluster(_missing(reference)) from error
        except Forbidden:
            pass  # the right was withdrawn: the calls themselves have to show
        else:
            if namespace["metadata"]["uid"] != reference.namespace_uid:
                raise WrongCluster(_other(reference, namespace["metadata"]["uid"]))
        self._known = generation


class _Doubt:
    """Does not catch errors, but makes the guard look again after those that may mean another server."""

    def __init__(self, guard: _Guarded) -> None:
        self._guard = guard

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _DOUBTFUL):
            self._guard.doubt()


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}"


def _other(reference: ApplicationReference, uid: str) -> str:
    return (
        f"the connection leads to another cluster than application {reference.application} was submitted to: "
        f"namespace {reference.namespace} has the uid {uid} there, not {reference.namespace_uid}; "
        f"{_remedy(reference)}"
    )


def _missing(reference: ApplicationReference) -> str:
    return (
        f"the connection leads to a cluster without namespace {reference.namespace}, to which application "
        f"{reference.application} was submitted: it is another cluster, or the namespace was deleted; "
        f"{_remedy(reference)}"
    )


def _remedy(reference: ApplicationReference) -> str:
    return (
        "nothing was touched. If the application still runs in its own cluster, remove it there: "
        f"kubectl -n {reference.namespace} delete jobs -l {LABEL_APPLICATION}={reference.application}"
    )
