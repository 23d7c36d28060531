"""Objects as tables: what `kubectl get` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.manifests import parse_timestamp
from airflow_spark_k8s.local.pod_table import POD_COLUMNS, pod_cells
from airflow_spark_k8s.local.resources import (
    CONFIG_MAPS,
    EVENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Resource,
)

Column = tuple[str, str, int]  # name, type, priority (above 0: only with -o wide)
Cells = Callable[[Manifest, datetime], Sequence[Any]]

_NAME: Column = ("Name", "string", 0)
_AGE: Column = ("Age", "string", 0)


def table(
    resource: Resource,
    objects: Sequence[Manifest],
    metadata: Manifest,
    now: datetime,
    *,
    include: str = "Metadata",
    headed: bool = True,
) -> Manifest:
    """
    The objects as a `meta.k8s.io/v1` Table.

    `include` is what each row carries of its object: None, Metadata or Object. Without `headed` the columns
    are left out, as in all events of a watch but the first.
    """
    columns, cells = _TABLES.get(resource, ((_NAME, _AGE), _plain))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_definition(each) for each in columns] if headed else None,
        "rows": [_row(resource, obj, list(cells(obj, now)), include) for obj in objects],
    }


def partial_metadata(obj: Manifest) -> Manifest:
    """The object without anything but its metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def age(since: str | None, now: datetime) -> str:
    """Time since a timestamp, as kubectl shortens it. Source: k8s.io/apimachinery/pkg/util/duration."""
    if not since:
        return "<unknown>"
    return human_duration((now - parse_timestamp(since)).total_seconds())


def human_duration(elapsed: float) -> str:
    """Seconds in at most two units: 90s, 5m30s, 3h, 2d4h."""
    seconds = max(int(elapsed), 0)
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    return f"{days}d"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}" + (f"{small}{small_unit}" if small else "")


def _definition(column: Column) -> Manifest:
    name, kind, priority = column
    return {
        "name": name,
        "type": kind,
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": priority,
    }


def _row(resource: Resource, obj: Manifest, cells: list[Any], include: str) -> Manifest:
    row: Manifest = {"cells": cells}
    if include == "Object":
        row["object"] = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    elif include != "None":
        row["object"] = partial_metadata(obj)
    return row


def _created(obj: Manifest, now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _plain(obj: Manifest, now: datetime) -> Sequence[Any]:
    return obj["metadata"]["name"], _created(obj, now)


def _pod(obj: Manifest, now: datetime) -> Sequence[Any]:
    return pod_cells(obj, _created(obj, now))


def _job(obj: Manifest, now: datetime) -> Sequence[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    wanted = spec.get("completions") or f"1 of {spec.get('parallelism')}"
    lasted = ""
    if status.get("startTime"):
        end = parse_timestamp(status["completionTime"]) if status.get("completionTime") else now
        lasted = human_duration((end - parse_timestamp(status["startTime"])).total_seconds())
    containers = spec["template"]["spec"].get("containers") or []
    selector = (spec.get("selector") or {}).get("matchLabels") or {}
    return (
        obj["metadata"]["name"],
        _job_state(spec, status),
        f"{status.get('succeeded', 0)}/{wanted}",
        lasted,
        _created(obj, now),
        ",".join(each["name"] for each in containers),
        ",".join(str(each.get("image")) for each in containers),
        ",".join(f"{key}={value}" for key, value in selector.items()),
    )


def _job_state(spec: Manifest, status: Manifest) -> str:
    true = {each["type"] for each in status.get("conditions") or [] if each["status"] == "True"}
    for state in ("Complete", "Failed", "Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if state in true:
            return state
    return "Running"


def _namespace(obj: Manifest, now: datetime) -> Sequence[Any]:
    return obj["metadata"]["name"], (obj.get("status") or {}).get("phase", ""), _created(obj, now)


def _node(obj: Manifest, now: datetime) -> Sequence[Any]:
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    ready = [each["status"] for each in status.get("conditions") or [] if each["type"] == "Ready"]
    state = "Ready" if ready == ["True"] else "NotReady"
    if spec.get("unschedulable"):
        state += ",SchedulingDisabled"
    info = status.get("nodeInfo") or {}
    addresses = {each["type"]: each["address"] for each in status.get("addresses") or []}
    return (
        obj["metadata"]["name"],
        state,
        "<none>",
        _created(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage", "<unknown>"),
        info.get("kernelVersion", "<unknown>"),
        info.get("containerRuntimeVersion", "<unknown>"),
    )


def _event(obj: Manifest, now: datetime) -> Sequence[Any]:
    involved = obj.get("involvedObject") or {}
    last = (
        (obj.get("series") or {}).get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("eventTime")
    )
    source = obj.get("source") or {}
    reporter = source.get("component") or obj.get("reportingComponent") or ""
    return (
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}",
        involved.get("fieldPath", ""),
        ", ".join(filter(None, (reporter, source.get("host")))),
        str(obj.get("message", "")).strip(),
        age(obj.get("firstTimestamp") or obj.get("eventTime"), now),
        obj.get("count") or 1,
        obj["metadata"]["name"],
    )


def _config_map(obj: Manifest, now: datetime) -> Sequence[Any]:
    return (
        obj["metadata"]["name"],
        len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
        _created(obj, now),
    )


def _secret(obj: Manifest, now: datetime) -> Sequence[Any]:
    return obj["metadata"]["name"], obj.get("type", ""), len(obj.get("data") or {}), _created(obj, now)


def _service(obj: Manifest, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    ports = ",".join(f"{each.get('port')}/{each.get('protocol', 'TCP')}" for each in spec.get("ports") or [])
    name = obj["metadata"]["name"]
    address = spec.get("clusterIP") or "None"
    return name, spec.get("type"), address, "<none>", ports or "<none>", _created(obj, now)


def _claim(obj: Manifest, now: datetime) -> Sequence[Any]:
    spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase", "")
    return (
        obj["metadata"]["name"],
        phase,
        spec.get("volumeName", ""),
        spec.get("storageClassName", ""),
        _created(obj, now),
    )


def _quota(obj: Manifest, now: datetime) -> Sequence[Any]:
    hard = (obj.get("spec") or {}).get("hard") or {}
    return (
        obj["metadata"]["name"],
        ", ".join(f"{key}: {hard[key]}" for key in sorted(hard)),
        _created(obj, now),
    )


def _columns(*named: str, wide: tuple[str, ...] = (), numbers: tuple[str, ...] = ()) -> tuple[Column, ...]:
    kinds = {name: "integer" for name in numbers}
    narrow = [(name, kinds.get(name, "string"), 0) for name in named]
    return (*narrow, *((name, kinds.get(name, "string"), 1) for name in wide))


_TABLES: dict[Resource, tuple[tuple[Column, ...], Cells]] = {
    PODS: (POD_COLUMNS, _pod),
    JOBS: (
        _columns(
            "Name", "Status", "Completions", "Duration", "Age", wide=("Containers", "Images", "Selector")
        ),
        _job,
    ),
    NAMESPACES: (_columns("Name", "Status", "Age"), _namespace),
    NODES: (
        _columns(
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            wide=("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
        ),
        _node,
    ),
    EVENTS: (
        (
            ("Last Seen", "string", 0),
            ("Type", "string", 0),
            ("Reason", "string", 0),
            ("Object", "string", 0),
            ("Subobject", "string", 1),
            ("Source", "string", 1),
            ("Message", "string", 0),
            ("First Seen", "string", 1),
            ("Count", "integer", 1),
            ("Name", "string", 1),
        ),
        _event,
    ),
    CONFIG_MAPS: (_columns("Name", "Data", "Age"), _config_map),
    SECRETS: (_columns("Name", "Type", "Data", "Age", numbers=("Data",)), _secret),
    SERVICES: (_columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"), _service),
    PERSISTENT_VOLUME_CLAIMS: (_columns("Name", "Status", "Volume", "StorageClass", "Age"), _claim),
    RESOURCE_QUOTAS: (_columns("Name", "Hard", "Age"), _quota),
}
