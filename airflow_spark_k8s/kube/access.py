"""What the credentials of a connection may do in a namespace, asked of the cluster itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from airflow_spark_k8s.kube.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource of a namespace, and what needs it."""

    verb: str
    resource: str
    purpose: str
    group: str = ""
    subresource: str = ""
    required: bool = True  # False: without it something works less well

    def __str__(self) -> str:
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        group = f" in API group {self.group!r}" if self.group else ""
        return f"{self.verb} {name}{group} ({self.purpose})"


def _rights(resource: str, verbs: str, purpose: str, group: str = "") -> tuple[Right, ...]:
    return tuple(Right(verb, resource, purpose, group) for verb in verbs.split())


RIGHTS = (
    *_rights("jobs", "create get list watch patch delete", "the driver", "batch"),
    *_rights("pods", "create get list watch patch delete", "driver and executors"),
    *_rights("configmaps", "create get patch delete", "settings and the application's file"),
    *_rights("secrets", "create get patch delete", "the driver's properties"),
    Right("get", "pods", "the driver's last log lines", subresource="log", required=False),
    Right("get", "pods", "progress and registered executors", subresource="proxy", required=False),
    Right("get", "namespaces", "notices that a connection leads to another cluster", required=False),
    Right("list", "events", "why a pod waits, or is gone that nobody saw end", required=False),
)
"""All rights in a namespace that submitting, allocating, observing and cleaning up need."""


async def missing_rights(
    cluster: Cluster, namespace: str, rights: tuple[Right, ...] = RIGHTS
) -> tuple[Right, ...]:
    """
    Those of `rights` that the cluster denies, in their order.

    Raises:
        ClusterError: the server refuses the review, or does not answer.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access

    """
    allowed = await asyncio.gather(*(_is_allowed(cluster, namespace, right) for right in rights))
    return tuple(right for right, yes in zip(rights, allowed, strict=True) if not yes)


async def _is_allowed(cluster: Cluster, namespace: str, right: Right) -> bool:
    attributes = {
        "namespace": namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = await cluster.request(
        "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review
    )
    return bool((answer.get("status") or {}).get("allowed"))
