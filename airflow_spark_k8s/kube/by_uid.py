"""Deletion of, and changes to, the one object with a certain uid, and no other that took its name."""

from __future__ import annotations

from typing import Any

from airflow_spark_k8s.exceptions import Conflict, Invalid, NotFound
from airflow_spark_k8s.kube.cluster import JSON, JSON_PATCH, Cluster


async def delete(
    cluster: Cluster,
    path: str,
    uid: str,
    *,
    resource_version: str | None = None,
    propagation: str = "Background",
    grace_seconds: int | None = None,
    timeout_seconds: float = 30.0,
) -> bool:
    """
    Whether this call deleted the object with this uid; False if it is gone already, or replaced by another.

    What it owns goes with it: left unsaid, the deletion of a Job would leave its pods behind.

    :param path: of the object.
    :param resource_version: leave the object alone if it has another one by now; None: any will do.
    :param propagation: `Background` or `Foreground`.
    :param grace_seconds: time that a pod has to end; None: what the pod says.
    :raises ClusterError: the server refuses or does not answer.

    Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion
    """
    version = {} if resource_version is None else {"resourceVersion": resource_version}
    grace = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "preconditions": {"uid": uid, **version},
        **grace,
    }
    try:
        await cluster.request("DELETE", path, body=options, timeout_seconds=timeout_seconds)
    except NotFound:
        return False
    except Conflict:
        # It may be another one by now, or somebody else may only have been at work on it.
        if await _is_there(cluster, path, uid, resource_version, timeout_seconds):
            raise
        return False
    return True


async def patch(
    cluster: Cluster, path: str, uid: str, *changes: dict[str, Any], timeout_seconds: float = 30.0
) -> JSON:
    """
    The object with this uid after a JSON patch.

    :param path: of the object.
    :param changes: the operations.
    :raises NotFound: it is gone, or replaced by another.
    :raises ClusterError: the server refuses or does not answer.
    """
    body = [{"op": "test", "path": "/metadata/uid", "value": uid}, *changes]
    try:
        return await cluster.request(
            "PATCH", path, body=body, content_type=JSON_PATCH, timeout_seconds=timeout_seconds
        )
    except Invalid as error:
        # The server answers a failed test and a refused change alike.
        if await _is_there(cluster, path, uid, None, timeout_seconds):
            raise
        raise NotFound(f"{path} was replaced by another object", status=404) from error


async def _is_there(
    cluster: Cluster, path: str, uid: str, resource_version: str | None, timeout_seconds: float
) -> bool:
    try:
        found = (await cluster.request("GET", path, timeout_seconds=timeout_seconds))["metadata"]
    except NotFound:
        return False
    return found["uid"] == uid and resource_version in (None, found["resourceVersion"])
