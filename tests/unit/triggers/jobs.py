"""An API server with nothing but Jobs, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from copy import deepcopy
from typing import Any

from airflow_spark_k8s.exceptions import Conflict, NotFound
from airflow_spark_k8s.kube.cluster import JSON

NAMESPACE = "spark"
PATH = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"


def job(
    name: str, ti_id: str, *, ended: bool = False, deleting: bool = False, ttl_seconds: int = 24 * 60 * 60
) -> JSON:
    metadata: JSON = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-of-{name}",
        "labels": {"airflow-spark-k8s/ti-id": ti_id},
    }
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Complete", "status": "True"}] if ended else []
    spec = {"ttlSecondsAfterFinished": ttl_seconds}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


class JobsOnly:
    """Lists Jobs by label and deletes them under preconditions; `before_delete` may change the world."""

    def __init__(self, *jobs: JSON) -> None:
        self.jobs = {j["metadata"]["name"]: deepcopy(j) for j in jobs}
        self.deletions: list[JSON] = []
        self.before_delete: Callable[[], None] = lambda: None
        self.closed = False
        self._version = 0
        for name in self.jobs:
            self.touch(name)

    def touch(self, name: str, **labels: str) -> None:
        self._version += 1
        metadata = self.jobs[name]["metadata"]
        metadata["resourceVersion"] = str(self._version)
        metadata["labels"].update({f"airflow-spark-k8s/{k.replace('_', '-')}": v for k, v in labels.items()})

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout_seconds: float = 30.0,
    ) -> JSON:
        if method == "GET" and path == PATH:
            key, _, value = (params or {})["labelSelector"].partition("=")
            found = [j for j in self.jobs.values() if j["metadata"]["labels"].get(key) == value]
            return {"items": deepcopy(found)}
        if method == "DELETE":
            return self._delete(path.removeprefix(PATH + "/"), body)
        raise NotFound(f"{method} {path}", status=404)

    def _delete(self, name: str, options: JSON) -> JSON:
        self.before_delete()
        if name not in self.jobs:
            raise NotFound(name, status=404)
        metadata = self.jobs[name]["metadata"]
        if any(metadata[field] != wanted for field, wanted in options["preconditions"].items()):
            raise Conflict(name, status=409)
        del self.jobs[name]
        self.deletions.append(options)
        return {}

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        raise NotFound(path, status=404)

    async def watch(
        self, path: str, *, params: Mapping[str, str], timeout_seconds: float
    ) -> AsyncIterator[JSON]:
        raise NotFound(path, status=404)
        yield {}

    async def close(self) -> None:
        self.closed = True
