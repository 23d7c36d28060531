"""Claims that live as long as their pod: made for its ephemeral volumes, let go when nobody uses them."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.claims import PROTECTION, ClaimOfPod, claims_of, is_made_for, not_made_for
from airflow_spark_k8s.local.conditions import is_deleting, without_finalizer
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.manifests import copy_manifest, is_terminal, key_of
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.recorder import EventRecorder
from airflow_spark_k8s.local.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue


class EphemeralVolumes:
    """
    Makes the claim of every ephemeral volume, owned by its pod; the garbage collector takes it away.

    Source: https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._events = EventRecorder(store, timers, store.now, "ephemeral_volume")
        self._queue: WorkQueue[Key] = WorkQueue(timers, self._sync)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is PODS and event.type == "ADDED" and _ephemeral(event.object):
            self._queue.add(key_of(event.object))
        elif event.resource is PERSISTENT_VOLUME_CLAIMS and event.type == "DELETED":
            for reference in event.object["metadata"].get("ownerReferences") or ():
                if reference["kind"] == "Pod":
                    self._queue.add((event.object["metadata"]["namespace"], reference["name"]))

    def _sync(self, key: Key) -> None:
        pod = self._store.peek(PODS, *key)
        if pod is None or is_deleting(pod) or is_terminal(pod):
            return
        for claim in _ephemeral(pod):
            trouble = self._make(pod, claim)
            if trouble is not None:
                message = f"ephemeral volume {claim.volume}: {trouble}"
                self._events.warning(pod, "FailedBinding", message)
                self._queue.retry(key)
                return
        self._queue.forget(key)

    def _make(self, pod: Manifest, claim: ClaimOfPod) -> str | None:
        namespace = pod["metadata"]["namespace"]
        present = self._store.peek(PERSISTENT_VOLUME_CLAIMS, namespace, claim.name)
        if present is not None:
            return None if is_made_for(pod, present) else not_made_for(pod, present)
        try:
            self._store.create(PERSISTENT_VOLUME_CLAIMS, _claim(pod, claim))
        except ApiError as error:
            return f"create PVC {claim.name}: {error.message}"
        return None


class ClaimProtection:
    """
    Lets a deleted claim go once no pod on a node mounts it.

    Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._queue: WorkQueue[Key] = WorkQueue(timers, self._sync)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is PERSISTENT_VOLUME_CLAIMS:
            if event.type != "DELETED" and is_deleting(event.object):
                self._queue.add(key_of(event.object))
        elif event.resource is PODS and event.type == "DELETED":
            for claim in claims_of(event.object):
                self._queue.add((event.object["metadata"]["namespace"], claim.name))

    def _sync(self, key: Key) -> None:
        claim = self._store.find(PERSISTENT_VOLUME_CLAIMS, *key)
        if claim is None or not is_deleting(claim) or self._in_use(key):
            return
        without_finalizer(claim["metadata"], PROTECTION)
        self._store.update(PERSISTENT_VOLUME_CLAIMS, claim)

    def _in_use(self, key: Key) -> bool:
        namespace, name = key
        return any(
            pod["spec"].get("nodeName") and any(claim.name == name for claim in claims_of(pod))
            for pod in self._store.iterate(PODS, namespace)
        )


def _ephemeral(pod: Manifest) -> list[ClaimOfPod]:
    return [claim for claim in claims_of(pod) if claim.is_ephemeral]


def _claim(pod: Manifest, claim: ClaimOfPod) -> Manifest:
    template = copy_manifest(claim.template or {})
    given, metadata = template.get("metadata") or {}, pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "metadata": {
            **{key: given[key] for key in ("labels", "annotations") if given.get(key)},
            "name": claim.name,
            "namespace": metadata["namespace"],
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": template.get("spec") or {},
    }
