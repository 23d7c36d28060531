"""
The objects of the local cluster, their history and who is told of changes.

Synchronous and without clock or chance of its own. `get` and `find` hand out copies that the caller may
change. Everything else handed out (`list`, `peek`, `iterate`, events, results of writes) is the stored one:
read it, but copy it with `manifests.copy_manifest` before changing it. The store never changes an object in
place, so those stay as they were.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.admission import admit
from airflow_spark_k8s.local.changes import ChangeLog, Event, EventType, Subscriber
from airflow_spark_k8s.local.claims import default_storage_class
from airflow_spark_k8s.local.deletion import DeleteOptions, is_done, mark
from airflow_spark_k8s.local.errors import (
    ApiError,
    Cause,
    already_exists,
    conflict,
    invalid,
    modified,
    not_found,
)
from airflow_spark_k8s.local.manifests import copy_manifest, key_of, random_suffix, timestamp
from airflow_spark_k8s.local.object_index import Key, ObjectIndex
from airflow_spark_k8s.local.priority_classes import system_classes
from airflow_spark_k8s.local.resources import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
    Resource,
)
from airflow_spark_k8s.local.selectors import matches_fields, matches_labels, parse_fields, parse_labels
from airflow_spark_k8s.local.updates import prepare_update
from airflow_spark_k8s.local.webhooks import Webhook

__all__ = ["FIRST_VERSION", "Event", "Store", "Subscriber"]

FIRST_VERSION = 1000
"""Versions below were never given out: a watch from one of them is told to list again."""

_GENERATED_NAME_LIMIT = 63
_GENERATED_NAME_TRIES = 8
_SERVER_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
_ON_NODE = "spec.nodeName="

Found = list[Manifest]
Owned = list[tuple[Resource, Manifest]]
Changes = list[Event]


class Store:
    """
    Every object of one cluster.

    `wall_clock` gives the time for timestamps, `chance` the uids and generated names, `history` is the number
    of changes that a watch can be resumed over, `root_ca` is what every namespace's `kube-root-ca.crt` holds.
    """

    def __init__(
        self,
        *,
        wall_clock: Callable[[], datetime],
        chance: random.Random,
        history: int = 10_000,
        root_ca: str = "",
    ) -> None:
        self.root_ca = root_ca
        self.webhooks: list[Webhook] = []
        self._wall_clock = wall_clock
        self._chance = chance
        self._version = FIRST_VERSION
        self._index = ObjectIndex()
        self._log = ChangeLog(history, FIRST_VERSION)
        for name in ("default", "kube-system"):
            self.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for priority_class in system_classes():
            self.create(PRIORITY_CLASSES, priority_class)
        self.create(STORAGE_CLASSES, default_storage_class())

    @property
    def version(self) -> int:
        """resourceVersion of the latest change."""
        return self._version

    @property
    def compacted_version(self) -> int:
        """Changes up to this version can no longer be replayed."""
        return self._log.compacted_version

    def now(self) -> datetime:
        """The cluster's wall clock."""
        return self._wall_clock()

    # reading

    def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """A copy of the object; raises ApiError 404."""
        return copy_manifest(self._require(resource, namespace, name))

    def find(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """A copy of the object; None if there is none."""
        found = self.peek(resource, namespace, name)
        return None if found is None else copy_manifest(found)

    def peek(self, resource: Resource, namespace: str | None, name: str) -> Manifest | None:
        """The object itself, not to be changed; None if there is none."""
        return self._index.peek(resource, namespace, name)

    def iterate(self, resource: Resource, namespace: str | None = None) -> Iterator[Manifest]:
        """The objects themselves in no particular order; all namespaces if `namespace` is None."""
        return iter(list(self._index.within(resource, namespace).values()))

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> Found:
        """
        The objects themselves, by namespace and name; all namespaces if `namespace` is None.

        `labels` and `fields` are selectors as in a URL (`a=b,c in (d,e)`); None: all. Raises ApiError 400.
        """
        bucket = self._index.within(resource, namespace)
        if resource is PODS and fields and fields.startswith(_ON_NODE) and "," not in fields:
            node = self._index.on_node(fields.removeprefix(_ON_NODE))
            bucket = {key: obj for key, obj in node.items() if namespace in (None, key[0])}
        found = [bucket[key] for key in sorted(bucket, key=_sort_key)]
        if labels:
            wanted = parse_labels(labels)
            found = [each for each in found if matches_labels(wanted, each)]
        if fields:
            terms = parse_fields(resource, fields)
            found = [each for each in found if matches_fields(terms, each)]
        return found

    def owned_by(self, uid: str) -> Owned:
        """The objects that have an owner reference to `uid`, with their resources."""
        return list(self._index.owned_by(uid))

    def pods_on(self, node: str) -> Found:
        """The pods that are bound to the node, in the order they were bound."""
        return list(self._index.on_node(node).values())

    def events_since(self, version: int, resource: Resource) -> Changes:
        """Changes of one resource after `version`, oldest first; raises ApiError 410 if that is too old."""
        return self._log.since(version, resource)

    # writing

    def create(self, resource: Resource, obj: Manifest, *, dry_run: bool = False) -> Manifest:
        """
        The object as stored: defaulted, admitted, with name, uid and version.

        Raises ApiError: 404 (namespace), 403 (admission, quota), 409 (name taken), 422 (not valid).
        """
        new = copy_manifest(obj)
        metadata = new.setdefault("metadata", {})
        if metadata.get("resourceVersion"):
            message = "resourceVersion should not be set on objects to be created"
            raise ApiError(500, "InternalError", message, {})
        generated = not metadata.get("name") and metadata.get("generateName")
        for _ in range(_GENERATED_NAME_TRIES if generated else 1):
            self._fill_metadata(resource, metadata)
            if not generated or self.peek(resource, metadata.get("namespace"), metadata["name"]) is None:
                break
            del metadata["name"]
        admit(self, resource, new, self.now(), self.webhooks)
        if self.peek(resource, metadata.get("namespace"), metadata["name"]) is not None:
            raise already_exists(resource, metadata["name"])
        if dry_run:
            return new
        self._put("ADDED", resource, new, None)
        if resource is NAMESPACES:
            self._furnish(metadata["name"])
        return new

    def update(
        self, resource: Resource, obj: Manifest, *, subresource: str | None = None, dry_run: bool = False
    ) -> Manifest:
        """
        The object as stored after replacing it by `obj`.

        `subresource` None keeps the stored status, "status" keeps the stored spec, anything else ("binding",
        "finalize") replaces everything. A set `metadata.resourceVersion` must be the stored one. A write that
        changes nothing keeps the version and tells nobody. An object that is marked as deleted goes with its
        last finalizer.

        Raises ApiError: 404, 409, 422.
        """
        namespace, name = key_of(obj)
        old = self._require(resource, namespace, name)
        _check_identity(resource, old, obj)
        new = prepare_update(resource, old, obj, subresource)
        if new == old:
            return old
        if dry_run:
            return new
        if is_done(resource, new):
            return self._drop(resource, new, old)
        return self._put("MODIFIED", resource, new, old)

    def edit(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        change: Callable[[Manifest], None],
        *,
        subresource: str | None = None,
    ) -> Manifest:
        """The object after `change` was applied to a copy and the copy written back; raises ApiError 404."""
        new = self.get(resource, namespace, name)
        change(new)
        return self.update(resource, new, subresource=subresource)

    def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        grace_seconds: int | None = None,
        propagation: str | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> Manifest:
        """
        The object as a client's DELETE leaves it; `is_stored` tells whether it is still there, waiting.

        `grace_seconds` None: what the pod says. `propagation` Background, Foreground, Orphan; None: the
        kind's default. `uid` and `resource_version` are preconditions. Raises ApiError: 404, 409.
        """
        old = self._require(resource, namespace, name)
        options = DeleteOptions(grace_seconds, propagation, uid, resource_version)
        new = mark(resource, old, options, self.now())
        if dry_run:
            return new
        if not is_done(resource, new):
            return old if new == old else self._put("MODIFIED", resource, new, old)
        if resource is PODS and new != old:
            # Watches see a pod marked before it goes, however short its grace.
            old = self._put("MODIFIED", resource, new, old)
        return self._drop(resource, new, old)

    def remove(
        self, resource: Resource, namespace: str | None, name: str, uid: str | None = None
    ) -> Manifest | None:
        """Last state of an object that was taken out whatever its finalizers and grace; None: not there."""
        old = self.peek(resource, namespace, name)
        if old is None or uid not in (None, old["metadata"]["uid"]):
            return None
        return self._drop(resource, old, old)

    def is_stored(self, resource: Resource, obj: Manifest) -> bool:
        """Whether this very object (by uid) is still in the store."""
        found = self.peek(resource, *key_of(obj))
        return found is not None and found["metadata"]["uid"] == obj["metadata"]["uid"]

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """
        A function that ends the subscription.

        `callback` is called after each change. Changes that a callback makes are told after the present one
        has been told to everybody: all subscribers see the same order.
        """
        return self._log.subscribe(callback)

    # inside

    def _require(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        found = self.peek(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    def _fill_metadata(self, resource: Resource, metadata: Manifest) -> None:
        if not metadata.get("name"):
            prefix = metadata.get("generateName")
            if not prefix:
                cause = Cause(
                    "FieldValueRequired", "Required value: name or generateName is required", "metadata.name"
                )
                raise invalid(resource, "", [cause])
            suffix = random_suffix(self._chance)
            metadata["name"] = prefix[: _GENERATED_NAME_LIMIT - len(suffix)] + suffix
        for key in _SERVER_METADATA:
            metadata.pop(key, None)
        metadata.pop("managedFields", None)
        if not resource.namespaced:
            metadata.pop("namespace", None)
        metadata["uid"] = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        metadata["creationTimestamp"] = timestamp(self.now())
        metadata.pop("generation", None)
        if resource.has_generation:
            metadata["generation"] = 1

    def _furnish(self, namespace: str) -> None:
        account = {"metadata": {"name": "default", "namespace": namespace}}
        trust = {
            "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
            "data": {"ca.crt": self.root_ca},
        }
        self.create(SERVICE_ACCOUNTS, account)
        self.create(CONFIG_MAPS, trust)

    def _put(self, kind: EventType, resource: Resource, new: Manifest, old: Manifest | None) -> Manifest:
        self._stamp(new)
        self._index.add(resource, new, old)
        self._log.tell(Event(kind, resource, new, old, self._version))
        return new

    def _drop(self, resource: Resource, answer: Manifest, old: Manifest) -> Manifest:
        last = copy_manifest(old)  # a DELETED event shows what was stored, not what the deletion wrote
        self._stamp(last)
        if self._index.peek(resource, *key_of(old)) is old:
            self._index.discard(resource, old)
            self._log.tell(Event("DELETED", resource, last, old, self._version))
        return answer if "resourceVersion" in answer["metadata"] else last

    def _stamp(self, obj: Manifest) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)


def _sort_key(key: Key) -> tuple[str, str]:
    return key[0] or "", key[1]


def _check_identity(resource: Resource, old: Manifest, new: Manifest) -> None:
    metadata, recorded = new["metadata"], old["metadata"]
    version = metadata.get("resourceVersion")
    if version and version != recorded["resourceVersion"]:
        raise modified(resource, recorded["name"])
    if metadata.get("uid") and metadata["uid"] != recorded["uid"]:
        uids = f"UID in precondition: {metadata['uid']}, UID in object meta: {recorded['uid']}"
        why = f"Precondition failed: {uids}"
        raise conflict(resource, recorded["name"], why)
