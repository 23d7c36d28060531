"""How executors that run out of memory are replaced: argument, Spark's properties and connection in one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_spark_k8s.core.burst_values import decimal_text, exact_number, flag_of, is_given, ratio_of
from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX, Conf
from airflow_spark_k8s.core.history import MAX_ENTRIES
from airflow_spark_k8s.core.labels import check_key, check_label_value, is_dns_subdomain
from airflow_spark_k8s.core.quantities import parse_mib
from airflow_spark_k8s.core.request import ApplicationRequest, RecoveryRequest
from airflow_spark_k8s.core.spec import Manifest, PodShape, RecoverySettings
from airflow_spark_k8s.exceptions import InvalidConfiguration

RECOVERY_MODE = "spark.kubernetes.allocation.recoveryMode.enabled"
"""Spark's own switch, since 4.2: true from the start on, false never, unset after the first loss."""

AUTO, ON, OFF = "auto", "on", "off"

MAX_STEP_FACTOR = 100
MAX_STEPS = 20

_TASK_CORES = "spark.task.cpus"
_MAX_TASK_FAILURES = "spark.task.maxFailures"
_TOLERATION_KEYS = frozenset({"key", "operator", "value", "effect", "tolerationSeconds"})
_DEFAULTS = RecoverySettings()


def recovery_of(request: ApplicationRequest, conf: Conf, executor: PodShape) -> RecoverySettings:
    """
    What counts for the application; the operator's arguments go before the connection's extras.

    :param executor: a normal one.
    :raises InvalidConfiguration: for values that cannot be, and for limits below what an executor has anyway.

    Source: org.apache.spark.deploy.k8s.Config.KUBERNETES_ALLOCATION_RECOVERY_MODE_ENABLED
    """
    said = _Said(request.recovery, request.default_recovery)
    memory = executor.memory
    settings = RecoverySettings(
        mode=_mode(conf),
        task_cores=max(math.ceil(conf.number(_TASK_CORES, 1)), 1),
        max_task_failures=conf.integer(_MAX_TASK_FAILURES, _DEFAULTS.max_task_failures, minimum=1),
        heap_mib=memory.heap_mib,
        overhead_mib=memory.overhead_mib,
        other_mib=memory.offheap_mib + memory.pyspark_mib,
        **{name: said.value(argument, read) for argument, (name, read) in _READERS.items()},
    )
    limit = settings.max_executor_memory_mib
    if limit is not None and limit < memory.total_mib:
        value, field = said.given("max_executor_memory")
        raise InvalidConfiguration(
            field, value, f"must be at least what an executor has from the start, {memory.total_mib}m"
        )
    return settings


def check_recovery(request: RecoveryRequest, *, origin: str = "") -> RecoveryRequest:
    """
    `request` itself; what it takes to know the application, too, is not checked.

    :param origin: what an error appends to the name of a field, such as ` (from the connection)`.
    :raises InvalidConfiguration: for a value that no application could have.
    """
    for argument, (_, read) in _READERS.items():
        value = getattr(request, argument)
        if is_given(value):
            read(value, argument + origin)
    return request


def limited_to_node(settings: RecoverySettings, node_mib: int) -> RecoverySettings:
    """
    The settings for a cluster whose largest node has room for `node_mib`; a limit that was given stays.

    A node that has no room for a normal executor sets no limit: the cluster may get larger ones.
    """
    normal = settings.heap_mib + settings.overhead_mib + settings.other_mib
    if settings.max_executor_memory_mib is not None or node_mib < normal:
        return settings
    return replace(settings, max_executor_memory_mib=node_mib)


@dataclass(frozen=True, slots=True)
class _Said:
    """What operator and connection say, in this order."""

    task: RecoveryRequest
    connection: RecoveryRequest

    def given(self, argument: str) -> tuple[Any, str]:
        """The value that counts, and what an error calls it."""
        value = getattr(self.task, argument)
        if is_given(value):
            return value, argument
        return getattr(self.connection, argument), argument + CONNECTION_SUFFIX

    def value(self, argument: str, read: Callable[[Any, str], Any]) -> Any:
        """The value that counts, checked; the default if nobody says anything."""
        value, field = self.given(argument)
        return read(value, field) if is_given(value) else getattr(_DEFAULTS, _READERS[argument][0])


def _mode(conf: Conf) -> str:
    if conf.get(RECOVERY_MODE) is None:
        return AUTO
    return ON if conf.flag(RECOVERY_MODE, default=False) else OFF


def _step_factor(value: Any, field: str) -> str:
    factor = exact_number(value, "a number of more than 1, such as 1.5", field=field)
    if not 1 < factor <= MAX_STEP_FACTOR:
        raise InvalidConfiguration(field, value, f"must be more than 1 and at most {MAX_STEP_FACTOR}")
    return decimal_text(factor)


def _executor_memory(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidConfiguration(field, value, "must be a size such as 16g, or a number of MiB")
    mib = parse_mib(str(value), field=field)
    if mib == 0:
        raise InvalidConfiguration(field, value, "must be more than 0, such as 16g")
    return mib


def _memory_steps(value: Any, field: str) -> int:
    return _whole(value, field, 0, MAX_STEPS)


def _executor_ooms(value: Any, field: str) -> int:
    return _whole(value, field, 0, MAX_ENTRIES)


def _window_seconds(value: Any, field: str) -> float:
    seconds = exact_number(value, "a number of seconds, more than 0, such as 3600", field=field)
    if seconds <= 0:
        raise InvalidConfiguration(field, value, "must be more than 0 seconds, such as 3600")
    return float(seconds)


def _drain_fraction(value: Any, field: str) -> str:
    return str(ratio_of(value, field=field))


def _sticky(value: Any, field: str) -> bool:
    return bool(flag_of(value, field=field))


def _priority_class(value: Any, field: str) -> str:
    if not isinstance(value, str) or not is_dns_subdomain(value.strip()):
        raise InvalidConfiguration(
            field,
            value,
            "no valid name of a PriorityClass; use a-z, 0-9, '-' and '.', such as spark-executors",
        )
    return value.strip()


def _node_selector(value: Any, field: str) -> dict[str, str]:
    selector = _json(value, field)
    if not isinstance(selector, Mapping):
        raise InvalidConfiguration(field, value, 'must be a mapping such as {"node-pool": "on-demand"}')
    for key, wanted in selector.items():
        if not isinstance(key, str) or not isinstance(wanted, str):
            raise InvalidConfiguration(f'{field}["{key}"]', wanted, "label keys and values must be text")
        check_label_value(wanted, field=f'{field}["{check_key(key, field=field)}"]')
    return dict(selector)


def _tolerations(value: Any, field: str) -> tuple[Manifest, ...]:
    tolerations = _json(value, field)
    if not isinstance(tolerations, list | tuple):
        raise InvalidConfiguration(
            field, value, 'must be a list such as [{"key": "on-demand", "operator": "Exists"}]'
        )
    for index, toleration in enumerate(tolerations):
        if not isinstance(toleration, Mapping):
            raise InvalidConfiguration(f"{field}[{index}]", toleration, "must be a mapping")
        for key in toleration.keys() - _TOLERATION_KEYS:
            raise InvalidConfiguration(
                f"{field}[{index}]", key, f"not known; use {', '.join(sorted(_TOLERATION_KEYS))}"
            )
    return tuple(dict(toleration) for toleration in tolerations)


_READERS: Mapping[str, tuple[str, Callable[[Any, str], Any]]] = {
    "memory_step_factor": ("step_factor", _step_factor),
    "max_executor_memory": ("max_executor_memory_mib", _executor_memory),
    "max_memory_steps": ("max_memory_steps", _memory_steps),
    "max_executor_ooms": ("max_executor_ooms", _executor_ooms),
    "recovery_window_seconds": ("window_seconds", _window_seconds),
    "drain_fraction": ("drain_fraction", _drain_fraction),
    "sticky_recovery": ("sticky", _sticky),
    "recovery_node_selector": ("node_selector", _node_selector),
    "recovery_tolerations": ("tolerations", _tolerations),
    "recovery_priority_class": ("priority_class", _priority_class),
}
"""Argument -> field of the settings, and what makes the one from the other."""


def _whole(value: Any, field: str, least: int, most: int) -> int:
    number = exact_number(value, "a whole number", field=field)
    if number.denominator != 1 or not least <= number <= most:
        raise InvalidConfiguration(field, value, f"must be a whole number from {least} to {most}")
    return int(number)


def _json(value: Any, field: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidConfiguration(field, value, f"is not JSON ({error})") from error
