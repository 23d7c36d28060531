"""A pod's status, computed from what its kubelet knows of its containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.conditions import pod_condition, with_condition
from airflow_spark_k8s.local.kubelet_runtime import ContainerPlan, Exit
from airflow_spark_k8s.local.manifests import timestamp

_OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
_NEVER_STARTED = "1970-01-01T00:00:00Z"


@dataclass(slots=True)
class ContainerRecord:
    """What is known of one container."""

    spec: Manifest
    init: bool
    state: Manifest  # with one of waiting, running, terminated
    last_state: Manifest = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    image_id: str = ""
    container_id: str = ""
    busy: bool = False  # being pulled, started or waiting for its backoff: not to be started again
    crashes: int = 0  # ends in quick succession
    plan: ContainerPlan | None = None  # None: never started

    @property
    def name(self) -> str:
        """Name of the container."""
        return str(self.spec["name"])

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while it has not ended."""
        return int(self.state["terminated"]["exitCode"]) if "terminated" in self.state else None

    @property
    def is_sidecar(self) -> bool:
        """Whether it is an init container that keeps running beside the others."""
        return self.init and self.spec.get("restartPolicy") == "Always"

    def wait(self, reason: str, message: str = "") -> None:
        """Note why the container does not run yet."""
        if "terminated" in self.state:
            self.last_state = self.state
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def end(self, exit_: Exit) -> None:
        """Note how the container ended."""
        begun = _NEVER_STARTED if exit_.reason == "StartError" else timestamp(exit_.started_at)
        terminated: Manifest = {"exitCode": exit_.exit_code, "reason": exit_.reason}
        if exit_.message:
            terminated["message"] = exit_.message
        terminated |= {"startedAt": begun, "finishedAt": timestamp(exit_.finished_at)}
        self.state = {"terminated": terminated | {"containerID": self.container_id}}
        self.ready = self.started = False


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a pod ends whatever its containers do; the phase becomes Failed."""

    reason: str
    message: str
    disruption: str | None = None  # reason of a DisruptionTarget condition; None: no disruption


@dataclass(slots=True)
class PodView:
    """Everything that a pod's status is made of."""

    containers: list[ContainerRecord]
    init_containers: list[ContainerRecord]
    host_address: str
    start_time: str
    pod_address: str | None = None  # None: not published yet
    sandbox: bool = False  # the pod's network and volumes are there
    torn_down: bool = False  # everything has ended and been cleaned: the final phase may be told
    ending: Ending | None = None  # None: the containers decide


def phase_of(view: PodView, restart_policy: str) -> str:
    """
    Phase that follows from the states of the containers.

    Source: getPhase of the kubelet.
    """
    codes = [record.exit_code for record in view.containers]
    if view.ending is not None:
        return "Failed"
    if view.torn_down:
        return "Succeeded" if all(code == 0 for code in codes) else "Failed"
    for record in view.init_containers:
        if record.is_sidecar or record.exit_code == 0:
            continue
        if record.exit_code is not None and restart_policy == "Never":
            return "Failed"
        return "Pending"
    if any("waiting" in record.state and not record.last_state for record in view.containers):
        return "Pending"
    if any(code is None for code in codes) or restart_policy == "Always":
        return "Running"
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if restart_policy == "Never" else "Running"


def build_status(pod: Manifest, view: PodView, now: str) -> Manifest:
    """The pod's whole status; what others have written into the stored one is kept."""
    old = pod.get("status", {})
    phase = phase_of(view, pod["spec"].get("restartPolicy", "Always"))
    status = {key: value for key, value in old.items() if key not in ("conditions", "phase")}
    terminal = phase in ("Succeeded", "Failed")
    status["phase"] = old.get("phase", "Pending") if terminal and not view.torn_down else phase
    status["conditions"] = _conditions(pod, view, phase, now)
    status["containerStatuses"] = [_container_status(record) for record in view.containers]
    if view.init_containers:
        status["initContainerStatuses"] = [_container_status(record) for record in view.init_containers]
    status |= {
        "hostIP": view.host_address,
        "hostIPs": [{"ip": view.host_address}],
        "observedGeneration": pod["metadata"].get("generation", 1),
        "startTime": view.start_time,
    }
    if view.pod_address is not None:
        status |= {"podIP": view.pod_address, "podIPs": [{"ip": view.pod_address}]}
    if view.ending is not None and view.torn_down:
        status |= {"reason": view.ending.reason, "message": view.ending.message}
    return status


def _conditions(pod: Manifest, view: PodView, phase: str, now: str) -> list[Manifest]:
    old = pod.get("status", {}).get("conditions") or []
    generation = pod["metadata"].get("generation", 1)
    conditions = [each for each in old if each["type"] not in _OWN_CONDITIONS]
    if view.ending is not None and view.ending.disruption:
        conditions = with_condition(
            conditions,
            pod_condition(
                "DisruptionTarget",
                True,
                now,
                reason=view.ending.disruption,
                message=view.ending.message,
                generation=generation,
            ),
        )
    initialized, reason, message = _initialized(view, phase)
    ready, ready_reason, ready_message = _ready(view, phase)
    own = [
        ("PodReadyToStartContainers", view.sandbox and not view.torn_down, "", ""),
        ("Initialized", initialized, reason, message),
        ("Ready", ready, ready_reason, ready_message),
        ("ContainersReady", ready, ready_reason, ready_message),
        ("PodScheduled", True, "", ""),
    ]
    before = {each["type"]: each for each in old}
    for condition_type, status, why, text in own:
        new = pod_condition(condition_type, status, now, reason=why, message=text, generation=generation)
        conditions += with_condition([before[condition_type]] if condition_type in before else [], new)
    return conditions


def _initialized(view: PodView, phase: str) -> tuple[bool, str, str]:
    waiting = [r.name for r in view.init_containers if not (r.exit_code == 0 or (r.is_sidecar and r.running))]
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    if waiting:
        message = f"containers with incomplete status: [{' '.join(waiting)}]"
        return False, "ContainersNotInitialized", message
    return True, "", ""


def _ready(view: PodView, phase: str) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    unready = [record.name for record in view.containers if not record.ready]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _container_status(record: ContainerRecord) -> Manifest:
    status: Manifest = {
        "name": record.name,
        "state": record.state,
        "lastState": record.last_state,
        "ready": record.exit_code == 0 if record.init and not record.is_sidecar else record.ready,
        "restartCount": record.restart_count,
        "image": record.spec["image"],
        "imageID": record.image_id if record.container_id else "",
        "started": record.started,
    }
    if record.container_id:
        resources = record.spec.get("resources") or {}
        status |= {"containerID": record.container_id, "resources": resources}
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
    mounts: Sequence[Manifest] = record.spec.get("volumeMounts") or ()
    if mounts:
        status["volumeMounts"] = [_mount_status(each) for each in mounts]
    return status


def _mount_status(mount: Manifest) -> Manifest:
    status = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        status |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return status
