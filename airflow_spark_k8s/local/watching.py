"""Watches: changes of one collection as the client's selectors see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.exchange import Cancel, Emit
from airflow_spark_k8s.local.resources import Resource
from airflow_spark_k8s.local.selectors import FieldTerm, Requirement, matches_fields, matches_labels
from airflow_spark_k8s.local.store import Event, Store


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind are meant."""

    resource: Resource
    namespace: str | None  # None: all
    name: str | None = None  # None: all
    labels: tuple[Requirement, ...] = ()
    fields: tuple[FieldTerm, ...] = ()

    def contains(self, obj: Manifest) -> bool:
        """Whether the object is one of them."""
        metadata = obj["metadata"]
        if (
            self.namespace is not None
            and self.resource.namespaced
            and metadata.get("namespace") != self.namespace
        ):
            return False
        if self.name is not None and metadata["name"] != self.name:
            return False
        return matches_labels(self.labels, obj) and matches_fields(self.fields, obj)


@dataclass(slots=True)
class ResourceWatch:
    """One watch on the store; see `exchange.Watch`."""

    store: Store
    selection: Selection
    shape: Callable[[Manifest], Manifest]  # how an object is shown
    since: int | None  # None: begin with what there is
    bookmarks: bool = False
    initial_events_end: bool = False  # mark the end of what there is by a bookmark
    timeout_seconds: float | None = None
    is_over: bool = field(default=False, init=False)

    def open(self, emit: Emit) -> Cancel:
        """A function that ends the watch; `emit` gets what there is (or was missed), then every change."""
        try:
            for event in self._first():
                emit(event)
        except ApiError as error:
            emit({"type": "ERROR", "object": error.status()})
            self.is_over = True
            return _nothing
        # Changes that are stored but not told yet were among the first events already.
        after = max(self.since or 0, self.store.version)

        def forward(event: Event) -> None:
            if event.resource is self.selection.resource and event.resource_version > after:
                for translated in self._translate(event):
                    emit(translated)

        return self.store.subscribe(forward)

    def bookmark(self) -> Manifest | None:
        """A BOOKMARK event at the store's version; None if the client asked for none."""
        return self._bookmark() if self.bookmarks else None

    def _bookmark(self, annotations: Manifest | None = None) -> Manifest:
        resource = self.selection.resource
        metadata: Manifest = {"resourceVersion": str(self.store.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        body = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return {"type": "BOOKMARK", "object": body}

    def _first(self) -> Iterator[Manifest]:
        resource = self.selection.resource
        if self.since is not None:
            for event in self.store.events_since(self.since, resource):
                yield from self._translate(event)
            return
        for obj in self.store.list(resource, self.selection.namespace):
            if self.selection.contains(obj):
                yield {"type": "ADDED", "object": self.shape(obj)}
        if self.initial_events_end:
            yield self._bookmark({"k8s.io/initial-events-end": "true"})

    def _translate(self, event: Event) -> Iterator[Manifest]:
        before = event.previous is not None and self.selection.contains(event.previous)
        now = event.type != "DELETED" and self.selection.contains(event.object)
        if now:
            yield {"type": "MODIFIED" if before else "ADDED", "object": self.shape(event.object)}
        elif before and event.previous is not None:
            # What the client knew last, with the version of the change.
            version = event.object["metadata"]["resourceVersion"]
            metadata = {**event.previous["metadata"], "resourceVersion": version}
            yield {"type": "DELETED", "object": self.shape({**event.previous, "metadata": metadata})}


def _nothing() -> None:
    return None
