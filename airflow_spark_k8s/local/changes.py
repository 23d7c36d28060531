"""What changed, in order: kept for watches that resume, told to those who subscribed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import expired
from airflow_spark_k8s.local.resources import Resource

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one object."""

    type: EventType
    resource: Resource
    object: Manifest  # DELETED: the last state, with the resourceVersion of the deletion
    previous: Manifest | None  # None: the object was created
    resource_version: int


Subscriber = Callable[[Event], None]


class ChangeLog:
    """The last `length` changes and the subscribers; versions up to `first_version` were never given out."""

    def __init__(self, length: int, first_version: int) -> None:
        self._history: deque[Event] = deque(maxlen=length)
        self._subscribers: list[Subscriber] = []
        self._undelivered: deque[Event] = deque()
        self._delivering = False
        self.compacted_version = first_version

    def since(self, version: int, resource: Resource) -> list[Event]:
        """Changes of one resource after `version`, oldest first; raises ApiError 410 if that is too old."""
        if version < self.compacted_version:
            raise expired(version, self.compacted_version)
        found: list[Event] = []
        for event in reversed(self._history):
            if event.resource_version <= version:
                break
            if event.resource is resource:
                found.append(event)
        found.reverse()
        return found

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """A function that ends the subscription."""
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def tell(self, event: Event) -> None:
        """Record the change and tell everybody; a change made while telling is told afterwards."""
        if len(self._history) == self._history.maxlen:
            self.compacted_version = self._history[0].resource_version
        self._history.append(event)
        self._undelivered.append(event)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                pending = self._undelivered.popleft()
                for subscriber in tuple(self._subscribers):
                    subscriber(pending)
        finally:
            self._delivering = False
