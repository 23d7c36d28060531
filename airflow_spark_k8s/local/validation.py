"""Which new objects are valid, and what the API server says of those that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import Cause, invalid
from airflow_spark_k8s.local.priority_classes import validate_priority_class
from airflow_spark_k8s.local.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    JOBS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    PRIORITY_CLASSES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICES,
    Resource,
)
from airflow_spark_k8s.local.validation_data import validate_config_map, validate_secret
from airflow_spark_k8s.local.validation_jobs import validate_job
from airflow_spark_k8s.local.validation_names import (
    dns_label,
    dns_subdomain,
    path_segment,
    service_name,
    validate_metadata,
)
from airflow_spark_k8s.local.validation_pods import validate_pod_spec
from airflow_spark_k8s.local.validation_volumes import validate_claim_spec

_NAME_RULES: dict[Resource, Callable[[str], Iterator[str]]] = {
    NAMESPACES: dns_label,
    SERVICES: service_name,
    ROLES: path_segment,
    ROLE_BINDINGS: path_segment,
    CLUSTER_ROLES: path_segment,
    CLUSTER_ROLE_BINDINGS: path_segment,
}


def validate_new(resource: Resource, obj: Manifest) -> None:
    """Return if the object, already defaulted, is valid; raises ApiError 422 with a cause per wrong field."""
    raise_if_any(resource, obj, [*metadata_causes(resource, obj), *content_causes(resource, obj)])


def raise_if_any(resource: Resource, obj: Manifest, causes: list[Cause]) -> None:
    """Return if there is no cause; raises ApiError 422 otherwise."""
    if causes:
        raise invalid(resource, obj["metadata"].get("name") or "", causes)


def metadata_causes(resource: Resource, obj: Manifest) -> Iterator[Cause]:
    """What is wrong with the object's metadata."""
    return validate_metadata(obj["metadata"], _NAME_RULES.get(resource, dns_subdomain))


def content_causes(resource: Resource, obj: Manifest) -> Iterator[Cause]:
    """What is wrong with the rest of the object, for the kinds whose content is checked."""
    if resource is PODS:
        return validate_pod_spec(obj["spec"], "spec")
    if resource is JOBS:
        return validate_job(obj)
    if resource is CONFIG_MAPS:
        return validate_config_map(obj)
    if resource is SECRETS:
        return validate_secret(obj)
    if resource is PERSISTENT_VOLUME_CLAIMS:
        return validate_claim_spec(obj["spec"], "spec")
    if resource is PRIORITY_CLASSES:
        return validate_priority_class(obj)
    return iter(())
