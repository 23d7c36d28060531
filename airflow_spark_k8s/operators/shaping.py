"""The operator's arguments that shape and treat pods beyond Spark's own properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_spark_k8s.operators.arguments import is_reference
from airflow_spark_k8s.operators.secret_conf import is_template

if TYPE_CHECKING:
    from airflow_spark_k8s.core.request import Shaping

SHAPING_FIELDS = (
    "burst_factor",
    "min_guaranteed_ratio",
    "burst_offheap",
    "min_guaranteed_offheap_ratio",
    "driver_priority_class",
    "executor_priority_class",
    "executor_qos_class",
    "on_lost_node",
)
"""Names of the arguments: those of `core.request.Shaping`, and of the extras of a connection."""


def shaping_of(task: object) -> Shaping:
    """The arguments of an operator, rendered, as its attributes have them."""
    from airflow_spark_k8s.core.request import Shaping

    return Shaping(**{name: getattr(task, name) for name in SHAPING_FIELDS})


def check_constants(task: object) -> None:
    """
    Nothing, if what is known of the arguments while the DAG file is parsed can work.

    Values with a template in them, and those that come from other tasks, are left to the task's run.

    :raises InvalidConfiguration: for a value that no application could have.
    """
    constants = constants_of(task, SHAPING_FIELDS)
    if not constants:
        return  # without the cost of the import, which most DAG files need not pay
    from airflow_spark_k8s.core.request import Shaping
    from airflow_spark_k8s.core.shaping import check_shaping

    check_shaping(Shaping(**constants))


def constants_of(task: object, names: Iterable[str]) -> dict[str, Any]:
    """Those of an operator's arguments that are given and will not change any more."""
    given = {name: getattr(task, name) for name in names}
    return {name: value for name, value in given.items() if value is not None and _is_constant(value)}


def _is_constant(value: Any) -> bool:
    if isinstance(value, str):
        return not is_template(value)
    if isinstance(value, Mapping):
        return all(_is_constant(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(map(_is_constant, value))
    return not is_reference(value)
