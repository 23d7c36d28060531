"""
Another Job for an application whose driver was deleted, in steps, each of which may be the last to be made.

Whoever continues later, or at the same time, makes the same steps: what is there already counts as success.
Nothing runs before the last step, and until then the old Job owns the new one, so both are removed together.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_spark_k8s.core.job_state import job_state
from airflow_spark_k8s.core.next_job import continues, next_job, owner_reference
from airflow_spark_k8s.core.settings import config_map_name
from airflow_spark_k8s.core.spec import ApplicationReference, Manifest
from airflow_spark_k8s.exceptions import AlreadyExists, Conflict, Invalid, InvalidConfiguration, NotFound
from airflow_spark_k8s.kube.by_uid import delete, patch
from airflow_spark_k8s.kube.cluster import JSON, STRATEGIC_MERGE_PATCH, Cluster
from airflow_spark_k8s.kube.paths import collection_path, object_path


async def start_again(
    cluster: Cluster,
    reference: ApplicationReference,
    job_name: str,
    job_uid: str,
    driver_uids: tuple[str, ...],
    *,
    now: float,
    timeout_seconds: float,
) -> JSON:
    """
    The Job that continues the one with `job_uid`, resumed.

    Call it only when that one is marked as continued and its driver is certainly gone.

    :param driver_uids: of all driver pods so far.
    :param now: seconds since the epoch.
    :param timeout_seconds: for each call.
    :raises Conflict: the old Job has come to another end, or the new one was removed: look again.
    :raises InvalidConfiguration: the new Job's name is taken by a stranger.
    :raises ClusterError: the server refuses or does not answer.
    """
    steps = _Steps(cluster, reference.namespace, job_name, job_uid, timeout_seconds)
    old = await steps.old_job()
    new = await steps.created(next_job(old, driver_uids, now), old)
    if not job_state(new).in_the_making:
        return new
    for kind, name, required in _owned(reference.application):
        await steps.add_owner(kind, name, new, required=required)
    try:
        # Not earlier: whoever ends the old Job looks for a new one afterwards, and must find it.
        await steps.old_job()
    except Conflict:
        await delete(cluster, steps.path(new), new["metadata"]["uid"], timeout_seconds=timeout_seconds)
        raise
    return await steps.resumed(new)


def _owned(application: str) -> tuple[tuple[str, str, bool], ...]:
    """Kind, name and whether it must be there, of each object that the application needs."""
    return (
        ("ConfigMap", config_map_name(application), True),
        ("ConfigMap", f"{application}-files", False),
        ("Secret", f"{application}-conf", True),
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps, each of which may be repeated."""

    cluster: Cluster
    namespace: str
    job_name: str
    job_uid: str
    timeout_seconds: float

    def path(self, job: Manifest) -> str:
        return object_path("Job", self.namespace, job["metadata"]["name"])

    async def old_job(self) -> JSON:
        """The old Job, if it is still to be continued."""
        try:
            job = await self._request("GET", object_path("Job", self.namespace, self.job_name))
        except NotFound as error:
            raise Conflict(f"Job {self.job_name} is gone") from error
        state = job_state(job)
        if state.uid != self.job_uid or state.deleting:
            raise Conflict(f"Job {self.job_name} was removed")
        if state.outcome is not None or state.continued_by is None:
            raise Conflict(f"Job {self.job_name} has an outcome or is not marked as continued")
        return job

    async def created(self, manifest: Manifest, old: Manifest) -> JSON:
        try:
            return await self._request("POST", collection_path("Job", self.namespace), body=manifest)
        except AlreadyExists as error:
            return await self._found(manifest, old, error)

    async def _found(self, manifest: Manifest, old: Manifest, error: AlreadyExists) -> JSON:
        try:
            job = await self._request("GET", self.path(manifest))
        except NotFound:
            raise Conflict(str(error)) from error
        if job_state(job).deleting:
            raise Conflict(f"Job {manifest['metadata']['name']} is being removed") from error
        if not continues(job, old):
            name = manifest["metadata"]["name"]
            raise InvalidConfiguration(
                "job_name", name, "another Job, which is not of this application, has this name"
            ) from error
        return job

    async def add_owner(self, kind: str, name: str, job: Manifest, *, required: bool) -> None:
        """Make `job` another owner of the object, which would be garbage-collected with its last owner."""
        body = {"metadata": {"ownerReferences": [owner_reference(job["metadata"])]}}
        try:
            await self._request(
                "PATCH",
                object_path(kind, self.namespace, name),
                body=body,
                content_type=STRATEGIC_MERGE_PATCH,
            )
        except NotFound as error:
            if required:
                raise Invalid(f"{kind} {name} is gone", status=404, reason="NotFound") from error

    async def resumed(self, job: Manifest) -> JSON:
        """The Job, resumed and released from the old one in a single write."""
        release = {"op": "add", "path": "/metadata/ownerReferences", "value": []}
        resume = {"op": "add", "path": "/spec/suspend", "value": False}
        path, uid = self.path(job), job["metadata"]["uid"]
        try:
            return await patch(self.cluster, path, uid, release, resume, timeout_seconds=self.timeout_seconds)
        except NotFound as error:
            name = job["metadata"]["name"]
            raise Conflict(f"Job {name} was removed or replaced before it started") from error

    async def _request(
        self, method: str, path: str, *, body: object = None, content_type: str = "application/json"
    ) -> JSON:
        return await self.cluster.request(
            method, path, body=body, content_type=content_type, timeout_seconds=self.timeout_seconds
        )
