"""What `memory` prints: the parts of a container's memory, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction

from airflow_spark_k8s.core.burst import MemorySplit, split
from airflow_spark_k8s.core.qos import qos_class
from airflow_spark_k8s.core.spec import Burst, Manifest, PodShape

_ROWS = {
    "heap": "heap_mib",
    "overhead": "overhead_mib",
    "off-heap": "offheap_mib",
    "PySpark": "pyspark_mib",
    "guaranteed": "guaranteed_mib",
    "shared": "shared_mib",
    "request": "request_mib",
    "limit": "limit_mib",
    "QoS class": "qos",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Memory of one container; the names are those of the JSON object."""

    heap_mib: int
    overhead_mib: int
    offheap_mib: int
    pyspark_mib: int
    guaranteed_mib: int  # of the overhead, and of off-heap memory if that bursts, too
    shared_mib: int  # the rest of it
    request_mib: int
    limit_mib: int
    qos: str

    @property
    def as_dict(self) -> dict[str, int | str]:
        """The flat object that `--json` prints."""
        return asdict(self)


def report_of(shape: PodShape, burst: Burst | None) -> Report:
    """
    The memory of a pod as its properties alone shape it.

    :param burst: how it bursts; None: it does not.
    """
    memory = split(shape.memory, burst)
    return _report(memory, qos_class(_pod(shape, memory)))


def floor_note(shape: PodShape, burst: Burst | None) -> str | None:
    """A sentence if the guaranteed ratio, not the formula, decides; else None."""
    memory = split(shape.memory, burst)
    if burst is None or not memory.floored:
        return None
    bare = replace(burst, min_guaranteed_ratio=Fraction(0), min_guaranteed_offheap_ratio=Fraction(0))
    formula = split(shape.memory, bare).guaranteed_mib
    return (
        f"The floor applies: {memory.guaranteed_mib} MiB are guaranteed, by the formula alone {formula} MiB "
        "would be (minimum guaranteed ratio)."
    )


def table(columns: Mapping[str, Report]) -> str:
    """Aligned lines, a column for each report under its heading."""
    lines = [["", *columns]]
    for label, name in _ROWS.items():
        values = [getattr(report, name) for report in columns.values()]
        lines.append([label, *(value if isinstance(value, str) else f"{value} MiB" for value in values)])
    return "\n".join(aligned(lines))


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Each line with its cells under those of the others: the first column to the left, all others right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _report(memory: MemorySplit, qos: str) -> Report:
    return Report(
        **asdict(memory.memory),
        guaranteed_mib=memory.guaranteed_mib,
        shared_mib=memory.shared_mib,
        request_mib=memory.request_mib,
        limit_mib=memory.limit_mib,
        qos=qos,
    )


def _pod(shape: PodShape, memory: MemorySplit) -> Manifest:
    cpu_limit = {} if shape.cpu_limit_quantity is None else {"cpu": shape.cpu_limit_quantity}
    resources = {
        "requests": {"cpu": shape.cpu_request_quantity, "memory": f"{memory.request_mib}Mi"},
        "limits": {**cpu_limit, "memory": f"{memory.limit_mib}Mi"},
    }
    return {"spec": {"containers": [{"resources": resources}]}}
