"""What a DAG author asked for, as given: templated fields rendered, nothing parsed or defaulted yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import UserFile

DEFAULT_MAX_DRIVER_RESTARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """
    How pods are to be shaped and treated beyond Spark's own properties, as given and not parsed yet.

    None always means: not said here.
    """

    burst_factor: object = None  # a number or its text, or a mapping with `factor` and `fraction`
    min_guaranteed_ratio: object = None  # of the overhead; a number or its text
    burst_offheap: object = None  # whether off-heap memory bursts, too
    min_guaranteed_offheap_ratio: object = None  # of off-heap memory
    driver_priority_class: str | None = None
    executor_priority_class: str | None = None
    executor_qos_class: str | None = None  # "Guaranteed" or "Burstable": what executors must come out as
    on_lost_node: str | None = None  # "wait" or "force": what is done about a driver whose node is silent


NO_SHAPING = Shaping()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryRequest:
    """
    How executors that run out of memory are to be replaced, as given and not parsed yet.

    None always means: not said here. `core.recovery_settings` holds what then counts.
    """

    memory_step_factor: object = None  # a number of more than 1, or its text
    max_executor_memory: object = None  # of a whole executor: a size such as "16g", or a number of MiB
    max_memory_steps: object = None  # a whole number, or its text
    max_executor_ooms: object = None  # a whole number, or its text
    recovery_window_seconds: object = None  # a number of more than 0, or its text
    drain_fraction: object = None  # a number from 0 to 1, or its text
    sticky_recovery: object = None  # true or false
    recovery_node_selector: object = None  # a mapping, or its JSON text
    recovery_tolerations: object = None  # a list of Kubernetes' tolerations, or its JSON text
    recovery_priority_class: object = None  # name of a PriorityClass


NO_RECOVERY = RecoveryRequest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRequest:
    """
    The operator's arguments and the defaults of its connection, as plain values.

    Where several sources name the same thing, the operator's argument comes first, then the task's `conf`,
    then the connection. An argument and the task's `conf` must not contradict each other.
    """

    application: str  # path, local:// path in the image, or URI, as given
    namespace: str | None = None  # None: spark.kubernetes.namespace, else default_namespace
    name: str | None = None  # None: spark.app.name, else default_name, main_class or file name
    user_file: UserFile | None = None  # content of `application`; None: it is in the image or behind a URI
    application_args: tuple[str, ...] = ()
    main_class: str | None = None  # None: a Python application, or the jar's manifest names it
    py_files: tuple[str, ...] = ()
    jars: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    image: str | None = None  # None: from the confs or the connection
    spark_version: str | None = None  # None: from the connection or the image's tag
    conf: Mapping[str, str] = field(default_factory=dict, repr=False)
    default_conf: Mapping[str, str] = field(default_factory=dict, repr=False)  # of the connection
    default_image: str | None = None  # of the connection, like the other defaults below
    default_spark_version: str | None = None
    default_driver_service_account: str | None = None
    default_executor_service_account: str | None = None
    default_namespace: str = "default"
    default_name: str | None = None
    execution_timeout_seconds: float | None = None  # None: no limit
    max_driver_restarts: int = DEFAULT_MAX_DRIVER_RESTARTS  # 0: must not run twice
    shaping: Shaping = NO_SHAPING  # the operator's arguments
    default_shaping: Shaping = NO_SHAPING  # the connection's extras
    recovery: RecoveryRequest = NO_RECOVERY  # the operator's arguments
    default_recovery: RecoveryRequest = NO_RECOVERY  # the connection's extras
