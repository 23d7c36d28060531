"""Deletion of one object, and of no other that took its name."""

from __future__ import annotations

from airflow_spark_k8s.exceptions import Conflict, NotFound
from airflow_spark_k8s.kube.cluster import Cluster


async def delete(
    cluster: Cluster,
    path: str,
    uid: str,
    *,
    resource_version: str | None = None,
    propagation: str = "Background",
    timeout_seconds: float = 30.0,
) -> bool:
    """
    Whether this call deleted the object with this uid; False if it is gone already, or replaced by another.

    What it owns goes with it: left unsaid, the deletion of a Job would leave its pods behind.

    :param path: of the object.
    :param resource_version: leave the object alone if it has another one by now; None: any will do.
    :param propagation: `Background` or `Foreground`.
    :raises ClusterError: the server refuses or does not answer.

    Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion
    """
    version = {} if resource_version is None else {"resourceVersion": resource_version}
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "preconditions": {"uid": uid, **version},
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


async def _is_there(
    cluster: Cluster, path: str, uid: str, resource_version: str | None, timeout_seconds: float
) -> bool:
    try:
        found = (await cluster.request("GET", path, timeout_seconds=timeout_seconds))["metadata"]
    except NotFound:
        return False
    return found["uid"] == uid and resource_version in (None, found["resourceVersion"])
