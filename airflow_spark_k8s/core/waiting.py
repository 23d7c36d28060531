"""What a pod that has not started waits for: its status and the cluster's events, in one sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.object_events import Account, ObjectEvent
from airflow_spark_k8s.core.pod_state import Pending, Running
from airflow_spark_k8s.core.refusal import refusal
from airflow_spark_k8s.core.snapshot import DriverPod, ExecutorPod
from airflow_spark_k8s.core.state import CREATE, Scene

SILENT_REASONS = frozenset({None, "", "ContainerCreating", "PodInitializing"})
"""Reasons in a status that only say that something takes time."""

UNSCHEDULABLE = "Unschedulable"

PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "ImageInspectError",
    }
)
"""Reasons between which a container changes while one and the same image cannot be had."""

IMAGE_REASONS = PULL_REASONS | {"ErrImageNeverPull", "InvalidImageName"}

_BACK_OFF_ALONE = re.compile(r'^Back-off pulling image "[^"]*"$')
_MISSING = re.compile(r'(?:secret|configmap) "[^"]+" not found|references non-existent (?:secret|config) key')
_CAUSES = {
    **dict.fromkeys(IMAGE_REASONS, Cause.IMAGE),
    UNSCHEDULABLE: Cause.UNSCHEDULABLE,
    "FailedScheduling": Cause.UNSCHEDULABLE,
    "CreateContainerConfigError": Cause.CONFIGURATION,
    "FailedMount": Cause.VOLUME,
    "FailedMapVolume": Cause.VOLUME,
    "FailedAttachVolume": Cause.VOLUME,
}


@dataclass(frozen=True, slots=True)
class Wait:
    """What something waits for."""

    reason: str  # Kubernetes' word
    message: str  # one line
    cause: Cause | None = None  # None: none of the known causes

    @property
    def text(self) -> str:
        """Reason and message."""
        return f"{self.reason}: {self.message}" if self.message else self.reason


def lacks_answer(state: Pending) -> bool:
    """
    Whether an image cannot be pulled and the status does not say why: before Kubernetes 1.31 only events do.

    Source: k8s.io/kubernetes/pkg/kubelet/images (ErrImagePullBackOff)
    """
    return state.reason == "ImagePullBackOff" and _BACK_OFF_ALONE.match(state.message or "") is not None


def pod_wait(state: Pending, requests: str, account: Account | None) -> Wait | None:
    """
    What a pending pod waits for; None if that is not known.

    :param requests: what the pod requests of a node, in Kubernetes' words; empty: nothing.
    :param account: its events; None: not read.
    """
    if state.reason in SILENT_REASONS:
        event = account.telling if account else None
        return _of_event(event) if event else None
    reason, message = str(state.reason), " ".join((state.message or "").split())
    if lacks_answer(state) and account is not None and account.registry_answer is not None:
        message = account.registry_answer
    if reason == UNSCHEDULABLE:
        message = _unschedulable(message, requests, account)
    return Wait(reason, message, _CAUSES.get(reason))


def wait_of(scene: Scene, pod: DriverPod | ExecutorPod) -> Wait | None:
    """What a pod waits for; None if it is not pending, or that is not known."""
    if not isinstance(pod.state, Pending):
        return None
    return pod_wait(pod.state, pod.requests, scene.observed.accounts.get(pod.uid))


def job_wait(scene: Scene) -> Wait | None:
    """Why the Job controller does not create the driver's pod; None if that is not known."""
    job = scene.observed.job
    account = None if job is None else scene.observed.accounts.get(job.uid)
    event = account.failed_creation if account else None
    if event is None:
        return None
    why = refusal(event.message)
    return Wait(event.reason, why.text, why.cause)


def lacks_driver(scene: Scene) -> bool:
    """Whether the Job controller should create a driver pod, or another one."""
    driver = scene.observed.driver
    return driver is None or driver.ended


def start_wait(scene: Scene, fleet: Fleet | None) -> tuple[str, Wait] | None:
    """What has not started and what it waits for; None if driver and an executor have, or it is unknown."""
    driver = scene.observed.driver
    if lacks_driver(scene):
        wait = job_wait(scene)
        return None if wait is None else ("the driver has no pod", wait)
    if driver is not None and isinstance(driver.state, Pending):
        wait = wait_of(scene, driver)
        return None if wait is None else (f"driver pod {driver.name} has not started", wait)
    if fleet is None or not isinstance(fleet.driver.state, Running) or not none_ever_ran(fleet):
        return None
    wait = _executors_wait(scene, fleet)
    return None if wait is None else ("no executor has started", wait)


def none_ever_ran(fleet: Fleet) -> bool:
    """Whether no executor of this driver has ever run."""
    history = fleet.driver.history
    return not (fleet.running or fleet.registered or history.entries or history.forgotten or fleet.vanished)


def create_wait(scene: Scene) -> Wait | None:
    """Why executors cannot be created; None if they can, or if none has been tried."""
    trouble = scene.state.troubles.get(CREATE)
    if trouble is None:
        return None
    why = refusal(trouble.text)
    return Wait("FailedCreate", why.text, why.cause)


def _executors_wait(scene: Scene, fleet: Fleet) -> Wait | None:
    waits = (wait_of(scene, fleet.pods[number]) for number in sorted(fleet.pending))
    return next((wait for wait in waits if wait is not None), None) or create_wait(scene)


def _of_event(event: ObjectEvent) -> Wait:
    cause = _CAUSES.get(event.reason)
    if cause is Cause.VOLUME and _MISSING.search(event.message):
        cause = Cause.CONFIGURATION
    return Wait(event.reason, event.message, cause)


def _unschedulable(message: str, requests: str, account: Account | None) -> str:
    asked = f"; it requests {requests}" if requests else ""
    scaled = account.autoscaler if account else None
    return message + asked + (f"; {scaled}" if scaled else "")
