"""Whether any node of the cluster is large enough for an application's pods, where nodes may be read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_spark_k8s.core.quantities import parse_quantity_bytes
from airflow_spark_k8s.core.spec import MemorySum
from airflow_spark_k8s.exceptions import ClusterError, InvalidConfiguration
from airflow_spark_k8s.kube.cluster import JSON, Cluster
from airflow_spark_k8s.templates.quality import RenderedPod, mib

LARGE_BYTES = 4 * 1024**3
"""Pods up to this size fit on any realistic node: the cluster is not asked."""

PAGE_SIZE = 100
MAX_PAGES = 20

_NODES = "/api/v1/nodes"
_TIMEOUT_SECONDS = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    allocatable_bytes: int


async def size_warnings(cluster: Cluster, pods: Iterable[RenderedPod]) -> tuple[str, ...]:
    """
    A sentence for each kind of pod that no present node can hold, or not up to its limit.

    It is no error: the cluster may get larger nodes when a pod asks for them. There are no warnings without
    the right to list nodes, nor if the first 2000 nodes are too small and there are more.
    """
    warnings = []
    for pod in pods:
        if pod.largest_bytes <= LARGE_BYTES:
            continue
        selector = pod.spec.get("nodeSelector") or {}
        node = await _largest_node(cluster, selector, pod.largest_bytes)
        if node is not None and node.allocatable_bytes < pod.largest_bytes:
            warnings.append(_warning(pod, node, selector))
    return tuple(warnings)


async def largest_node_bytes(
    cluster: Cluster, selector: Mapping[str, str], *, enough_bytes: int
) -> int | None:
    """
    Memory for pods on the largest node with these labels; None: not known, or `enough_bytes` or more.

    :param enough_bytes: the most that is needed; up to `LARGE_BYTES` the cluster is not asked.
    """
    if enough_bytes <= LARGE_BYTES:
        return None
    node = await _largest_node(cluster, selector, enough_bytes)
    return None if node is None or node.allocatable_bytes >= enough_bytes else node.allocatable_bytes


async def _largest_node(cluster: Cluster, selector: Mapping[str, str], enough_bytes: int) -> _Node | None:
    """The node with most memory, or the first that has enough; None if that cannot be known."""
    wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    params = {"limit": str(PAGE_SIZE), **({"labelSelector": wanted} if wanted else {})}
    largest: _Node | None = None
    for _ in range(MAX_PAGES):
        try:
            page = await cluster.request("GET", _NODES, params=params, timeout_seconds=_TIMEOUT_SECONDS)
        except ClusterError as error:
            _log.debug("The sizes of nodes are not known: %s", error)
            return None
        nodes = [_node(item) for item in page.get("items") or ()]
        largest = max([*nodes, *([largest] if largest else [])], key=_size, default=None)
        page_token = (page.get("metadata") or {}).get("continue")
        if not page_token or (largest is not None and largest.allocatable_bytes >= enough_bytes):
            return largest
        params["continue"] = page_token
    return None


def _node(item: JSON) -> _Node:
    memory = ((item.get("status") or {}).get("allocatable") or {}).get("memory", "0")
    try:
        return _Node(item["metadata"]["name"], parse_quantity_bytes(str(memory), field="allocatable"))
    except InvalidConfiguration:
        return _Node(item["metadata"]["name"], 0)


def _size(node: _Node) -> int:
    return node.allocatable_bytes


def _warning(pod: RenderedPod, node: _Node, selector: Mapping[str, str]) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    kind = f"node with {labels}" if labels else "node"
    largest = f"the largest {kind}, {node.name}, has {mib(node.allocatable_bytes)} MiB for pods"
    if pod.requested_bytes > node.allocatable_bytes:
        return (
            f"{pod.name}: the pod requests {mib(pod.requested_bytes)} MiB of memory ({_parts(pod.memory)}), "
            f"but {largest}: it stays pending unless a larger node is added"
        )
    return (
        f"{pod.name}: the pod may use {mib(pod.largest_bytes)} MiB of memory ({_parts(pod.memory)}), "
        f"but {largest}: what it shares can never be used in full"
    )


def _parts(memory: MemorySum) -> str:
    named = {
        "heap": memory.heap_mib,
        "overhead": memory.overhead_mib,
        "off-heap": memory.offheap_mib,
        "Python": memory.pyspark_mib,
    }
    return ", ".join(f"{name} {size} MiB" for name, size in named.items() if size)
