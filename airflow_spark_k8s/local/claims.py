"""PersistentVolumeClaims as pods name them, and the class they get if they name none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.conditions import is_deleting
from airflow_spark_k8s.local.manifests import Reader
from airflow_spark_k8s.local.resources import PERSISTENT_VOLUME_CLAIMS, STORAGE_CLASSES

PROVISIONER = "airflow-spark-k8s/local"
PROTECTION = "kubernetes.io/pvc-protection"
ONE_POD = "ReadWriteOncePod"
WAITS = "WaitForFirstConsumer"

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class ClaimOfPod:
    """One claim that a pod mounts."""

    name: str
    volume: str  # the pod's volume that names it
    template: Manifest | None  # spec.volumes[].ephemeral.volumeClaimTemplate; None: somebody else's claim

    @property
    def is_ephemeral(self) -> bool:
        """Whether the claim is made for the pod and goes with it."""
        return self.template is not None


def default_storage_class() -> Manifest:
    """The class of a new cluster: its volumes are folders of this machine."""
    return {
        "metadata": {"name": "standard", "annotations": {_DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def choose_class(reader: Reader, claim: Manifest) -> None:
    """
    Fill in a new claim in place: the default class unless it names one, and its protection while in use.

    Source: https://kubernetes.io/docs/concepts/storage/storage-classes/#default-storageclass
    """
    metadata, spec = claim["metadata"], claim["spec"]
    metadata["finalizers"] = list(dict.fromkeys([*(metadata.get("finalizers") or ()), PROTECTION]))
    if spec.get("storageClassName") is not None:
        return
    defaults = [each for each in reader.iterate(STORAGE_CLASSES) if is_default_class(each)]
    if defaults:
        newest = max(defaults, key=lambda each: (each["metadata"]["creationTimestamp"], _name(each)))
        spec["storageClassName"] = _name(newest)


def is_default_class(storage_class: Manifest) -> bool:
    """Whether claims that name no class get this one."""
    return bool((storage_class["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true")


def claims_of(pod: Manifest) -> Iterator[ClaimOfPod]:
    """The claims that a pod mounts, in the order of its volumes."""
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield ClaimOfPod(volume["persistentVolumeClaim"]["claimName"], volume["name"], None)
        elif "ephemeral" in volume:
            template = volume["ephemeral"].get("volumeClaimTemplate") or {}
            yield ClaimOfPod(f"{_name(pod)}-{volume['name']}", volume["name"], template)


def claim_trouble(reader: Reader, pod: Manifest) -> str | None:
    """
    Why the pod cannot be placed on any node because of its claims, in the scheduler's words; None if it can.

    Source: the scheduler's plugin VolumeBinding.
    """
    for each in claims_of(pod):
        claim = reader.peek(PERSISTENT_VOLUME_CLAIMS, pod["metadata"]["namespace"], each.name)
        if claim is None and each.is_ephemeral:
            return (
                f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{each.name}"'
            )
        if claim is None:
            return f'persistentvolumeclaim "{each.name}" not found'
        if is_deleting(claim):
            return f'persistentvolumeclaim "{each.name}" is being deleted'
        if each.is_ephemeral and not is_made_for(pod, claim):
            return not_made_for(pod, claim)
        if not is_bound(claim):
            return "pod has unbound immediate PersistentVolumeClaims"
    return None


def is_bound(claim: Manifest) -> bool:
    """Whether there is a volume behind the claim."""
    return bool((claim.get("status") or {}).get("phase") == "Bound")


def is_made_for(pod: Manifest, claim: Manifest) -> bool:
    """Whether the claim was made for one of the pod's ephemeral volumes."""
    references = claim["metadata"].get("ownerReferences") or ()
    return any(each["uid"] == pod["metadata"]["uid"] and each.get("controller") for each in references)


def not_made_for(pod: Manifest, claim: Manifest) -> str:
    """What components say of a claim that has an ephemeral volume's name by chance."""
    namespace = pod["metadata"]["namespace"]
    return (
        f"PVC {namespace}/{_name(claim)} was not created for pod {namespace}/{_name(pod)} (pod is not owner)"
    )


def _name(obj: Manifest) -> str:
    return str(obj["metadata"]["name"])
