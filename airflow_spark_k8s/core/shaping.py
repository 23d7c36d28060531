"""What is said of pods beyond Spark's properties, argument before connection, checked value by value."""

from __future__ import annotations

from airflow_spark_k8s.core.burst_values import decimal_text, flag_of, is_given, ratio_of, share_of
from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX, Conf
from airflow_spark_k8s.core.labels import is_dns_subdomain
from airflow_spark_k8s.core.qos import BURSTABLE, GUARANTEED
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.settings import FORCE, WAIT
from airflow_spark_k8s.core.spec import Burst, PodShape
from airflow_spark_k8s.exceptions import InvalidConfiguration

_LIMIT_CORES = "spark.kubernetes.executor.limit.cores"


def check_shaping(shaping: Shaping, *, origin: str = "") -> Shaping:
    """
    `shaping` itself; what it takes to know Spark's properties, too, is not checked.

    :param origin: what an error appends to the name of a field, such as ` (from the connection)`.
    :raises InvalidConfiguration: for a value that no application could have.
    """
    share_of(shaping.burst_factor, field="burst_factor" + origin)
    ratio_of(shaping.min_guaranteed_ratio, field="min_guaranteed_ratio" + origin)
    flag_of(shaping.burst_offheap, field="burst_offheap" + origin)
    ratio_of(shaping.min_guaranteed_offheap_ratio, field="min_guaranteed_offheap_ratio" + origin)
    _name_of(shaping.driver_priority_class, field="driver_priority_class" + origin)
    _name_of(shaping.executor_priority_class, field="executor_priority_class" + origin)
    _qos_class_of(shaping.executor_qos_class, field="executor_qos_class" + origin)
    _lost_node_of(shaping.on_lost_node, field="on_lost_node" + origin)
    return shaping


def chosen(request: ApplicationRequest, name: str) -> tuple[object, str]:
    """What counts for one field of `Shaping`, argument before connection, and what an error calls it."""
    value: object = getattr(request.shaping, name)
    if is_given(value):
        return value, name
    return getattr(request.default_shaping, name), name + CONNECTION_SUFFIX


def priority_class(request: ApplicationRequest, role: str) -> str | None:
    """
    Name of the priority class of `driver` or `executor`, None for the cluster's default.

    :raises InvalidConfiguration: if it is no name.

    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#priorityclass
    """
    value, field = chosen(request, f"{role}_priority_class")
    return _name_of(value, field=field)


def executor_qos_class(
    request: ApplicationRequest, conf: Conf, executor: PodShape, burst: Burst | None
) -> str | None:
    """
    The QoS class that executors must come out with, None for whatever it is.

    :param burst: how they burst; None if they do not.
    :raises InvalidConfiguration: if no executor can have it, or not this one.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
    """
    value, field = chosen(request, "executor_qos_class")
    wanted = _qos_class_of(value, field=field)
    if wanted != GUARANTEED:
        return wanted
    if burst is not None:
        raise InvalidConfiguration(
            field,
            value,
            f"impossible with a burst factor of {decimal_text(burst.factor)}: a pod that requests less "
            "memory than its limit is Burstable, whatever its CPU; leave out one of them",
        )
    if executor.cpu_limit_quantity != executor.cpu_request_quantity:
        raise conf.error(
            _LIMIT_CORES,
            f'must be {executor.cpu_request_quantity}, as many as are requested, for {field}="{GUARANTEED}"',
        )
    return wanted


def on_lost_node(request: ApplicationRequest) -> str:
    """
    What is done about a driver whose node does not answer: `wait`, the default, or `force`.

    :raises InvalidConfiguration: for anything else.
    """
    value, field = chosen(request, "on_lost_node")
    return _lost_node_of(value, field=field) or WAIT


def _name_of(value: object, *, field: str) -> str | None:
    if not is_given(value):
        return None
    if not isinstance(value, str) or not is_dns_subdomain(value.strip()):
        raise InvalidConfiguration(
            field,
            value,
            "no valid name of a PriorityClass; use a-z, 0-9, '-' and '.', such as spark-executors",
        )
    return value.strip()


def _qos_class_of(value: object, *, field: str) -> str | None:
    if not is_given(value):
        return None
    wanted = value.strip() if isinstance(value, str) else value
    if wanted not in (GUARANTEED, BURSTABLE):
        raise InvalidConfiguration(field, value, f"must be {GUARANTEED} or {BURSTABLE}")
    return str(wanted)


def _lost_node_of(value: object, *, field: str) -> str | None:
    if not is_given(value):
        return None
    wanted = value.strip() if isinstance(value, str) else value
    if wanted not in (WAIT, FORCE):
        raise InvalidConfiguration(
            field,
            value,
            f'must be "{WAIT}" (until the node is known to be gone) or "{FORCE}" (remove the driver\'s pod, '
            "though it may run on: two drivers for a while)",
        )
    return str(wanted)
