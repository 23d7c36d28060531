"""Removing what one try of a task has running, and nothing that a later try took over."""

from __future__ import annotations

from airflow_spark_k8s.core.job_state import JobState, job_state
from airflow_spark_k8s.core.labels import LABEL_TI_ID
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import Conflict, NotFound
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.templates.context import TTL_SECONDS

_ATTEMPTS = 5
_TIMEOUT_SECONDS = 8.0  # of one call: Airflow allows a killed trigger 30 s in all


async def remove_applications(
    cluster: Cluster, namespace: str, ti_id: str, *, only_running: bool = False
) -> list[str]:
    """
    Names of the Jobs that were deleted, with all they own: those that carry `ti_id` at this moment.

    A later try that adopts a Job writes its own id on it. So the label is read first, and the deletion is
    bound to the version that was read: a Job that is adopted in between stays. So does one that has ended and
    whose verdict a worker has read: it is kept for people, as long as the task's retention says.

    An application may have several Jobs at once, one of which continues the others. The oldest goes first:
    before a new one starts, the one before it is looked for.

    :param only_running: leave a Job alone whose end is known already.
    :raises ClusterError: if the API server does not list or delete them, or they keep changing.
    """
    deleted: list[str] = []
    for _ in range(_ATTEMPTS):
        remaining = await _jobs(cluster, namespace, ti_id, only_running=only_running)
        if not remaining:
            return deleted
        deleted += [job["metadata"]["name"] for job in remaining if await _delete(cluster, namespace, job)]
    raise Conflict(
        f"the Jobs of task instance {ti_id} in namespace {namespace} change too often to be deleted"
    )


async def _jobs(cluster: Cluster, namespace: str, ti_id: str, *, only_running: bool) -> list[Manifest]:
    params = {"labelSelector": f"{LABEL_TI_ID}={ti_id}"}
    answer = await cluster.request(
        "GET", collection_path("Job", namespace), params=params, timeout_seconds=_TIMEOUT_SECONDS
    )
    found = []
    for job in answer.get("items") or ():
        state = job_state(job)
        if not state.deleting and not (only_running and state.settled) and not _is_kept(job, state):
            found.append((len(state.earlier_uids), job))
    return [job for _, job in sorted(found, key=lambda one: one[0])]


def _is_kept(job: Manifest, state: JobState) -> bool:
    """
    Whether it has ended and was given its retention: the last step on a worker was taken.

    A triggerer that was cut off and comes back late finds the task over, although nobody has killed it.
    """
    return state.finished and job["spec"].get("ttlSecondsAfterFinished", TTL_SECONDS) != TTL_SECONDS


async def _delete(cluster: Cluster, namespace: str, job: Manifest) -> bool:
    """Whether this call deleted it; False if it is gone or was changed since it was read."""
    metadata = job["metadata"]
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
    }
    path = object_path("Job", namespace, metadata["name"])
    try:
        await cluster.request("DELETE", path, body=body, timeout_seconds=_TIMEOUT_SECONDS)
    except (NotFound, Conflict):
        return False
    return True
