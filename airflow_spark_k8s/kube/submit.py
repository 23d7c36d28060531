"""
Submission of an application, in steps, each of which may be the last to be made: the next caller goes on.

A Job is created suspended, then the ConfigMaps and the Secret that it owns, then it is resumed. So a
suspended Job is an unfinished submission that runs nothing, and a Job that is not suspended lacks nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from airflow_spark_k8s.core.job_state import JobPhase, JobState, job_state
from airflow_spark_k8s.core.labels import (
    ANNOTATION_SPEC_HASH,
    LABEL_APPLICATION,
    LABEL_TASK_INSTANCE,
    LABEL_TI_ID,
    LABEL_TRY,
)
from airflow_spark_k8s.core.next_job import owner_reference
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.pod_state import DRIVER_CONTAINER
from airflow_spark_k8s.core.spec import ApplicationReference, Identity, Manifest, Manifests
from airflow_spark_k8s.exceptions import (
    AlreadyExists,
    ClusterError,
    ClusterUnreachable,
    Conflict,
    InvalidConfiguration,
    NotFound,
    ServerError,
    TooManyRequests,
)
from airflow_spark_k8s.kube.by_uid import delete, patch
from airflow_spark_k8s.kube.cluster import MERGE_PATCH, Cluster
from airflow_spark_k8s.kube.paths import collection_of, collection_path, object_path, path_of
from airflow_spark_k8s.templates.context import TTL_SECONDS

# A server also answers 409 to a creation: when others book on the same quota at that moment.
_MAY_PASS = (ClusterUnreachable, ServerError, TooManyRequests, Conflict)

CREATED = "created"
ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class Submitted:
    """An application that runs, or has run, and how it came to be."""

    reference: ApplicationReference
    how: str  # "created", "adopted" or "adopted from try N"


async def submit(
    cluster: Cluster, manifests: Manifests, identity: Identity, *, retry: bool = False
) -> Submitted:
    """
    The application in the cluster: created, or found there from an earlier call or an earlier try.

    May be called again after it was cut off anywhere, also by another process, and ends in one driver. A Job
    that an earlier try of the same task instance has running is taken over if its specification is the same;
    else it is removed, and its pods must have ended before a new one is created.

    :param retry: nobody asked for another run: a success of an earlier try that no worker has read counts.
    :raises InvalidConfiguration: the name is taken by somebody else's Job, or a later try is at work.
    :raises Conflict: pods of an earlier try have not ended yet, or others got in the way: call again later.
    :raises ClusterError: the server refuses or does not answer.
    """
    return await _Submission(cluster, manifests, identity, retry).attempt()


async def retain(cluster: Cluster, reference: ApplicationReference, seconds: int) -> None:
    """
    Keep the Job and what it owns for `seconds` after its end; 0 removes it at once.

    A Job that is gone, or was replaced by another of the same name, is left alone.

    :raises ClusterError: the server refuses or does not answer.
    """
    path = object_path("Job", reference.namespace, reference.job_name)
    if seconds <= 0:
        await delete(cluster, path, reference.job_uid)
        return
    keep = {"op": "add", "path": "/spec/ttlSecondsAfterFinished", "value": seconds}
    with suppress(NotFound):
        await patch(cluster, path, reference.job_uid, keep)


async def driver_log(cluster: Cluster, namespace: str, pod: str, tail_lines: int) -> str:
    """
    The last `tail_lines` lines that the driver has written.

    :raises NotFound: the pod is gone.
    :raises Invalid: the container has not been started.
    """
    params = {"container": DRIVER_CONTAINER, "tailLines": str(tail_lines)}
    return await cluster.text(f"{object_path('Pod', namespace, pod)}/log", params=params)


@dataclass(frozen=True, slots=True)
class _Job:
    """A Job of the task instance, as found."""

    manifest: Manifest
    state: JobState

    @classmethod
    def of(cls, manifest: Manifest) -> _Job:
        # The items of a list come without a kind.
        return cls({**manifest, "kind": "Job"}, job_state(manifest))

    def label(self, key: str) -> str:
        return str((self.manifest["metadata"].get("labels") or {}).get(key, ""))

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def try_number(self) -> int:
        text = self.label(LABEL_TRY)
        return int(text) if text.isdigit() else 0

    @property
    def suspended(self) -> bool:
        return bool(self.manifest["spec"].get("suspend"))

    @property
    def live(self) -> bool:
        return not self.state.finished and not self.state.deleting

    @property
    def may_be_continued(self) -> bool:
        """Whether a controller may have another Job continue it: it failed, and no outcome is recorded."""
        state = self.state
        return state.phase is JobPhase.FAILED and state.outcome is None and not state.deleting

    @property
    def has_unread_success(self) -> bool:
        """Whether it succeeded, and no worker has come to its last step, which sets the retention."""
        state, retention = self.state, self.manifest["spec"].get("ttlSecondsAfterFinished")
        succeeded = state.outcome is None or state.outcome.verdict is Verdict.SUCCEEDED
        complete = state.phase is JobPhase.COMPLETE and state.finished and not state.deleting
        return complete and succeeded and retention == TTL_SECONDS

    def is_specified_by(self, spec_hash: str) -> bool:
        return (self.manifest["metadata"].get("annotations") or {}).get(ANNOTATION_SPEC_HASH) == spec_hash

    def runs_as_wanted(self, spec_hash: str) -> bool:
        """Whether a later try with this specification may take it over, instead of starting anew."""
        decided = self.state.reason is not None or self.state.outcome is not None or self.state.stopped
        # A suspended one has nothing running, and may lack objects that only its own try could make.
        return self.is_specified_by(spec_hash) and not decided and not self.suspended


class _Submission:
    """One application on its way into the cluster; every step may be repeated."""

    def __init__(self, cluster: Cluster, manifests: Manifests, identity: Identity, retry: bool) -> None:
        self._cluster = cluster
        self._manifests = manifests
        self._identity = identity
        self._retry = retry
        self._namespace: str = manifests.job["metadata"]["namespace"]

    async def attempt(self) -> Submitted:
        jobs = await self._jobs()
        # A controller is still making such a Job; it is no business of a submission.
        mine = filter(self._is_own, jobs)
        own = [job for job in mine if not job.state.deleting and not job.state.in_the_making]
        if own:
            job, how = own[-1], ADOPTED
        else:
            job, how = await self._from_earlier_tries([job for job in jobs if not self._is_own(job)])
        await self._complete(job)
        return Submitted(self._reference(job), how)

    async def _from_earlier_tries(self, others: list[_Job]) -> tuple[_Job, str]:
        others = [job for job in others if job.name != self._manifests.job["metadata"]["name"]]
        live = [job for job in others if job.live]
        failed = [job for job in others if job.may_be_continued]
        self._refuse_if_late(live + failed)
        wanted = self._manifests.spec_hash
        adoptable = [job for job in live if job.runs_as_wanted(wanted)]
        if self._retry and not live and not failed:
            adoptable = [job for job in others if job.has_unread_success and job.is_specified_by(wanted)]
        kept = max(adoptable, key=lambda job: job.try_number, default=None)
        if await self._removed(live + failed, kept):
            # Another Job may have continued one of them just before it was removed: it would be there now.
            jobs = await self._jobs()
            return await self._from_earlier_tries([job for job in jobs if not self._is_own(job)])
        await self._refuse_while_pods_run(kept)
        if kept is None:
            return await self._created(), CREATED
        return await self._taken_over(kept), f"adopted from try {kept.try_number}"

    async def _removed(self, jobs: list[_Job], kept: _Job | None) -> bool:
        """Whether there was anything to remove: all but `kept` and those that it continues."""
        spared = {kept.state.uid, *kept.state.earlier_uids} if kept is not None else set()
        surplus = [job for job in jobs if job.state.uid not in spared]
        for job in sorted(surplus, key=lambda job: len(job.state.earlier_uids)):
            await delete(self._cluster, path_of(job.manifest), job.state.uid)
        return bool(surplus)

    def _is_own(self, job: _Job) -> bool:
        return job.label(LABEL_TI_ID) == self._identity.ti_id

    def _refuse_if_late(self, live: list[_Job]) -> None:
        for job in live:
            if job.try_number > self._identity.try_number:
                raise InvalidConfiguration(
                    "try_number",
                    self._identity.try_number,
                    f"Job {job.name} of try {job.try_number} of this task is at work already; "
                    "if no such try exists any more, delete that Job",
                )

    async def _jobs(self) -> list[_Job]:
        params = {"labelSelector": f"{LABEL_TASK_INSTANCE}={self._identity.task_instance_key}"}
        answer = await self._cluster.request("GET", collection_path("Job", self._namespace), params=params)
        jobs = [_Job.of(item) for item in answer.get("items") or ()]
        return sorted(jobs, key=lambda job: (job.live, job.manifest["metadata"]["creationTimestamp"]))

    async def _refuse_while_pods_run(self, kept: _Job | None) -> None:
        """Return if no pod of an earlier try is left that may still write where this one will."""
        params = {"labelSelector": f"{LABEL_TASK_INSTANCE}={self._identity.task_instance_key}"}
        answer = await self._cluster.request("GET", collection_path("Pod", self._namespace), params=params)
        spared = {kept.label(LABEL_APPLICATION)} if kept is not None else set()
        left = [pod for pod in answer.get("items") or () if _is_left_over(pod, spared)]
        for pod in left:
            if not pod["metadata"].get("ownerReferences"):
                # Its Job was deleted without what it owns: nobody else will ever remove it.
                path = object_path("Pod", self._namespace, pod["metadata"]["name"])
                await delete(self._cluster, path, pod["metadata"]["uid"])
        if left:
            names = ", ".join(sorted(pod["metadata"]["name"] for pod in left))
            raise Conflict(f"pods of an earlier try have not ended yet: {names}")

    async def _created(self) -> _Job:
        path = collection_of(self._manifests.job)
        try:
            return _Job.of(await self._cluster.request("POST", path, body=self._manifests.job))
        except AlreadyExists as error:
            return await self._behind_our_name(error)

    async def _behind_our_name(self, error: AlreadyExists) -> _Job:
        """The Job that has the name already, if it is ours; another one that is over is removed."""
        path = path_of(self._manifests.job)
        try:
            job = _Job.of(await self._cluster.request("GET", path))
        except NotFound:
            raise Conflict("a Job of the same name was there a moment ago") from error
        if self._is_own(job) and not job.state.deleting:
            return job
        if job.live:
            raise InvalidConfiguration(
                "deployment_id",
                self._identity.deployment,
                f"Job {job.name} in namespace {self._namespace} is at work under this name for another task "
                f"instance ({job.label(LABEL_TI_ID) or 'unknown'}): give each Airflow its own deployment_id",
            ) from error
        if not job.state.deleting:
            await delete(self._cluster, path, job.state.uid)
        raise Conflict(f"Job {job.name}, which had this name before, is being removed") from error

    async def _taken_over(self, job: _Job) -> _Job:
        metadata = {
            # Without it, two tries could both believe that they took it over.
            "resourceVersion": job.state.resource_version,
            "labels": {LABEL_TI_ID: self._identity.ti_id, LABEL_TRY: str(self._identity.try_number)},
        }
        body = {"metadata": metadata, "spec": self._prolonged(job)}
        try:
            changed = await self._cluster.request(
                "PATCH", path_of(job.manifest), body=body, content_type=MERGE_PATCH
            )
        except NotFound as error:
            raise Conflict(f"Job {job.name} was removed while it was being taken over") from error
        return _Job.of(changed)

    def _prolonged(self, job: _Job) -> dict[str, int]:
        """The Job's deadline, extended by the time that the new try may take."""
        before = job.manifest["spec"].get("activeDeadlineSeconds") if job.live else None
        wanted = self._manifests.job["spec"].get("activeDeadlineSeconds")
        return {"activeDeadlineSeconds": before + wanted} if before and wanted else {}

    async def _complete(self, job: _Job) -> None:
        if job.state.finished or not job.suspended:
            return
        try:
            for manifest in (*self._manifests.config_maps, self._manifests.secret):
                await self._own(manifest, job)
            await self._resume(job)
        except _MAY_PASS:
            raise
        except ClusterError:
            # Refused for good: nobody would ever resume it.
            with suppress(ClusterError):
                await delete(self._cluster, path_of(job.manifest), job.state.uid)
            raise

    async def _own(self, manifest: Manifest, job: _Job) -> None:
        owner = {**owner_reference(job.manifest["metadata"]), "controller": True}
        metadata = {**manifest["metadata"], "ownerReferences": [owner]}
        try:
            await self._cluster.request(
                "POST", collection_of(manifest), body={**manifest, "metadata": metadata}
            )
        except AlreadyExists:
            await self._check_owner(manifest, job)

    async def _check_owner(self, manifest: Manifest, job: _Job) -> None:
        path, name = path_of(manifest), f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            metadata = (await self._cluster.request("GET", path))["metadata"]
        except NotFound as error:
            raise Conflict(f"{name} was removed while it was being looked at") from error
        if any(owner["uid"] == job.state.uid for owner in metadata.get("ownerReferences") or ()):
            return
        # Left by a Job of the same name that is gone: the garbage collector is about to remove it.
        await delete(self._cluster, path, metadata["uid"])
        raise Conflict(f"{name} of an earlier Job was in the way and has been removed")

    async def _resume(self, job: _Job) -> None:
        start = {"op": "replace", "path": "/spec/suspend", "value": False}
        await patch(self._cluster, path_of(job.manifest), job.state.uid, start)

    def _reference(self, job: _Job) -> ApplicationReference:
        return ApplicationReference(
            namespace=self._namespace,
            application=job.label(LABEL_APPLICATION),
            job_name=job.name,
            job_uid=job.state.uid,
            ti_id=self._identity.ti_id,
        )


def _is_left_over(pod: Manifest, spared_applications: set[str]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not ended and labels.get(LABEL_APPLICATION) not in spared_applications
