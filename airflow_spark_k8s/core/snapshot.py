"""One application as seen at one moment: values only, nothing of it changes afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from airflow_spark_k8s.core.executor_ids import IdMarks, id_marks
from airflow_spark_k8s.core.executor_pod import EXECUTOR_CONTAINER
from airflow_spark_k8s.core.history import ANNOTATION_EXECUTORS, History, history
from airflow_spark_k8s.core.job_state import JobState
from airflow_spark_k8s.core.labels import (
    ANNOTATION_EXECUTOR_IDS,
    ROLE_DRIVER,
    ROLE_EXECUTOR,
    SPARK_EXECUTOR_ID,
    SPARK_ROLE,
)
from airflow_spark_k8s.core.memory_groups import MEMORY_PRESSURE
from airflow_spark_k8s.core.object_events import Account
from airflow_spark_k8s.core.pod_state import (
    DRIVER_CONTAINER,
    LOW_ON_MEMORY,
    Deleted,
    Ending,
    EndKind,
    Failed,
    PodState,
    Running,
    Succeeded,
    disruption,
    has_silent_node,
    has_stopped,
    is_deleting,
    memory_excess,
    pod_state,
)
from airflow_spark_k8s.core.size import Size, size_of
from airflow_spark_k8s.core.spec import Manifest


@dataclass(frozen=True, slots=True)
class DriverPod:
    """A driver pod of the Job."""

    name: str  # also spark.app.id
    uid: str
    resource_version: str
    created: str  # as the API server writes it, sorts by time
    state: PodState
    ip: str  # empty: not known yet
    node: str | None
    deleting: bool
    disruption: str | None  # why the cluster takes it away; None: it does not
    marks: IdMarks
    history: History
    job_uid: str = ""  # of its owner
    gone: bool = False  # the object is not there any more
    memory_excess: str | None = None  # what the kubelet says that evicted it for its memory; None: none did
    node_silent: bool = False  # Kubernetes has marked it as not ready because its node does not answer
    leaving_seconds: int = 0  # grace of its deletion, if it is being deleted
    stopped: bool = False  # nothing of it runs: its container was reported as ended, or never ran
    requests: str = ""  # what it asks of a node, as a phrase; empty: nothing

    @property
    def ended(self) -> bool:
        """Whether it is over: its Spark container has ended, or it goes before it had a node."""
        return _is_over(self.state, self.node)

    @property
    def ready(self) -> bool:
        """Whether its readiness probe, the RPC port, has answered."""
        return isinstance(self.state, Running) and self.state.ready


@dataclass(frozen=True, slots=True)
class ExecutorPod:
    """An executor pod of some driver pod."""

    executor_id: int
    name: str
    uid: str
    driver_uid: str
    state: PodState
    node: str | None
    leaving_seconds: int | None = None  # grace of its deletion; None: nobody has asked for it
    disruption: str | None = None  # why the cluster takes it away; None: it does not
    size: Size | None = None  # what it has to work with; None: what the task says
    requests: str = ""  # what it asks of a node, as a phrase; empty: nothing

    @property
    def ended(self) -> bool:
        """Whether it is over: its Spark container has ended, or it goes before it had a node."""
        return _is_over(self.state, self.node)


def _is_over(state: PodState, node: str | None) -> bool:
    """A node that has lost its network may run what it was given without anybody being told."""
    if isinstance(state, Deleted):
        return node is None
    return isinstance(state, Succeeded | Failed)


def departed_driver(pod: DriverPod) -> DriverPod:
    """A driver pod that is gone: it has ended, with what was recorded of it."""
    pod = replace(pod, gone=True)
    if pod.ended:
        return pod
    why = f"its pod was removed ({pod.disruption})" if pod.disruption else "its pod was removed"
    kind = EndKind.DISRUPTED if pod.disruption else EndKind.DELETED
    return replace(pod, state=Failed(Ending(kind, why)), deleting=True)


class Reach(StrEnum):
    """Whether the driver's REST API could be asked."""

    YES = "yes"
    NO = "no"  # the driver starts or stops: it does not answer yet, or no more
    UNKNOWN = "unknown"  # nothing may be concluded


@dataclass(frozen=True, slots=True)
class RegisteredExecutor:
    """An executor as the driver knows it."""

    active: bool
    cores: int
    completed_tasks: int
    failed_tasks: int
    peak_memory_mib: int | None = None  # of all its processes; None: not measured, or not told yet
    active_tasks: int = 0
    rdd_blocks: int = 0  # cached
    remove_reason: str | None = None  # free text; None: not removed, or not told

    @property
    def idle(self) -> bool:
        """Whether nothing is lost with it but shuffle files."""
        return self.active_tasks == 0 and self.rdd_blocks == 0


@dataclass(frozen=True, slots=True)
class SparkView:
    """What the REST API of one driver said last."""

    driver_uid: str = ""
    reach: Reach = Reach.NO  # of the last question
    why: str = "not asked yet"  # if not YES
    retry_after_seconds: float = 0.0  # how long the API server wants to be left alone; 0: it did not say
    asked_at: float = 0.0  # when the last question was sent
    executors: Mapping[int, RegisteredExecutor] = field(default_factory=dict)  # as of the last answer
    completed_tasks: int | None = None  # None: never told
    total_tasks: int | None = None
    active_stages: int | None = None
    stages: Mapping[int, str] = field(default_factory=dict)  # id -> state of the latest attempt
    failed_tasks: Mapping[tuple[int, int], int] = field(
        default_factory=dict
    )  # running stage and attempt -> failed tasks that have been looked at
    killed_workers: frozenset[int] = frozenset()  # executors in which a task lost its Python worker
    version: str | None = None  # of the driver's Spark
    master: str | None = None  # spark.master as the driver runs with; None: not told
    instances: str | None = None  # spark.executor.instances likewise
    application_id: str | None = None  # of an application under another id than ours; None: there is none

    def peak_memory_mib(self, executor_id: int) -> int | None:
        """The highest memory that an executor was seen to use; None if the driver did not tell."""
        executor = self.executors.get(executor_id)
        return executor.peak_memory_mib if executor else None


NOTHING_ASKED = SparkView()


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known of an application at one moment."""

    complete: bool = False  # Job and pods have been listed once, and the settings been looked for
    job: JobState | None = None  # None: there is no such Job; one that is gone is shown as being deleted
    next_job: JobState | None = None  # in the making, to continue that one
    earlier_jobs: tuple[JobState, ...] = ()  # that one continues them, and they are still there
    drivers: tuple[DriverPod, ...] = ()  # oldest first; one that is gone has ended
    executors: tuple[ExecutorPod, ...] = ()  # of every driver
    departed: tuple[ExecutorPod, ...] = ()  # executor pods that went since the last look, as they were then
    spark: SparkView = NOTHING_ASKED
    settings_problem: str | None = None  # None: the settings are there, or nobody could look yet
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # pod -> reasons; asked for only
    accounts: Mapping[str, Account] = field(default_factory=dict)  # uid of what waits -> its events, if read
    blind: str | None = None  # why Job or pods cannot be watched just now; None: they can
    events_refused: str | None = None  # why events cannot be read; None: they can, or nobody has tried
    clock_jump_seconds: float = 0.0  # how far the clock is ahead of even time

    @property
    def driver(self) -> DriverPod | None:
        """The driver pod that counts: the newest of the Job; None if that has none (yet)."""
        earlier = self.job.earlier_uids if self.job else ()
        pods = [driver for driver in self.drivers if driver.job_uid not in earlier]
        return pods[-1] if pods else None

    def executors_of(self, driver: DriverPod) -> dict[int, ExecutorPod]:
        """Executor pods of one driver, by id."""
        return {pod.executor_id: pod for pod in self.executors if pod.driver_uid == driver.uid}

    def spark_of(self, driver: DriverPod) -> SparkView:
        """What the REST API of `driver` said."""
        return self.spark if self.spark.driver_uid == driver.uid else NOTHING_ASKED


def driver_pod(pod: Manifest) -> DriverPod:
    """The driver pod in a manifest."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    annotations = metadata.get("annotations") or {}
    return DriverPod(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        created=metadata.get("creationTimestamp") or "",
        state=pod_state(pod, DRIVER_CONTAINER),
        ip=status.get("podIP") or "",
        node=(pod.get("spec") or {}).get("nodeName"),
        deleting=is_deleting(pod),
        disruption=disruption(pod),
        marks=id_marks(annotations.get(ANNOTATION_EXECUTOR_IDS)),
        history=history(annotations.get(ANNOTATION_EXECUTORS)),
        job_uid=owner_uid(pod) or "",
        stopped=has_stopped(pod, DRIVER_CONTAINER),
        requests=requests_text(pod),
        memory_excess=memory_excess(pod, DRIVER_CONTAINER),
        node_silent=has_silent_node(pod),
        leaving_seconds=int(metadata.get("deletionGracePeriodSeconds") or 0),
    )


def executor_pod_of(pod: Manifest) -> ExecutorPod | None:
    """The executor pod in a manifest; None if it is no executor with an owner and an id."""
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    executor_id, owner = labels.get(SPARK_EXECUTOR_ID, ""), owner_uid(pod)
    if labels.get(SPARK_ROLE) != ROLE_EXECUTOR or owner is None or not executor_id.isdecimal():
        return None
    return ExecutorPod(
        executor_id=int(executor_id),
        name=metadata["name"],
        uid=metadata["uid"],
        driver_uid=owner,
        state=pod_state(pod, EXECUTOR_CONTAINER),
        node=(pod.get("spec") or {}).get("nodeName"),
        leaving_seconds=int(metadata.get("deletionGracePeriodSeconds") or 0) if is_deleting(pod) else None,
        disruption=_disruption(pod),
        size=size_of(metadata.get("annotations") or {}),
        requests=requests_text(pod),
    )


def requests_text(pod: Manifest) -> str:
    """
    What the pod asks of a node: `cpu 1, memory 1408Mi`; empty: nothing.

    By container if it has several and does not ask for them all together.
    """
    spec = pod.get("spec") or {}
    together = _requests(spec)
    if together:
        return together
    texts = {container.get("name"): _requests(container) for container in spec.get("containers") or []}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{name}: {text}" for name, text in texts.items() if text)


def _requests(of: Manifest) -> str:
    asked = (of.get("resources") or {}).get("requests") or {}
    return ", ".join(f"{name} {amount}" for name, amount in sorted(asked.items()))


def _disruption(pod: Manifest) -> str | None:
    """
    Why the cluster takes the pod away, where node pressure on memory is told from other evictions.

    Which resource a node was short of stands nowhere in a pod but in its message.

    Source: k8s.io/kubernetes/pkg/kubelet/eviction (nodeLowMessageFmt)
    """
    status = pod.get("status") or {}
    if status.get("reason") == "Evicted" and LOW_ON_MEMORY in str(status.get("message") or ""):
        return MEMORY_PRESSURE
    return disruption(pod)


def is_driver(pod: Manifest) -> bool:
    """Whether the manifest is a driver pod of some Job."""
    labels = pod["metadata"].get("labels") or {}
    return labels.get(SPARK_ROLE) == ROLE_DRIVER and owner_uid(pod) is not None


def owner_uid(pod: Manifest) -> str | None:
    """Uid of the pod's controlling owner, None if it has none."""
    for owner in pod["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return str(owner["uid"])
    return None
