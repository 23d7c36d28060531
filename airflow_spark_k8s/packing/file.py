"""The YAML file of a fleet."""

from __future__ import annotations

from pathlib import Path

import yaml

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.memory import executor_memory
from airflow_spark_k8s.core.spec import Burst, MemorySum
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.packing.model import (
    DEFAULT_MAX_PODS,
    NO_BURST,
    ApplicationKind,
    Fleet,
    NodeType,
    Usage,
)
from airflow_spark_k8s.packing.section import Section

MAX_EXECUTORS = 100_000
"""More than that take minutes and gigabytes, and are most likely a slip of the keyboard."""

_SPARK_VERSION = (4, 3, 0)  # the sum of an executor's memory is the same in all of them
_UNLIMITED = "unlimited"

_FILE = ("nodes", "applications", "bursting")
_NODES = ("name", "memory", "cpu", "reserved", "max_pods", "count")
_RESERVED = ("memory", "cpu")
_BURSTING = ("min_guaranteed_ratio", "burst_offheap", "min_guaranteed_offheap_ratio")
_SIZES = {
    "heap": "spark.executor.memory",
    "overhead": "spark.executor.memoryOverhead",
    "min_overhead": "spark.executor.minMemoryOverhead",
    "offheap": "spark.memory.offHeap.size",
    "pyspark_memory": "spark.executor.pyspark.memory",
}
_FACTOR = {"overhead_factor": "spark.executor.memoryOverheadFactor"}
_APPLICATIONS = ("name", "count", "executors", *_SIZES, *_FACTOR, "python", "cores", "bursts", "usage")
_USAGE = ("idle", "peak", "duty", "correlation")


def read_fleet(path: str) -> Fleet:
    """
    The fleet that a YAML file describes; docs/guides/packing.md tells what may stand in it.

    :raises InvalidConfiguration: if the file cannot be read, or for a value in it that cannot work.
    """
    file = Section(_yaml(path), path, _FILE)
    node_types = tuple(_node_type(each) for each in file.sections("nodes", _NODES))
    kinds = tuple(_kind(each) for each in file.sections("applications", _APPLICATIONS))
    fleet = Fleet(kinds, node_types, _bursting(file.section("bursting", _BURSTING)))
    if fleet.executors > MAX_EXECUTORS:
        raise InvalidConfiguration(
            f"{path}: applications", fleet.executors, f"more than {MAX_EXECUTORS} executors in all"
        )
    for index, kind in enumerate(kinds):
        demand = fleet.demand(kind, NO_BURST.factor)
        if not any(node_type.holds(demand) for node_type in node_types):
            raise InvalidConfiguration(
                f"{path}: applications[{index}].name",
                kind.name,
                f"an executor needs {demand.memory_mib} MiB and {demand.millicores}m CPU, more than any node "
                "has beside what is reserved",
            )
    return fleet


def _yaml(path: str) -> object:
    try:
        return yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise InvalidConfiguration("FILE", path, f"cannot be read: {reason}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        raise InvalidConfiguration("FILE", path, f"is not YAML{line}") from error


def _node_type(section: Section) -> NodeType:
    reserved = section.section("reserved", _RESERVED)
    memory = section.memory_mib("memory") - reserved.memory_mib("memory", 0)
    cpu = section.millicores("cpu") - reserved.millicores("cpu", 0)
    for name, left in (("memory", memory), ("cpu", cpu)):
        if left <= 0:
            raise reserved.error(name, f"leaves nothing of the node's {name} to executors")
    return NodeType(
        section.text("name"),
        memory,
        cpu,
        max_pods=section.integer("max_pods", DEFAULT_MAX_PODS),
        limit=_limit(section),
    )


def _limit(section: Section) -> int | None:
    count = section.get("count")
    if count is None or count == _UNLIMITED:
        return None
    if isinstance(count, str):
        raise section.error("count", f"must be a whole number or {_UNLIMITED}")
    return section.integer("count")


def _bursting(section: Section) -> Burst:
    return Burst(
        NO_BURST.factor,
        min_guaranteed_ratio=section.ratio("min_guaranteed_ratio", NO_BURST.min_guaranteed_ratio),
        offheap=section.flag("burst_offheap", default=False),
        min_guaranteed_offheap_ratio=section.ratio(
            "min_guaranteed_offheap_ratio", NO_BURST.min_guaranteed_offheap_ratio
        ),
    )


def _kind(section: Section) -> ApplicationKind:
    bursts = section.flag("bursts", default=True)
    if bursts and "usage" not in section:
        raise section.error("usage", "must say how the overhead is used, unless bursts is false")
    return ApplicationKind(
        name=section.text("name"),
        count=section.integer("count", 1),
        executors=section.integer("executors"),
        memory=_memory(section),
        millicores=section.millicores("cores", 1000),
        bursts=bursts,
        usage=_usage(section.section("usage", _USAGE)) if "usage" in section else Usage(),
    )


def _memory(section: Section) -> MemorySum:
    python = section.flag("python", default=False)
    if "pyspark_memory" in section and not python:
        raise section.error("pyspark_memory", "counts for Python applications only; set python: true")
    for other in ("overhead_factor", "min_overhead"):
        if "overhead" in section and other in section:
            raise section.error(other, "has no effect beside overhead; say one of them")
    section.size("heap")
    properties = {spark: section.size(name) for name, spark in _SIZES.items() if name in section}
    for name, spark in _FACTOR.items():
        if name in section:
            properties[spark] = section.number_text(name)
    if "offheap" in section:
        properties["spark.memory.offHeap.enabled"] = "true"
    try:
        return executor_memory(Conf.merged(properties, {}), _SPARK_VERSION, non_jvm=python, is_python=python)
    except InvalidConfiguration as error:
        names = {spark: name for name, spark in (_SIZES | _FACTOR).items()}
        raise InvalidConfiguration(
            section.field(names.get(error.field, error.field)), error.value, error.remedy
        ) from error


def _usage(section: Section) -> Usage:
    usage = Usage(
        idle=section.range("idle"),
        peak=section.range("peak"),
        duty=section.share("duty"),
        correlation=section.share("correlation", 1.0),
    )
    if usage.peak.low < usage.idle.low or usage.peak.high < usage.idle.high:
        raise section.error("peak", "must not be less than idle")
    return usage
