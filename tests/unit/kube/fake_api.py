"""Clusters in memory: one that keeps objects and fails on demand, and two that answer as they were told."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from airflow_spark_k8s.exceptions import (
    AlreadyExists,
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Invalid,
    NotFound,
)
from airflow_spark_k8s.kube.cluster import JSON_PATCH

Json = dict[str, Any]


class Died(BaseException):
    """The process is gone: nothing may catch this."""


class FakeApi:
    """Answers of a server that keeps objects by path; `before` and `after` are called with every request."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.calls: list[str] = []
        self.dry_runs: list[Json] = []
        self.before: Callable[[str, str, Any], None] = lambda method, path, body: None
        self.after: Callable[[str, str, Any], None] = lambda method, path, body: None
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout_seconds: float = 30.0,
    ) -> Json:
        json.dumps(body)
        self.calls.append(f"{method} {path.rsplit('/namespaces/spark/')[-1]}")
        self.before(method, path, body)
        answer = copy.deepcopy(self._answer(method, path, dict(params or {}), body, content_type))
        self.after(method, path, body)
        return answer

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        return json.dumps({"path": path, "params": dict(params or {})})

    def watch(self, path: str, *, params: Mapping[str, str], timeout_seconds: float) -> AsyncIterator[Json]:
        raise ClusterUnreachable("this fake has no watches")

    async def close(self) -> None:
        pass

    def put(self, path: str, obj: Json) -> Json:
        metadata = obj.setdefault("metadata", {})
        metadata.setdefault("name", path.rsplit("/", 1)[-1])
        metadata.setdefault("namespace", "spark")
        metadata.setdefault("uid", f"uid-{next(self._uids)}")
        metadata.setdefault("creationTimestamp", f"2026-01-01T00:00:{len(self.objects):02d}Z")
        metadata["resourceVersion"] = str(next(self._versions))
        self.objects[path] = obj
        return obj

    def of_kind(self, plural: str) -> dict[str, Json]:
        found = {path: obj for path, obj in self.objects.items() if f"/{plural}/" in path}
        return {path.rsplit("/", 1)[-1]: obj for path, obj in found.items()}

    def drop(self, path: str) -> None:
        """Remove an object and what it owns, whatever runs."""
        uid = self.objects.pop(path)["metadata"]["uid"]
        for owned in [
            other
            for other, obj in self.objects.items()
            if any(owner["uid"] == uid for owner in obj["metadata"].get("ownerReferences", ()))
        ]:
            self.drop(owned)

    def _answer(self, method: str, path: str, params: Json, body: Any, content_type: str) -> Json:
        if "selfsubjectaccessreviews" in path:
            return {"status": {"allowed": True}}
        if path.endswith("/namespaces/spark"):
            return {"metadata": {"name": "spark", "uid": "uid-of-spark"}}
        if method == "POST":
            return self._create(path, params, body)
        if method == "GET" and path not in self.objects:
            return self._list(path, params)
        return {"GET": self._get, "PATCH": self._patch, "DELETE": self._delete}[method](
            path, body, content_type
        )

    def _create(self, path: str, params: Json, body: Json) -> Json:
        full = f"{path}/{body['metadata']['name']}"
        if full in self.objects:
            raise AlreadyExists(f"{full} already exists", status=409, reason="AlreadyExists")
        if "dryRun" in params:
            self.dry_runs.append(body)
            return body
        return self.put(full, copy.deepcopy(body))

    def _list(self, path: str, params: Json) -> Json:
        if path.rsplit("/", 1)[-1] not in ("jobs", "pods", "configmaps", "secrets"):
            raise NotFound(f"{path} not found", status=404, reason="NotFound")
        key, _, value = params.get("labelSelector", "").partition("=")
        items = [
            {name: part for name, part in obj.items() if name not in ("kind", "apiVersion")}
            for where, obj in self.objects.items()
            if where.rsplit("/", 1)[0] == path
            and (not key or obj["metadata"].get("labels", {}).get(key) == value)
        ]
        return {"items": items, "metadata": {"resourceVersion": str(next(self._versions))}}

    def _get(self, path: str, _body: Any, _content_type: str) -> Json:
        return self._found(path)

    def _patch(self, path: str, body: Any, content_type: str) -> Json:
        obj = self._found(path)
        if content_type == JSON_PATCH:
            for operation in body:
                parent, key = self._place(obj, operation["path"])
                if operation["op"] == "test" and parent.get(key) != operation["value"]:
                    raise Invalid("the server rejected our request", status=422, reason="Invalid")
                parent[key] = operation["value"]
        else:
            wanted = body["metadata"].pop("resourceVersion", obj["metadata"]["resourceVersion"])
            if wanted != obj["metadata"]["resourceVersion"]:
                raise Conflict("the object has been modified", status=409, reason="Conflict")
            _merge(obj, body)
        return self.put(path, obj)

    def _delete(self, path: str, body: Any, _content_type: str) -> Json:
        obj = self._found(path)
        assert body["propagationPolicy"] in ("Background", "Foreground")
        if body["preconditions"]["uid"] != obj["metadata"]["uid"]:
            raise Conflict("the UID in the precondition does not match", status=409, reason="Conflict")
        self.drop(path)
        return obj

    def _found(self, path: str) -> Json:
        if path not in self.objects:
            raise NotFound(f"{path} not found", status=404, reason="NotFound")
        return self.objects[path]

    @staticmethod
    def _place(obj: Json, pointer: str) -> tuple[Json, str]:
        *parents, key = pointer.strip("/").split("/")
        for parent in parents:
            obj = obj[parent]
        return obj, key


def _merge(target: Json, patch: Json) -> None:
    for key, value in patch.items():
        if isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


class ScriptedCluster:
    """A Cluster whose lists and watches are given in advance; an exception is raised."""

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self._lists = iter(lists)
        self._watches = iter(watches)
        self.watched: list[Mapping[str, str]] = []
        self.listed: list[Mapping[str, str]] = []

    async def request(self, method: str, path: str, **options: Any) -> Json:
        self.listed.append(options["params"])
        return _told(next(self._lists))

    async def watch(
        self, path: str, *, params: Mapping[str, str], timeout_seconds: float
    ) -> AsyncIterator[Json]:
        self.watched.append(params)
        for event in next(self._watches):
            yield _told(event)

    async def text(self, path: str, **options: Any) -> str:
        raise AssertionError("not asked for")

    async def close(self) -> None:
        pass


class Answers:
    """A Cluster whose GETs of text are given by path; an exception is raised."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.asked: list[str] = []
        self.params: list[Mapping[str, str]] = []

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        self.asked.append(path)
        self.params.append(dict(params or {}))
        answer = self._answers[path.rsplit("/proxy/api/v1", 1)[-1]]
        if isinstance(answer, ClusterError):
            raise answer
        return answer if isinstance(answer, str) else json.dumps(answer)


def _told(item: Any) -> Any:
    if isinstance(item, BaseException):
        raise item
    return item
