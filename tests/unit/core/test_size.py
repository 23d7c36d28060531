from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.size import MEMORY_KINDS, Size, ladder, size_from, size_of
from airflow_spark_k8s.core.spec import RecoverySettings

SETTINGS = RecoverySettings(heap_mib=1024, overhead_mib=384)
OOM, HEAP, MAYBE = EndKind.OUT_OF_MEMORY, EndKind.HEAP_EXHAUSTED, EndKind.MAYBE_OUT_OF_MEMORY
NORMAL, SINGLE = Size(0, 4, 1024, 384), Size(1, 1, 1024, 384)

STEPS: dict[str, tuple[RecoverySettings, Size, EndKind, Size | None]] = {
    "several tasks, killed": (SETTINGS, NORMAL, OOM, SINGLE),
    "several tasks, out of heap": (SETTINGS, NORMAL, HEAP, SINGLE),
    "several tasks, perhaps killed": (SETTINGS, NORMAL, MAYBE, SINGLE),
    "tasks of several cores": (replace(SETTINGS, task_cores=2), NORMAL, OOM, Size(1, 2, 1024, 384)),
    "one task, killed": (SETTINGS, SINGLE, OOM, Size(2, 1, 1024, 576)),
    "one task, out of heap": (SETTINGS, SINGLE, HEAP, Size(2, 1, 1536, 384)),
    "one task, perhaps killed": (SETTINGS, SINGLE, MAYBE, Size(2, 1, 1024, 576)),
    "a normal executor takes one task anyway": (
        replace(SETTINGS, task_cores=4), NORMAL, OOM, Size(2, 4, 1024, 576)
    ),
    "grown, then out of heap": (SETTINGS, Size(2, 1, 1024, 576), HEAP, Size(3, 1, 1536, 576)),
    "rounded up": (SETTINGS, Size(2, 1, 1023, 385), OOM, Size(3, 1, 1023, 578)),
    "no overhead to multiply": (
        replace(SETTINGS, overhead_mib=0), Size(1, 1, 1024, 0), OOM, Size(2, 1, 1024, 384)
    ),
    "another factor": (replace(SETTINGS, step_factor="2"), SINGLE, OOM, Size(2, 1, 1024, 768)),
    "cut at the limit": (
        replace(SETTINGS, max_executor_memory_mib=1508), SINGLE, OOM, Size(2, 1, 1024, 484)
    ),
    "off-heap memory is part of the limit": (
        replace(SETTINGS, max_executor_memory_mib=1508, other_mib=90), SINGLE, OOM, Size(2, 1, 1024, 394)
    ),
    "nothing left below the limit": (replace(SETTINGS, max_executor_memory_mib=1408), SINGLE, OOM, None),
    "one task is possible at the limit": (
        replace(SETTINGS, max_executor_memory_mib=1408), NORMAL, OOM, SINGLE
    ),
    "the last step": (SETTINGS, Size(3, 1, 1024, 864), OOM, Size(4, 1, 1024, 1296)),
    "no step left": (SETTINGS, Size(4, 1, 1024, 1296), OOM, None),
    "no step wanted": (replace(SETTINGS, max_memory_steps=0), SINGLE, HEAP, None),
    "no step wanted, but one task is": (replace(SETTINGS, max_memory_steps=0), NORMAL, HEAP, SINGLE),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "size", "kind", "after"), STEPS.values(), ids=STEPS.keys())
def test_what_comes_after(settings: RecoverySettings, size: Size, kind: EndKind, after: Size | None) -> None:
    assert ladder(settings, 4).after(size, kind) == after


@given(
    cores=st.integers(1, 64),
    task_cores=st.integers(1, 8),
    heap=st.integers(450, 10**6),
    overhead=st.integers(0, 10**6),
    other=st.integers(0, 10**4),
    room=st.none() | st.integers(0, 10**6),
    steps=st.integers(0, 6),
    factor=st.sampled_from(["1.01", "1.5", "2", "10"]),
    kinds=st.lists(st.sampled_from(sorted(MEMORY_KINDS)), min_size=10, max_size=10),
)
def test_sizes_only_grow_end_after_the_steps_allowed_and_stay_below_the_limit(
    cores: int,
    task_cores: int,
    heap: int,
    overhead: int,
    other: int,
    room: int | None,
    steps: int,
    factor: str,
    kinds: list[EndKind],
) -> None:
    limit = None if room is None else heap + overhead + other + room
    settings = RecoverySettings(
        task_cores=task_cores,
        step_factor=factor,
        max_executor_memory_mib=limit,
        max_memory_steps=steps,
        heap_mib=heap,
        overhead_mib=overhead,
        other_mib=other,
    )
    sizes = ladder(settings, cores)
    size, count = sizes.normal, 0
    for kind in kinds:
        larger = sizes.after(size, kind)
        if larger is None:
            break
        assert larger.heap_mib >= size.heap_mib
        assert larger.overhead_mib >= size.overhead_mib
        assert larger.step > size.step
        assert larger.cores == task_cores
        assert limit is None or larger.heap_mib + larger.overhead_mib + other <= limit
        size, count = larger, count + 1
    else:
        pytest.fail("there is no end to it")
    assert count <= steps + 1


def test_a_size_is_read_from_a_pod_as_it_was_written() -> None:
    assert size_of(SINGLE.annotation()) == SINGLE
    assert size_from(SINGLE.as_list()) == SINGLE
    assert size_from(None) is None
    assert json.loads(SINGLE.annotation()["airflow-spark-k8s/size"]) == {
        "step": 1,
        "cores": 1,
        "heap_mib": 1024,
        "overhead_mib": 384,
    }


@pytest.mark.parametrize("text", ["", "x", "3", "[1]", '{"step": 1}', '{"step": "x"}', '{"more": 1}', "null"])
def test_a_size_that_cannot_be_read_is_the_normal_one(text: str) -> None:
    assert size_of({"airflow-spark-k8s/size": text}) is None
    assert size_of({}) is None
