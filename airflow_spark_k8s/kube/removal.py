"""Deletion of one object, and of no other that took its name."""

from __future__ import annotations

from airflow_spark_k8s.exceptions import Conflict, NotFound
from airflow_spark_k8s.kube.cluster import Cluster


async def delete(
    cluster: Cluster,
    path: str,
    uid: str,
    *,
    propagation: str = "Background",
    timeout_seconds: float = 30.0,
) -> bool:
    """
    Whether this call deleted the object with this uid; False if it is gone already, or replaced by another.

    What it owns goes with it: left unsaid, the deletion of a Job would leave its pods behind.

    :param path: of the object.
    :param propagation: `Background` or `Foreground`.
    :raises ClusterError: the server refuses or does not answer.

    Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion
    """
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "preconditions": {"uid": uid},
    }
    try:
        await cluster.request("DELETE", path, body=options, timeout_seconds=timeout_seconds)
    except (NotFound, Conflict):
        return False
    return True
