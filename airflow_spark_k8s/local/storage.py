"""Volumes behind claims: bound if there are some that fit, else made."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.claims import PROVISIONER, WAITS, claims_of, is_bound
from airflow_spark_k8s.local.conditions import is_deleting
from airflow_spark_k8s.local.manifests import key_of
from airflow_spark_k8s.local.object_index import Key
from airflow_spark_k8s.local.quantities import parse_quantity
from airflow_spark_k8s.local.recorder import EventRecorder
from airflow_spark_k8s.local.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    STORAGE_CLASSES,
)
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.work_queue import WorkQueue

_NO_CLASS = "no persistent volumes available for this claim and no storage class is set"
_WAITS = "waiting for first consumer to be created before binding"
_EXTERNAL = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system "
    "administrator. If volume creation is delayed, please verify that the provisioner is running and "
    "correctly registered."
)
_COMPLETED = "pv.kubernetes.io/bind-completed"
_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_PROVISIONER = "volume.kubernetes.io/storage-provisioner"


class StorageController:
    """
    Binds claims to volumes; volumes of classes with the local provisioner are made, and go with their claim.

    A class that waits for the first consumer gets its volume as soon as a pod names the claim, not when that
    pod has a node.

    Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim
    """

    def __init__(self, store: Store, timers: Timers) -> None:
        self._store = store
        self._events = EventRecorder(store, timers, store.now, "persistentvolume-controller")
        self._queue: WorkQueue[Key] = WorkQueue(timers, self._sync)
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is PERSISTENT_VOLUME_CLAIMS:
            if event.type == "DELETED":
                self._release(event.object)
            elif not is_bound(event.object):
                self._queue.add(key_of(event.object))
        elif event.resource is PODS and event.type == "ADDED":
            for claim in claims_of(event.object):
                self._queue.add((event.object["metadata"]["namespace"], claim.name))
        elif event.resource in (PERSISTENT_VOLUMES, STORAGE_CLASSES) and event.type != "DELETED":
            for claim_object in self._store.iterate(PERSISTENT_VOLUME_CLAIMS):
                if not is_bound(claim_object):
                    self._queue.add(key_of(claim_object))

    def _sync(self, key: Key) -> None:
        claim = self._store.peek(PERSISTENT_VOLUME_CLAIMS, *key)
        if claim is None or is_bound(claim) or is_deleting(claim):
            return
        volume = self._present(claim)
        if volume is None and not claim["spec"].get("volumeName"):
            volume = self._provision(claim)
        if volume is not None:
            self._bind(claim, volume)

    def _present(self, claim: Manifest) -> Manifest | None:
        """A volume that is there already: the one that is named, else the smallest that fits."""
        named = claim["spec"].get("volumeName")
        free = [each for each in self._store.iterate(PERSISTENT_VOLUMES) if _is_free_for(claim, each)]
        fitting = [
            each for each in free if (each["metadata"]["name"] == named if named else _fits(claim, each))
        ]
        return min(fitting, key=lambda each: (_capacity(each), each["metadata"]["name"]), default=None)

    def _provision(self, claim: Manifest) -> Manifest | None:
        name = claim["spec"].get("storageClassName")
        if not name:
            self._events.normal(claim, "FailedBinding", _NO_CLASS)
            return None
        storage_class = self._store.peek(STORAGE_CLASSES, None, name)
        if storage_class is None:
            message = f'storageclass.storage.k8s.io "{name}" not found'
            self._events.warning(claim, "ProvisioningFailed", message)
            return None
        if storage_class.get("volumeBindingMode") == WAITS and not self._is_named(claim):
            self._events.normal(claim, WAITS, _WAITS)
            return None
        provisioner = storage_class["provisioner"]
        if provisioner != PROVISIONER:
            self._events.normal(claim, "ExternalProvisioning", _EXTERNAL.format(provisioner))
            return None
        volume = self._store.create(PERSISTENT_VOLUMES, _volume(claim, storage_class))
        message = f"Successfully provisioned volume {volume['metadata']['name']}"
        self._events.normal(claim, "ProvisioningSucceeded", message)
        return volume

    def _is_named(self, claim: Manifest) -> bool:
        namespace, name = key_of(claim)
        pods = self._store.iterate(PODS, namespace)
        return any(each.name == name for pod in pods for each in claims_of(pod))

    def _bind(self, claim: Manifest, volume: Manifest) -> None:
        name = volume["metadata"]["name"]
        reference = _reference(claim)

        def take(stored: Manifest) -> None:
            stored["spec"]["claimRef"] = reference

        def give(stored: Manifest) -> None:
            stored["spec"]["volumeName"] = name
            annotations = {_COMPLETED: "yes", _BY_CONTROLLER: "yes"}
            provisioner = (volume["metadata"].get("annotations") or {}).get(_PROVISIONED_BY)
            if provisioner:
                annotations[_PROVISIONER] = provisioner
            metadata = stored["metadata"]
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}

        self._store.edit(PERSISTENT_VOLUMES, None, name, take)
        self._store.edit(PERSISTENT_VOLUMES, None, name, _phase("Bound"), subresource="status")
        self._store.edit(PERSISTENT_VOLUME_CLAIMS, *key_of(claim), give)
        told = _phase(
            "Bound",
            accessModes=volume["spec"].get("accessModes") or [],
            capacity=volume["spec"].get("capacity") or {},
        )
        self._store.edit(PERSISTENT_VOLUME_CLAIMS, *key_of(claim), told, subresource="status")

    def _release(self, claim: Manifest) -> None:
        name = claim["spec"].get("volumeName")
        volume = self._store.peek(PERSISTENT_VOLUMES, None, name) if name else None
        if volume is None or (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
            return
        if volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            self._store.delete(PERSISTENT_VOLUMES, None, name)
        else:
            self._store.edit(PERSISTENT_VOLUMES, None, name, _phase("Released"), subresource="status")


def _phase(phase: str, **more: object) -> Callable[[Manifest], None]:
    def change(stored: Manifest) -> None:
        stored["status"] = {"phase": phase, **more}

    return change


def _is_free_for(claim: Manifest, volume: Manifest) -> bool:
    if is_deleting(volume):
        return False
    reference = volume["spec"].get("claimRef")
    if reference is None:
        return True
    ours = _reference(claim)
    # A volume may be reserved for a claim by name, before that claim has an uid.
    return all(reference.get(key) in (None, ours[key]) for key in ("namespace", "name", "uid"))


def _fits(claim: Manifest, volume: Manifest) -> bool:
    wanted, offered = claim["spec"], volume["spec"]
    return (
        (wanted.get("storageClassName") or "") == (offered.get("storageClassName") or "")
        and wanted.get("volumeMode", "Filesystem") == offered.get("volumeMode", "Filesystem")
        and set(wanted.get("accessModes") or ()) <= set(offered.get("accessModes") or ())
        and parse_quantity(_size(claim)) <= _capacity(volume)
    )


def _capacity(volume: Manifest) -> Fraction:
    return parse_quantity(str((volume["spec"].get("capacity") or {}).get("storage", "0")))


def _size(claim: Manifest) -> str:
    return str(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def _reference(claim: Manifest) -> Manifest:
    metadata = claim["metadata"]
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def _volume(claim: Manifest, storage_class: Manifest) -> Manifest:
    name = f"pvc-{claim['metadata']['uid']}"
    return {
        "metadata": {"name": name, "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": _size(claim)},
            "accessModes": list(claim["spec"].get("accessModes") or ()),
            "claimRef": _reference(claim),
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "csi": {"driver": PROVISIONER, "volumeHandle": name},
        },
        "status": {"phase": "Pending"},
    }
