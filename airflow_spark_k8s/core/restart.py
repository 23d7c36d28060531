"""When an application is started again in another Job: its driver pod was deleted, and the old Job failed."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_spark_k8s.core.actions import Action, DeleteJob, ListPods, MarkContinued, StartAgain
from airflow_spark_k8s.core.job_chain import next_job_name
from airflow_spark_k8s.core.job_state import BACKOFF_LIMIT_EXCEEDED, JobPhase, JobState
from airflow_spark_k8s.core.pod_state import Deleted, EndKind, Failed
from airflow_spark_k8s.core.snapshot import DriverPod, Observed
from airflow_spark_k8s.core.state import JOB, LIST, RESTART, Scene

SAFETY_SECONDS = 30.0
"""How long beyond its grace period a driver may run whose end has not been confirmed."""

REFUSED_SECONDS = 300.0
"""An application that the cluster refuses to start again for this long is given up."""

DELETE_AGAIN_SECONDS = 30.0
"""A Job that is still there this long after its deletion was requested is deleted once more."""


def driver_uids(observed: Observed) -> tuple[str, ...]:
    """Uids of every driver pod known, oldest first: those recorded on the Job and those in sight."""
    recorded = observed.job.driver_uids if observed.job else ()
    return recorded + tuple(driver.uid for driver in observed.drivers if driver.uid not in recorded)


def restarts(observed: Observed) -> int:
    """How often the driver was started again, by its Job or in another one."""
    jobs = len(observed.job.earlier_uids) + 1 if observed.job else 0
    return max(len(driver_uids(observed)), jobs, 1) - 1


def may_restart(scene: Scene) -> bool:
    """
    Whether the application will be started again in another Job, now or later.

    As long as it will, the Job's failure is no verdict. A Job that is marked as continued is continued,
    whatever this controller has seen of the driver.
    """
    job = scene.observed.job
    if job is None or job.deleting or job.outcome is not None:
        return False
    if job.continued_by is not None:
        return not is_refused(scene)
    return _failed_by_loss(scene.observed, job) and _is_allowed(scene, job)


def is_refused(scene: Scene) -> bool:
    """Whether the cluster has refused the next Job, again and again."""
    refused = scene.state.refused
    return refused is not None and refused.lasted_seconds >= REFUSED_SECONDS


def restart_actions(scene: Scene) -> Iterator[Action]:
    """The next step on the way to another Job; nothing if there is none to be made."""
    job = scene.observed.job
    if job is None or not may_restart(scene):
        return
    if job.continued_by is not None:
        if scene.state.backoff(RESTART).open(scene.now):
            yield StartAgain(job.name, job.uid, driver_uids(scene.observed))
    elif scene.state.listed_at < _noticed_at(scene, job):
        if scene.state.backoff(LIST).open(scene.now):
            yield ListPods()
    elif _is_certainly_gone(scene, job) and scene.desired.settings is not None:
        name = next_job_name(job.name)
        if name is not None and scene.state.backoff(JOB).open(scene.now):
            yield MarkContinued(job.name, job.resource_version, name)


def restart_due(scene: Scene) -> float | None:
    """When the old driver will certainly be gone, or the next Job be given up; None: not by time alone."""
    job = scene.observed.job
    if job is None or not may_restart(scene):
        return None
    refused = scene.state.refused
    moments = [scene.since["job failed", job.uid] + job.grace_seconds + SAFETY_SECONDS]
    moments += [] if refused is None else [refused.since + REFUSED_SECONDS]
    return min((moment for moment in moments if moment > scene.now), default=None)


def surplus_jobs(scene: Scene, *, over: bool) -> tuple[DeleteJob, ...]:
    """
    Jobs that are not needed any more: those that another one continues and, after the end, one in the making.

    :param over: whether the application has come to its end.
    """
    observed, asked = scene.observed, scene.state.deleted
    jobs = [*observed.earlier_jobs, *((observed.next_job,) if over and observed.next_job else ())]
    return tuple(
        DeleteJob(job.name, job.uid)
        for job in jobs
        if not job.deleting and scene.now - asked.get(job.uid, -DELETE_AGAIN_SECONDS) >= DELETE_AGAIN_SECONDS
    )


def has_surplus(observed: Observed) -> bool:
    """Whether Jobs are left that have to go before the end of the application is reported."""
    return bool(observed.earlier_jobs) or observed.next_job is not None


def restart_text(scene: Scene) -> str | None:
    """What to say about an application that is to be started again; None: it is not."""
    job, settings = scene.observed.job, scene.desired.settings
    if job is None or not may_restart(scene):
        return None
    driver, number = scene.observed.driver, restarts(scene.observed) + 1
    who = f"driver pod {driver.name}" if driver else f"the driver pod of Job {job.name}"
    what = (_loss(driver) if driver else None) or "was deleted"
    of = "" if settings is None else f" of {settings.max_driver_restarts}"
    name = job.continued_by or next_job_name(job.name)
    text = f"{who} {what}, and its Job does not replace it"
    if job.continued_by is None:
        return f"{text}: Job {name} follows once the pod is certainly gone (restart {number}{of})"
    return f"{text}: starting the application again as Job {name} (restart {number}{of})"


def _failed_by_loss(observed: Observed, job: JobState) -> bool:
    """Whether the Job has failed because of a driver that did not end by itself."""
    if job.phase is not JobPhase.FAILED or job.reason != BACKOFF_LIMIT_EXCEEDED or job.stopped:
        return False
    driver = observed.driver
    return driver is None or _loss(driver) is not None


def _loss(driver: DriverPod) -> str | None:
    """
    What happened to a driver pod that did not end by itself; None for any other.

    The Job does not count it as a disruption when a kubelet refuses a pod or has lost track of it.
    """
    state = driver.state
    if not isinstance(state, Failed | Deleted):
        return None
    if state.ending.kind is EndKind.DISRUPTED:
        return f"was taken away ({state.ending.text})"
    return "was deleted" if state.ending.kind is EndKind.DELETED else None


def _is_allowed(scene: Scene, job: JobState) -> bool:
    """Whether one more restart is within the limit, or the limit is not known yet."""
    settings = scene.desired.settings
    if next_job_name(job.name) is None:
        return False
    return settings is None or restarts(scene.observed) < settings.max_driver_restarts


def _noticed_at(scene: Scene, job: JobState) -> float:
    """When this controller learnt of the Job's failure and of the driver's end, if it has seen one."""
    driver, failed_at = scene.observed.driver, scene.since["job failed", job.uid]
    return failed_at if driver is None else max(failed_at, scene.since.get(("driver ended", driver.uid), 0.0))


def _is_certainly_gone(scene: Scene, job: JobState) -> bool:
    """
    Whether no driver of this Job can run any more; that the Job has failed does not prove it.

    The container of a pod that is removed by force may run on for a while, unseen.
    """
    driver = scene.observed.driver
    if not job.finished or any(not each.ended for each in scene.observed.drivers):
        return False
    if driver is not None and driver.stopped:
        return True
    passed = scene.age("job failed", job.uid) >= job.grace_seconds + SAFETY_SECONDS
    return passed and (driver is None or driver.gone)
