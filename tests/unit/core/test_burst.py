from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_spark_k8s.core.burst import Rollout, bursts, shared_class, split
from airflow_spark_k8s.core.spec import Burst, MemorySum

MEMORY = st.builds(
    MemorySum,
    heap_mib=st.integers(450, 2**20),
    overhead_mib=st.integers(0, 2**20),
    offheap_mib=st.integers(0, 2**20),
    pyspark_mib=st.integers(0, 2**16),
)
RATIOS = st.fractions(0, 1, max_denominator=1000)
BURSTS = st.builds(
    Burst,
    factor=st.fractions(1, 3, max_denominator=1000),
    min_guaranteed_ratio=RATIOS,
    offheap=st.booleans(),
    min_guaranteed_offheap_ratio=RATIOS,
)


@pytest.mark.parametrize(
    ("heap", "overhead", "factor", "ratio", "guaranteed", "request_mib", "limit"),
    [
        pytest.param(40960, 10240, "1.2", "0", 0, 40960, 51200, id="the proposal's: all overhead is shared"),
        pytest.param(40960, 10240, "1.2", "0.1", 1024, 41984, 51200, id="the same with the default floor"),
        pytest.param(8192, 3276, "1.1", "0.1", 2129, 10321, 11468, id="Python, 8 GiB, 1.1"),
        pytest.param(8192, 3276, "1.2", "0.1", 982, 9174, 11468, id="Python, 8 GiB, 1.2: above the floor"),
        pytest.param(8192, 3276, "2", "0.1", 328, 8520, 11468, id="Python, 8 GiB, 2: the floor, rounded up"),
        pytest.param(8192, 3276, "2", "0", 0, 8192, 11468, id="Python, 8 GiB, 2: no floor"),
        pytest.param(8192, 3276, "1", "0.1", 3276, 11468, 11468, id="factor 1: nothing is shared"),
        pytest.param(8192, 819, "1.05", "0", 368, 8560, 9011, id="JVM, 8 GiB: 368.45 is rounded down"),
        pytest.param(1024, 384, "1.01", "0", 369, 1393, 1408, id="1 GiB: 369.92 is rounded down"),
        pytest.param(8192, 3276, "2", "1", 3276, 11468, 11468, id="a floor of everything"),
        pytest.param(8192, 0, "2", "0.1", 0, 8192, 8192, id="no overhead: nothing to share"),
        pytest.param(10, 10, "1.15", "0", 7, 17, 20, id="1.15 is no binary fraction: exactly 7, not 6"),
    ],
)
def test_overhead_is_divided_in_what_is_guaranteed_and_what_is_shared(
    heap: int, overhead: int, factor: str, ratio: str, guaranteed: int, request_mib: int, limit: int
) -> None:
    found = split(MemorySum(heap, overhead), Burst(Fraction(factor), min_guaranteed_ratio=Fraction(ratio)))
    assert (found.guaranteed_mib, found.request_mib, found.limit_mib) == (guaranteed, request_mib, limit)
    assert found.shared_mib == overhead - guaranteed


@pytest.mark.parametrize(
    ("factor", "ratio", "floored"),
    [
        pytest.param("1.1", "0.1", False, id="the formula gives more"),
        pytest.param("2", "0.1", True, id="the formula gives nothing"),
        pytest.param("2", "0", False, id="there is no floor"),
        pytest.param("1", "1", False, id="both give everything"),
    ],
)
def test_it_is_told_whether_the_floor_applies(factor: str, ratio: str, floored: bool) -> None:
    burst = Burst(Fraction(factor), min_guaranteed_ratio=Fraction(ratio))
    assert split(MemorySum(8192, 3276), burst).floored is floored


@pytest.mark.parametrize(
    ("offheap", "guaranteed", "request_mib"),
    [
        pytest.param(False, 614, 8192 + 614 + 4096 + 512, id="off-heap memory is outside by default"),
        # pool 5120, shared min(13312 * 0.2, 5120) = 2662.4
        pytest.param(True, 2457, 8192 + 2457 + 512, id="inside: one pool with the overhead"),
    ],
)
def test_offheap_memory_is_shared_on_demand(offheap: bool, guaranteed: int, request_mib: int) -> None:
    memory = MemorySum(8192, 1024, offheap_mib=4096, pyspark_mib=512)
    burst = Burst(
        Fraction("1.2") if offheap else Fraction("1.0444"),
        offheap=offheap,
        min_guaranteed_offheap_ratio=Fraction(0),
    )
    found = split(memory, burst)
    assert (found.guaranteed_mib, found.request_mib) == (guaranteed, request_mib)
    assert found.limit_mib == memory.total_mib


def test_offheap_memory_has_a_floor_of_its_own() -> None:
    memory = MemorySum(8192, 1001, offheap_mib=4095)
    burst = Burst(Fraction(2), offheap=True, min_guaranteed_offheap_ratio=Fraction(1, 2))
    assert split(memory, burst).guaranteed_mib == 101 + 2048
    assert split(memory, burst).floored


def test_without_bursting_the_request_is_the_limit() -> None:
    memory = MemorySum(8192, 3276, offheap_mib=100, pyspark_mib=10)
    found = split(memory, None)
    assert (found.request_mib, found.limit_mib) == (memory.total_mib, memory.total_mib)
    assert (found.guaranteed_mib, found.shared_mib, found.floored) == (3276, 0, False)


@settings(deadline=None)
@given(MEMORY, BURSTS)
def test_the_request_holds_the_heap_and_is_at_most_the_limit(memory: MemorySum, burst: Burst) -> None:
    found = split(memory, burst)
    assert memory.heap_mib <= found.request_mib <= found.limit_mib == memory.total_mib


@settings(deadline=None)
@given(MEMORY, BURSTS)
def test_only_overhead_and_offheap_memory_that_bursts_is_shared(memory: MemorySum, burst: Burst) -> None:
    pool = memory.overhead_mib + (memory.offheap_mib if burst.offheap else 0)
    least = burst.min_guaranteed_ratio * memory.overhead_mib
    if burst.offheap:
        least += burst.min_guaranteed_offheap_ratio * memory.offheap_mib
    found = split(memory, burst)
    assert least <= found.guaranteed_mib <= pool
    assert found.guaranteed_mib + found.shared_mib == pool


@settings(deadline=None)
@given(MEMORY, BURSTS, st.fractions(1, 3, max_denominator=1000))
def test_a_larger_factor_never_requests_more(memory: MemorySum, burst: Burst, other: Fraction) -> None:
    low, high = sorted((burst.factor, other))
    requests = [
        split(
            memory,
            Burst(
                factor,
                min_guaranteed_ratio=burst.min_guaranteed_ratio,
                offheap=burst.offheap,
                min_guaranteed_offheap_ratio=burst.min_guaranteed_offheap_ratio,
            ),
        ).request_mib
        for factor in (low, high)
    ]
    assert requests[0] >= requests[1]


@settings(deadline=None)
@given(MEMORY, RATIOS, st.booleans())
def test_factor_one_changes_nothing(memory: MemorySum, ratio: Fraction, offheap: bool) -> None:
    burst = Burst(Fraction(1), min_guaranteed_ratio=ratio, offheap=offheap)
    assert split(memory, burst).request_mib == split(memory, None).request_mib


@settings(deadline=None)
@given(MEMORY, st.fractions(1, 3, max_denominator=1000))
def test_the_guaranteed_part_is_less_than_a_mib_below_the_formula(
    memory: MemorySum, factor: Fraction
) -> None:
    found = split(memory, Burst(factor, min_guaranteed_ratio=Fraction(0)))
    formula = memory.overhead_mib - min(
        (memory.heap_mib + memory.overhead_mib) * (factor - 1), Fraction(memory.overhead_mib)
    )
    assert 0 <= formula - found.guaranteed_mib < 1


@settings(deadline=None)
@given(st.fractions(0, 1, max_denominator=200), st.integers(0, 500))
def test_of_the_first_executors_exactly_the_share_bursts(fraction: Fraction, count: int) -> None:
    assert sum(bursts(fraction, number) for number in range(1, count + 1)) == ceil(count * fraction)


@pytest.mark.parametrize(
    ("fraction", "chosen"),
    [
        pytest.param("1", [1, 2, 3, 4, 5, 6, 7, 8], id="all"),
        pytest.param("1/2", [1, 3, 5, 7], id="every second"),
        pytest.param("1/4", [1, 5], id="every fourth"),
        pytest.param("0.75", [1, 2, 3, 5, 6, 7], id="three in four"),
        pytest.param("0.1", [1], id="a tenth of a few: the first"),
    ],
)
def test_the_same_ids_burst_every_time(fraction: str, chosen: list[int]) -> None:
    rollout = Rollout("1.2", fraction, request_mib=1200, limit_mib=1408)
    assert [number for number in range(1, 9) if rollout.bursts(number)] == chosen


@pytest.mark.parametrize(
    ("shared_mib", "found"),
    [(0, "none"), (1, "small"), (1023, "small"), (1024, "medium"), (4095, "medium"), (4096, "large")],
)
def test_shared_parts_have_size_classes(shared_mib: int, found: str) -> None:
    assert shared_class(shared_mib) == found
