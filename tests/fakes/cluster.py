"""A Cluster in memory: one namespace of Jobs, pods and ConfigMaps, with watches and faults on demand."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_spark_k8s.exceptions import AlreadyExists, ClusterError, ClusterUnreachable, Conflict, NotFound

JSON = dict[str, Any]
LATENCY_SECONDS = 0.01


@dataclass
class Fault:
    """What goes wrong with the next calls that match."""

    matches: Callable[[str, str], bool]  # method, path
    error: Callable[[], ClusterError]
    times: int = 1
    after_effect: bool = False  # the call is carried out, only its answer is lost
    hangs: bool = False  # the error comes only when the caller's time is up


@dataclass
class FakeCluster:
    """An API server for one test; every call yields to the loop before and after it takes effect."""

    objects: dict[str, JSON] = field(default_factory=dict)  # path -> object
    events: list[tuple[int, str, JSON]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)  # writes only
    asked: list[tuple[float, str, str]] = field(default_factory=list)  # all calls: when, method, path
    created: list[tuple[float, str]] = field(default_factory=list)  # when, path
    deletions: list[JSON] = field(default_factory=list)  # their options
    listeners: list[Callable[[str, str, JSON], None]] = field(default_factory=list)  # after each change
    texts: dict[str, Callable[[Mapping[str, str]], str]] = field(default_factory=dict)  # path -> answer
    watch_delay_seconds: float = 0.0  # how far watches lag behind
    on_step: Callable[[], None] = lambda: None  # at every point where a caller may die
    _version: int = 0
    _cut: int = 0
    _uids: Any = field(default_factory=lambda: itertools.count(1))
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    # What tests and the simulated controllers use; at once.

    def put(self, path: str, obj: JSON) -> JSON:
        """Create or replace an object, as it will be shown."""
        known = self.objects.get(path)
        if known is not None and _same(known, obj):
            return known
        obj = copy.deepcopy(obj)
        self._version += 1
        metadata = obj["metadata"]
        metadata.setdefault("uid", f"uid-{next(self._uids)}")
        metadata.setdefault("creationTimestamp", f"2026-01-01T00:{self._version // 60 % 60:02d}:00Z")
        metadata["resourceVersion"] = str(self._version)
        self.objects[path] = obj
        self._tell("MODIFIED" if known else "ADDED", path)
        return obj

    def remove(self, path: str) -> None:
        """Take an object away."""
        obj = self.objects.get(path)
        if obj is None:
            return
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self._tell("DELETED", path)

    def named(self, kind: str) -> list[JSON]:
        """All objects of `pods`, `jobs` or `configmaps`."""
        return [obj for path, obj in sorted(self.objects.items()) if f"/{kind}/" in path]

    def cut_watches(self) -> None:
        """Break every watch that is open."""
        self._cut += 1
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _tell(self, kind: str, path: str) -> None:
        obj = self.objects[path]
        if kind == "DELETED":
            del self.objects[path]
        self.events.append((self._version, kind, copy.deepcopy({"path": path, "object": obj})))
        self._wake()
        for listener in list(self.listeners):
            listener(kind, path, obj)

    # The Cluster protocol.

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
        """One call; may be cancelled before or after it takes effect."""
        await self._step()
        fault = self._fault(method, path)
        if fault is not None and not fault.after_effect:
            await self._hang(fault, timeout_seconds)
            raise fault.error()
        answer = copy.deepcopy(self._handle(method, path, params or {}, body))
        await self._step()
        if fault is not None:
            raise fault.error()
        return answer

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, timeout_seconds: float = 30.0
    ) -> str:
        """The answer of `texts`, 404 without one."""
        await self._step()
        fault = self._fault("GET", path)
        if fault is not None:
            await self._hang(fault, timeout_seconds)
            raise fault.error()
        if path not in self.texts:
            raise NotFound(path, status=404, reason="NotFound")
        return self.texts[path](params or {})

    async def watch(
        self, path: str, *, params: Mapping[str, str], timeout_seconds: float
    ) -> AsyncIterator[JSON]:
        """Events after params["resourceVersion"], without end."""
        await asyncio.sleep(LATENCY_SECONDS)
        fault = self._fault("WATCH", path)
        if fault is not None:
            await self._hang(fault, timeout_seconds)
            raise fault.error()
        position, cut = int(params["resourceVersion"]), self._cut
        matching: set[str] = set()
        while True:
            for version, kind, event in [e for e in self.events if e[0] > position]:
                position = version
                if event["path"].startswith(f"{path}/") and _selected(event["object"], params):
                    kind = "MODIFIED" if kind == "ADDED" and event["path"] in matching else kind
                    await asyncio.sleep(self.watch_delay_seconds)
                    yield {"type": kind, "object": copy.deepcopy(event["object"])}
            if not any(e[0] > position for e in self.events[-1:]):
                await self._news.wait()
            if cut != self._cut:
                raise ClusterUnreachable("connection reset")

    async def close(self) -> None:
        """Nothing to close."""

    async def _step(self) -> None:
        self.on_step()
        await asyncio.sleep(LATENCY_SECONDS)

    @staticmethod
    async def _hang(fault: Fault, timeout_seconds: float) -> None:
        if fault.hangs:
            await asyncio.sleep(timeout_seconds)

    def _fault(self, method: str, path: str) -> Fault | None:
        self.asked.append((asyncio.get_running_loop().time(), method, path))
        for fault in self.faults:
            if fault.times > 0 and fault.matches(method, path):
                fault.times -= 1
                return fault
        return None

    def _handle(self, method: str, path: str, params: Mapping[str, str], body: Any) -> JSON:
        if method != "GET":
            self.calls.append((method, path))
        if method == "POST":
            return self._create(f"{path}/{body['metadata']['name']}", body)
        if method == "GET" and path.rsplit("/", 1)[-1] in ("pods", "jobs"):
            return self._list(path, params)
        obj = self.objects.get(path)
        if obj is None:
            raise NotFound(path, status=404, reason="NotFound")
        if method == "PATCH":
            return self._patch(path, obj, body)
        if method == "DELETE":
            self._delete(path, obj, body)
        return obj

    def _create(self, path: str, body: JSON) -> JSON:
        if path in self.objects:
            raise AlreadyExists(path, status=409, reason="AlreadyExists")
        self.created.append((asyncio.get_running_loop().time(), path))
        default = {"status": {"phase": "Pending"}} if "/pods/" in path else {}
        return self.put(path, {**default, **body})

    def _list(self, path: str, params: Mapping[str, str]) -> JSON:
        items = [
            copy.deepcopy(obj)
            for at, obj in sorted(self.objects.items())
            if at.startswith(f"{path}/") and _selected(obj, params)
        ]
        return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def _patch(self, path: str, obj: JSON, body: JSON) -> JSON:
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, obj["metadata"]["resourceVersion"]):
            raise Conflict(f"{path} has changed", status=409, reason="Conflict")
        return self.put(path, _merged(obj, body))

    def _delete(self, path: str, obj: JSON, body: Any) -> None:
        options = body or {}
        self.deletions.append(options)
        uid = options.get("preconditions", {}).get("uid")
        if uid not in (None, obj["metadata"]["uid"]):
            raise Conflict(f"{path} is another object", status=409, reason="Conflict")
        if "/jobs/" in path and "propagationPolicy" not in options:
            raise AssertionError("a Job was deleted without a propagation policy")
        ended = obj.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if "/pods/" in path and not ended and obj["status"].get("phase") == "Running":
            self.put(path, _merged(obj, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))
        else:
            self.remove(path)


def _same(one: JSON, other: JSON) -> bool:
    return _without_version(one) == _without_version(other)


def _without_version(obj: JSON) -> JSON:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _selected(obj: JSON, params: Mapping[str, str]) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, params.get("labelSelector", "").split(",")):
        key, value = term.split("=")
        if labels.get(key) != value:
            return False
    name = params.get("fieldSelector", "").removeprefix("metadata.name=")
    return not name or obj["metadata"]["name"] == name


def _merged(obj: JSON, patch: JSON) -> JSON:
    merged = dict(obj)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged
