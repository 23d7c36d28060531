"""What one application is, once every default is filled in: typed and immutable, with units in the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NewType

ApplicationName = NewType("ApplicationName", str)
"""Name of an application without its restart ordinal: at most 42 characters, a DNS label."""

Manifest = dict[str, Any]
"""A Kubernetes object as JSON: what is sent to and read from the API server."""


@dataclass(frozen=True, slots=True)
class MemorySum:
    """The parts of a pod's memory, in MiB, as Spark adds them up in cluster mode."""

    heap_mib: int
    overhead_mib: int
    offheap_mib: int = 0
    pyspark_mib: int = 0

    @property
    def total_mib(self) -> int:
        """Limit of the container, and its request unless it bursts."""
        return self.heap_mib + self.overhead_mib + self.offheap_mib + self.pyspark_mib


@dataclass(frozen=True, slots=True)
class Burst:
    """How an application's executors share a part of their memory; `core.burst` does the sums."""

    factor: Fraction  # at least 1, which changes nothing
    fraction: Fraction = Fraction(1)  # of the executors; more than 0, at most 1
    min_guaranteed_ratio: Fraction = Fraction(1, 10)  # of the overhead, 0 to 1
    offheap: bool = False  # off-heap memory is shared as the overhead is
    min_guaranteed_offheap_ratio: Fraction = Fraction(1, 2)  # of off-heap memory, 0 to 1


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """An environment variable whose value lives in the application's Secret."""

    name: str
    key: str  # key in the Secret
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SecretKeyRef:
    """An environment variable whose value is in a Secret that the user keeps in the namespace."""

    name: str  # of the variable
    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class PodShape:
    """What driver or executor pod looks like, whatever the template makes of it."""

    image: str
    memory: MemorySum
    cores: int
    cpu_request_quantity: str
    cpu_limit_quantity: str | None  # None: no CPU limit
    image_pull_policy: str | None  # None: the cluster's default for the tag
    image_pull_secrets: tuple[str, ...]
    service_account: str | None  # None: the namespace's default
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node_selector: Mapping[str, str]
    env: Mapping[str, str]
    secret_env: tuple[SecretEnv, ...]
    java_options: tuple[
        str, ...
    ]  # executor: one flag each, for SPARK_JAVA_OPT_n; driver: empty, they travel in the properties
    termination_grace_period_seconds: int
    scheduler_name: str | None = None
    shared_mib: int = 0  # of the memory: limit minus request; 0: it does not burst
    priority_class: str | None = None  # None: the cluster's default
    device_limits: Mapping[str, str] = field(default_factory=dict)  # such as nvidia.com/gpu -> "1"
    volumes: tuple[Manifest, ...] = ()  # of the user's conf; scratch and our own ones are not among them
    volume_mounts: tuple[Manifest, ...] = ()
    secret_key_refs: tuple[SecretKeyRef, ...] = ()
    local_dirs_in_memory: bool = False  # scratch directories are tmpfs

    @property
    def request_mib(self) -> int:
        """Memory that the scheduler sets aside."""
        return self.memory.total_mib - self.shared_mib


@dataclass(frozen=True, slots=True)
class AllocationSettings:
    """How executors are asked for; the vocabulary of Spark's ExecutorPodsAllocator."""

    target: int  # spark.executor.instances
    batch_size: int = 20
    batch_delay_seconds: float = 1.0
    max_pending_pods: int = 2**31 - 1
    registration_timeout_seconds: float = 300.0  # running but not registered for longer: replaced
    request_timeout_seconds: float = 600.0  # requested but never observed for longer: asked for again


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """How executors that ran out of memory are replaced; plain JSON values. `core.recovery` does the rest."""

    mode: str = "auto"  # "auto": after a loss; "on": every executor takes one task at a time; "off": nothing
    task_cores: int = 1  # cores that one task takes, spark.task.cpus rounded up
    step_factor: str = "1.5"  # by which memory grows with a step, more than 1
    max_executor_memory_mib: int | None = None  # of a whole executor; None: no limit
    max_memory_steps: int = 3  # beyond one task at a time
    max_executor_ooms: int = 10  # losses within the window that are made up for
    window_seconds: float = 3600.0
    drain_fraction: str = "1/4"  # of the executors retired at once; "0": none are
    sticky: bool = False  # new executors stay as they are when the stage that needed it has finished
    max_task_failures: int = 4  # spark.task.maxFailures
    node_selector: Mapping[str, str] = field(default_factory=dict)  # of recovery executors, beside the others
    tolerations: tuple[Manifest, ...] = ()  # of recovery executors, beside the others
    priority_class: str | None = None  # of recovery executors; None: as the others
    heap_mib: int = 0  # of a normal executor
    overhead_mib: int = 0  # of a normal executor
    other_mib: int = 0  # of every executor: off-heap memory and Python's own limit


@dataclass(frozen=True, slots=True)
class UserFile:
    """The user's own application file, shipped in a ConfigMap."""

    name: str  # file name, also the ConfigMap key
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that is known of an application before it gets its identity."""

    spark_version: tuple[int, int, int]
    namespace: str
    app_name: str  # spark.app.name
    primary_resource: str  # path or URI as spark-submit inside the driver pod gets it
    main_class: str | None
    arguments: tuple[str, ...]
    is_python: bool
    driver: PodShape
    executor: PodShape
    allocation: AllocationSettings
    properties: Mapping[str, str] = field(
        repr=False
    )  # spark.properties: the user's conf and what we must set; may hold secrets
    user_file: UserFile | None  # None: the application is in the image or behind a URI
    max_driver_restarts: int
    active_deadline_seconds: int | None  # None: no execution_timeout
    rpc_encryption: bool = False
    authenticate: bool = True
    burst: Burst | None = None  # None: request and limit of the executors are the same
    plain_executor: PodShape | None = None  # of executors that do not burst; None: all are like `executor`
    executor_qos_class: str | None = None  # what the executor pod must come out as; None: whatever it is
    recovery: RecoverySettings | None = None  # None: executors that ran out of memory are replaced as others
    on_lost_node: str = "wait"  # or "force": what is done about a driver whose node does not answer


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose application it is; see core.identity for how the names come about."""

    deployment: str
    dag_id: str
    task_id: str
    run_id: str
    map_index: int  # -1: not mapped
    try_number: int
    ti_id: str
    application: ApplicationName
    task_instance_key: str  # the same for every try of one task instance

    def job_name(self, ordinal: int = 0) -> str:
        """Name of the Job of restart `ordinal`."""
        return f"{self.application}-r{ordinal}"


@dataclass(frozen=True, slots=True)
class Manifests:
    """The rendered objects of one application, ready to be created in this order."""

    job: Manifest  # suspended
    config_maps: tuple[Manifest, ...]
    executor: Manifest  # the pod manifest before executor id, driver and owner are laid on
    spec_hash: str
    secret: Manifest = field(repr=False)  # the only one that holds secret values
    plain_executor: Manifest | None = None  # of executors that do not burst; None: all are like `executor`

    @property
    def application(self) -> str:
        """Value of the label `airflow-spark-k8s/application`."""
        return str(self.job["metadata"]["labels"]["airflow-spark-k8s/application"])


@dataclass(frozen=True, slots=True)
class ApplicationReference:
    """What a trigger needs to find an application again: identifiers, never content."""

    namespace: str
    application: str
    job_name: str
    job_uid: str
    ti_id: str
    namespace_uid: str = ""  # tells the cluster from others; empty: it could not be read
