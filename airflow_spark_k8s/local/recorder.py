"""Events: what happened to an object, for people who ask why."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import timestamp
from airflow_spark_k8s.local.resources import EVENTS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers

KEEP_SECONDS = 3600.0
"""How long events are kept. Source: kube-apiserver, --event-ttl."""

SIMILAR = 10
SIMILAR_SECONDS = 600.0
"""
From so many different messages of one object and reason within this time on, events are combined into one.

Source: k8s.io/client-go/tools/record, EventAggregatorByReasonFunc.
"""

_COMBINED = "(combined from similar events): "
_MESSAGE_LIMIT = 1024
_Same = tuple[str, str, str, str]


@dataclass(slots=True)
class _Similar:
    """Events of one object, type and reason."""

    messages: set[str] = field(default_factory=set)
    last: float = 0.0


class EventRecorder:
    """
    Writes events of one component; the same event again raises its count.

    `host` is the node of a kubelet, None for controllers. `series`: in the newer form, as the scheduler does.
    """

    def __init__(
        self,
        store: Store,
        timers: Timers,
        wall_clock: Callable[[], datetime],
        component: str,
        *,
        host: str | None = None,
        series: bool = False,
    ) -> None:
        self._store = store
        self._timers = timers
        self._wall_clock = wall_clock
        self._component = component
        self._host = host
        self._series = series
        self._written = 0
        self._known: dict[_Same, tuple[str, str]] = {}
        self._similar: dict[tuple[str, str, str], _Similar] = {}
        self._expiring: deque[tuple[float, _Same, tuple[str, str]]] = deque()

    def normal(self, obj: Manifest, reason: str, message: str, *, action: str = "") -> None:
        """Record that something went as it should."""
        self._record(obj, "Normal", reason, message, action)

    def warning(self, obj: Manifest, reason: str, message: str, *, action: str = "") -> None:
        """Record that something did not go as it should."""
        self._record(obj, "Warning", reason, message, action)

    def _record(self, obj: Manifest, kind: str, reason: str, message: str, action: str) -> None:
        uid = obj["metadata"].get("uid", "")
        combined = not self._series and self._is_one_of_many(uid, kind, reason, message)
        if combined:
            message = _COMBINED + message
        same = (uid, kind, reason, _COMBINED if combined else message)
        known = self._known.get(same)
        if known is not None and self._repeat(known, message[:_MESSAGE_LIMIT]):
            return
        event = self._event(obj, kind, reason, message[:_MESSAGE_LIMIT], action)
        key = (event["metadata"]["namespace"], event["metadata"]["name"])
        try:
            self._store.create(EVENTS, event)
        except ApiError:
            return  # the namespace is going or gone: nobody will ask
        self._known[same] = key
        if not self._expiring:
            self._timers.call_later(KEEP_SECONDS, self._expire)
        self._expiring.append((self._timers.time() + KEEP_SECONDS, same, key))

    def _is_one_of_many(self, uid: str, kind: str, reason: str, message: str) -> bool:
        now = self._timers.time()
        similar = self._similar.get((uid, kind, reason))
        if similar is None or now - similar.last > SIMILAR_SECONDS:
            similar = self._similar[uid, kind, reason] = _Similar()
        similar.last = now
        similar.messages.add(message)
        if len(similar.messages) < SIMILAR:
            return False
        similar.messages.pop()
        return True

    def _repeat(self, key: tuple[str, str], message: str) -> bool:
        event = self._store.find(EVENTS, *key)
        if event is None:
            return False
        if self._series:
            series = event.get("series") or {"count": 1}
            event["series"] = {"count": series["count"] + 1, "lastObservedTime": self._micro_time()}
        else:
            event["count"] = event.get("count", 1) + 1
            event["message"] = message
            event["lastTimestamp"] = timestamp(self._wall_clock())
        self._store.update(EVENTS, event)
        return True

    def _event(self, obj: Manifest, kind: str, reason: str, message: str, action: str) -> Manifest:
        metadata = obj["metadata"]
        self._written += 1
        # Unique without chance: nanoseconds of the clock, and a count for what happens at the same time.
        stamp = int(self._wall_clock().timestamp() * 1_000_000) * 1000 + self._written % 1_000_000
        event: Manifest = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{stamp:x}{len(self._component):x}",
                "namespace": metadata.get("namespace", "default"),
            },
            "involvedObject": _reference(obj),
            "reason": reason,
            "message": message,
        }
        return (
            event | (self._series_fields(action) if self._series else self._classic_fields()) | {"type": kind}
        )

    def _classic_fields(self) -> Manifest:
        now = timestamp(self._wall_clock())
        source = {"component": self._component} | ({"host": self._host} if self._host else {})
        return {
            "source": source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host or "",
        }

    def _series_fields(self, action: str) -> Manifest:
        return {
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "eventTime": self._micro_time(),
            "action": action,
            "reportingComponent": self._component,
            "reportingInstance": f"{self._component}-0",
        }

    def _micro_time(self) -> str:
        return self._wall_clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _expire(self) -> None:
        now = self._timers.time()
        while self._expiring and self._expiring[0][0] <= now:
            _, same, key = self._expiring.popleft()
            self._store.remove(EVENTS, *key)
            if self._known.get(same) == key:
                del self._known[same]
        for of, similar in list(self._similar.items()):
            if now - similar.last > SIMILAR_SECONDS:
                del self._similar[of]
        if self._expiring:
            self._timers.call_later(self._expiring[0][0] - now, self._expire)


def _reference(obj: Manifest) -> Manifest:
    metadata = obj["metadata"]
    reference: Manifest = {"kind": obj["kind"]}
    if metadata.get("namespace"):
        reference["namespace"] = metadata["namespace"]
    return reference | {
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "apiVersion": obj["apiVersion"],
        "resourceVersion": metadata.get("resourceVersion", ""),
    }
