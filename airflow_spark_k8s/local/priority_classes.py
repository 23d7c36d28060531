"""PriorityClasses: those that every cluster has, which new ones are valid, and what they mean for a pod."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import Cause, forbidden
from airflow_spark_k8s.local.manifests import Reader
from airflow_spark_k8s.local.resources import PODS, PRIORITY_CLASSES
from airflow_spark_k8s.local.validation_names import forbidden_change, invalid_value, required

HIGHEST_OF_USERS = 1_000_000_000

_SYSTEM_PREFIX = "system-"
_SYSTEM_CLASSES = {
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if "
        "necessary.",
    ),
}


def system_classes() -> Iterator[Manifest]:
    """The classes of a new cluster."""
    for name, (value, description) in _SYSTEM_CLASSES.items():
        yield {"metadata": {"name": name}, "value": value, "description": description}


def check_default(reader: Reader, priority_class: Manifest) -> None:
    """Return if the cluster has no other class for pods that name none; raises ApiError 403."""
    if not priority_class.get("globalDefault"):
        return
    name = priority_class["metadata"]["name"]
    for other in reader.iterate(PRIORITY_CLASSES):
        if other.get("globalDefault") and other["metadata"]["name"] != name:
            why = f"PriorityClass {other['metadata']['name']} is already marked as default. "
            raise forbidden(PRIORITY_CLASSES, name, f"{why}Only one default can exist")


def validate_priority_class(priority_class: Manifest) -> Iterator[Cause]:
    """What is wrong with a class. Source: k8s.io/kubernetes/pkg/apis/scheduling/validation."""
    name, value = priority_class["metadata"].get("name") or "", priority_class.get("value")
    if value is None:
        yield required("value")
    elif name.startswith(_SYSTEM_PREFIX):
        if _SYSTEM_CLASSES.get(name, (None,))[0] != value:
            why = f"error: {name} is not a known system priority class"
            rule = "priority class names with 'system-' prefix are reserved for system use only."
            yield forbidden_change("metadata.name", f"{rule} {why}")
    elif value > HIGHEST_OF_USERS:
        rule = f"maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}"
        yield forbidden_change("value", rule)


def changed_causes(old: Manifest, new: Manifest) -> Iterator[Cause]:
    """What may not change about a class."""
    if old.get("value") != new.get("value"):
        yield forbidden_change("value", "may not be changed in an update.")
    if old.get("preemptionPolicy") != new.get("preemptionPolicy"):
        yield invalid_value("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable")


def resolve_priority(reader: Reader, pod: Manifest) -> None:
    """
    Fill in a new pod's priority in place; raises ApiError 403 for an unknown class and another number.

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
    """
    spec = pod["spec"]
    found = _class_of(reader, pod)
    computed = 0 if found is None else found["value"]
    if spec.get("priority") not in (None, computed):
        why = (
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {computed} from the given PriorityClass name"
        )
        raise forbidden(PODS, pod["metadata"]["name"], why)
    spec["priority"] = computed
    if found is not None:
        spec["priorityClassName"] = found["metadata"]["name"]
        spec["preemptionPolicy"] = found.get("preemptionPolicy", "PreemptLowerPriority")


def _class_of(reader: Reader, pod: Manifest) -> Manifest | None:
    name = pod["spec"].get("priorityClassName")
    if not name:
        defaults = (each for each in reader.iterate(PRIORITY_CLASSES) if each.get("globalDefault"))
        return min(defaults, key=lambda each: int(each["value"]), default=None)
    found = reader.peek(PRIORITY_CLASSES, None, name)
    if found is None:
        raise forbidden(PODS, pod["metadata"]["name"], f"no PriorityClass with name {name} was found")
    return found
