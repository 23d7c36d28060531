from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_spark_k8s.core.spec import MemorySum
from airflow_spark_k8s.exceptions import ClusterUnreachable, Forbidden
from airflow_spark_k8s.kube.node_sizes import MAX_PAGES, size_warnings
from airflow_spark_k8s.templates.quality import EXECUTORS, RenderedPod
from tests.unit.kube.fake_api import FakeApi

MEMORY = MemorySum(heap_mib=40960, overhead_mib=10240)


class Nodes(FakeApi):
    """Pages of nodes, `name: memory`; an exception is raised."""

    def __init__(self, *pages: Mapping[str, str] | Exception) -> None:
        super().__init__()
        self._pages = pages
        self.asked: list[dict[str, str]] = []

    def _answer(self, method: str, path: str, params: Any, body: Any, content_type: str) -> Any:
        assert (method, path) == ("GET", "/api/v1/nodes")
        self.asked.append(params)
        place = int(params.get("continue", 0))
        page = self._pages[place]
        if isinstance(page, Exception):
            raise page
        items = [
            {"metadata": {"name": name}, "status": {"allocatable": {"memory": memory}}}
            for name, memory in page.items()
        ]
        more = {"continue": str(place + 1)} if place + 1 < len(self._pages) else {}
        return {"metadata": more, "items": items}


def executors(
    requests: str = "41984Mi", limits: str = "51200Mi", memory: MemorySum = MEMORY, **spec: Any
) -> RenderedPod:
    resources = {"requests": {"memory": requests}, "limits": {"memory": limits}}
    container = {"name": "spark-kubernetes-executor", "resources": resources}
    spec = {"containers": [container], **spec}
    return RenderedPod(EXECUTORS, "executor", "spark-kubernetes-executor", spec, memory)


@pytest.mark.parametrize(
    ("nodes", "warning"),
    [
        pytest.param({"a": "8Gi", "b": "50Gi"}, "", id="the largest holds the limit exactly"),
        pytest.param(
            {"a": "41Gi", "b": "41985Mi", "c": "10Gi"},
            "Executors: the pod may use 51200 MiB of memory (heap 40960 MiB, overhead 10240 MiB), but the "
            "largest node, b, has 41985 MiB for pods: what it shares can never be used in full",
            id="the largest holds the request only",
        ),
        pytest.param(
            {"a": "16283648Ki", "b": "8Gi"},
            "Executors: the pod requests 41984 MiB of memory (heap 40960 MiB, overhead 10240 MiB), but the "
            "largest node, a, has 15902 MiB for pods: it stays pending unless a larger node is added",
            id="none holds the request",
        ),
        pytest.param({}, "", id="no nodes yet"),
        pytest.param({"a": "unreadable"}, "has 0 MiB for pods", id="a node that tells nonsense"),
    ],
)
async def test_what_no_node_can_hold_is_told(nodes: dict[str, str], warning: str) -> None:
    warnings = await size_warnings(Nodes(nodes), [executors()])
    assert warning in "".join(warnings)
    assert len(warnings) == bool(warning)


async def test_every_part_of_the_memory_is_named() -> None:
    memory = MemorySum(heap_mib=40960, overhead_mib=10240, offheap_mib=1, pyspark_mib=2)
    (warning,) = await size_warnings(Nodes({"a": "1Gi"}), [executors(memory=memory)])
    assert "(heap 40960 MiB, overhead 10240 MiB, off-heap 1 MiB, Python 2 MiB)" in warning


async def test_small_pods_are_not_worth_a_question() -> None:
    api = Nodes()
    assert await size_warnings(api, [executors("3Gi", "4Gi")]) == ()
    assert api.asked == []


async def test_reading_ends_with_the_first_node_that_is_large_enough() -> None:
    api = Nodes({"a": "8Gi"}, {"b": "64Gi"}, {"c": "8Gi"})
    assert await size_warnings(api, [executors()]) == ()
    assert [params.get("continue") for params in api.asked] == [None, "1"]


async def test_the_largest_is_found_on_whatever_page_it_is() -> None:
    api = Nodes({"a": "8Gi"}, {"b": "16Gi"}, {"c": "8Gi"})
    (warning,) = await size_warnings(api, [executors()])
    assert "the largest node, b, has 16384 MiB" in warning


async def test_a_cluster_with_very_many_nodes_is_not_read_to_the_end() -> None:
    api = Nodes(*[{"a": "8Gi"}] * (MAX_PAGES + 1))
    assert await size_warnings(api, [executors()]) == ()
    assert len(api.asked) == MAX_PAGES


async def test_only_nodes_that_may_host_the_pod_count() -> None:
    api = Nodes({"a": "8Gi"})
    selector = {"pool": "spark", "arch": "arm64"}
    (warning,) = await size_warnings(api, [executors(nodeSelector=selector)])
    assert api.asked[0]["labelSelector"] == "arch=arm64,pool=spark"
    assert "the largest node with arch=arm64, pool=spark, a, has" in warning


@pytest.mark.parametrize("error", [Forbidden("no"), ClusterUnreachable("slow")])
async def test_nodes_that_cannot_be_read_are_not_spoken_of(error: Exception) -> None:
    assert await size_warnings(Nodes(error), [executors()]) == ()
