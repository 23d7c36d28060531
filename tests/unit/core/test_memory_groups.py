from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.memory_advice import memory_advice
from airflow_spark_k8s.core.memory_groups import (
    MemoryGroup,
    Tally,
    group_name,
    higher,
    memory_groups,
    tally,
)
from airflow_spark_k8s.core.pod_state import EndKind

QUARTER = Rollout("1.2", "1/4", 1000, 1200)
ALL = Rollout("1.2", "1", 1000, 1200)


def test_groups_are_those_of_the_rollout() -> None:
    assert [group_name(QUARTER, number) for number in range(1, 6)] == [
        "burst",
        "plain",
        "plain",
        "plain",
        "burst",
    ]
    assert group_name(ALL, 1) == "burst"
    assert group_name(None, 1) is None


def test_a_rollout_to_some_executors_has_two_groups() -> None:
    tallies = {"burst": Tally(2, 1100, 1, 0), "plain": Tally(6, None, 0, 2)}
    assert memory_groups(QUARTER, tallies) == (
        MemoryGroup("burst", "1.2", 1000, 1200, 2, 1100, 1, 0),
        MemoryGroup("plain", "1", 1200, 1200, 6, None, 0, 2),
    )


def test_a_group_without_executors_is_shown_all_the_same() -> None:
    assert memory_groups(QUARTER, {})[0] == MemoryGroup("burst", "1.2", 1000, 1200)


def test_if_all_executors_burst_there_is_one_group() -> None:
    assert [group.name for group in memory_groups(ALL, {})] == ["burst"]


def test_without_bursting_there_are_no_groups() -> None:
    assert memory_groups(None, {}) == ()


ONE: dict[str, tuple[str | None, str | None, int, int]] = {
    "it runs": (None, None, 0, 0),
    "nobody knows how it ended": ("", None, 0, 0),
    "it went home": (EndKind.COMPLETED, None, 0, 0),
    "it was killed for memory": (EndKind.OUT_OF_MEMORY, None, 1, 0),
    "its JVM gave up": (EndKind.HEAP_EXHAUSTED, None, 0, 0),
    "its node ran low on memory": (EndKind.DISRUPTED, "MemoryPressure", 0, 1),
    "its node ran low on something else": (EndKind.DISRUPTED, "TerminationByKubelet", 0, 0),
    "it was preempted": (EndKind.DISRUPTED, "PreemptionByScheduler", 0, 0),
    "the kernel was faster than the kubelet": (EndKind.OUT_OF_MEMORY, "MemoryPressure", 1, 0),
    "it went home in time": (EndKind.COMPLETED, "MemoryPressure", 0, 0),
    "somebody deleted it": (EndKind.DELETED, None, 0, 0),
}


@pytest.mark.parametrize(("kind", "disruption", "kills", "evictions"), ONE.values(), ids=ONE.keys())
def test_what_an_executor_counts_for(
    kind: str | None, disruption: str | None, kills: int, evictions: int
) -> None:
    assert tally(kind, disruption, 900) == Tally(1, 900, kills, evictions)


TALLIES = st.builds(
    Tally, st.integers(0, 9), st.none() | st.integers(1, 9), st.integers(0, 9), st.integers(0, 9)
)


@given(TALLIES, TALLIES)
def test_tallies_add_up_in_any_order_and_peaks_do_not_fall(one: Tally, other: Tally) -> None:
    both = one + other
    assert both == other + one
    assert both.executors == one.executors + other.executors
    assert both.peak_memory_mib == higher(one.peak_memory_mib, other.peak_memory_mib)
    assert one + Tally() == one


def test_the_higher_of_two_peaks() -> None:
    assert (higher(None, None), higher(3, None), higher(None, 4), higher(5, 4)) == (None, 3, 4, 5)


def _burst(
    executors: int = 2, peak: int | None = 1100, kills: int = 0, evictions: int = 0, request: int = 1000
) -> MemoryGroup:
    return MemoryGroup("burst", "1.2", request, 1200, executors, peak, kills, evictions)


def _plain(executors: int = 6, peak: int | None = 900, kills: int = 0, evictions: int = 0) -> MemoryGroup:
    return MemoryGroup("plain", "1", 1200, 1200, executors, peak, kills, evictions)


ADVICE: dict[str, tuple[tuple[MemoryGroup, ...], str]] = {
    "no peak reached the request": (
        (_burst(peak=900),),
        "no executor used shared memory, the highest peak was 900 MiB with 1000 MiB requested: "
        "burst_factor can be raised",
    ),
    "no peak reached the request in either group": (
        (_burst(peak=900), _plain(peak=1000)),
        "no executor used shared memory, the highest peak was 1000 MiB with 1000 MiB requested: "
        "burst_factor or its fraction can be raised",
    ),
    "a peak above the request": (
        (_burst(peak=1100),),
        "up to 100 of 200 MiB of shared memory were needed, and no executor was evicted or killed: "
        "burst_factor can stay",
    ),
    "a peak that counts shared pages twice": (
        (_burst(peak=1500),),
        "up to 200 of 200 MiB of shared memory were needed, and no executor was evicted or killed: "
        "burst_factor can stay",
    ),
    "an executor that does not burst needed more than the request of those that do": (
        (_burst(peak=900), _plain(peak=1150)),
        "up to 150 of 200 MiB of shared memory were needed, and no executor was evicted or killed: "
        "burst_factor can stay, and its fraction can be raised",
    ),
    "peaks only of executors that do not burst": (
        (_burst(peak=None), _plain(peak=900)),
        "no executor used shared memory, the highest peak was 900 MiB with 1000 MiB requested: "
        "burst_factor or its fraction can be raised",
    ),
    "no peak was told": (
        (_burst(peak=None), _plain(peak=None)),
        "no peak memory was told, so nothing speaks for another burst_factor: see that the driver can be "
        "asked, spark.executor.processTreeMetrics.enabled is true and, for short executors, "
        "spark.executor.metrics.pollingInterval is 1s",
    ),
    "no executor came": (
        (_burst(executors=0, peak=None), _plain(executors=0, peak=None)),
        "no executor was there, so nothing speaks for another burst_factor",
    ),
    "nothing is shared": (
        (_burst(request=1200),),
        "executors share no memory, all of it is guaranteed: burst_factor has no effect",
    ),
    "kills at the limit": (
        (_burst(kills=1),),
        "killed for memory: 1 of 2 executors, whose limit of 1200 MiB does not depend on burst_factor: "
        "raise the overhead (spark.executor.memoryOverhead)",
    ),
    "kills in both groups": (
        (_burst(kills=1), _plain(kills=2)),
        "killed for memory: 3 of 8 executors, whose limit of 1200 MiB does not depend on burst_factor: "
        "raise the overhead (spark.executor.memoryOverhead)",
    ),
    "kills only of executors that do not burst": (
        (_burst(), _plain(kills=2)),
        "killed for memory: 2 of 8 executors, whose limit of 1200 MiB does not depend on burst_factor: "
        "raise the overhead (spark.executor.memoryOverhead)",
    ),
    "kills below the limit that struck only executors that burst": (
        (_burst(kills=2), _plain()),
        "killed for memory: 2 of 2 executors that burst and none of 6 others, though the highest peak seen, "
        "1100 MiB, is below the limit of 1200 MiB: if nodes ran out of memory, lower burst_factor, "
        "else raise the overhead (spark.executor.memoryOverhead)",
    ),
    "kills that struck only executors that burst, at the limit": (
        (_burst(kills=2, peak=1200), _plain()),
        "killed for memory: 2 of 8 executors, whose limit of 1200 MiB does not depend on burst_factor: "
        "raise the overhead (spark.executor.memoryOverhead)",
    ),
    "kills that struck only executors that burst, no peak known": (
        (_burst(kills=2, peak=None), _plain()),
        "killed for memory: 2 of 8 executors, whose limit of 1200 MiB does not depend on burst_factor: "
        "raise the overhead (spark.executor.memoryOverhead)",
    ),
    "kills where almost all executors burst": (
        (_burst(executors=9, kills=2), _plain(1)),
        "killed for memory: 2 of 10 executors, whose limit of 1200 MiB does not depend on burst_factor: "
        "raise the overhead (spark.executor.memoryOverhead)",
    ),
    "evictions where all executors burst": (
        (_burst(evictions=1),),
        "evicted because their nodes ran low on memory: 1 of 2 executors that burst, so lower burst_factor "
        "or set executor_priority_class",
    ),
    "more evictions where executors burst": (
        (_burst(evictions=1), _plain(evictions=1)),
        "evicted because their nodes ran low on memory: 1 of 2 executors that burst, so lower burst_factor "
        "or set executor_priority_class",
    ),
    "evictions as often where executors do not burst": (
        (_burst(evictions=1), _plain(evictions=3)),
        "evicted because their nodes ran low on memory: 1 of 2 executors that burst and 3 of 6 others, so a "
        "lower burst_factor alone will not help: look at the nodes' other pods or set "
        "executor_priority_class",
    ),
    "evictions and kills": (
        (_burst(evictions=1, kills=1, peak=1200),),
        "evicted because their nodes ran low on memory: 1 of 2 executors that burst, so lower burst_factor "
        "or set executor_priority_class; killed for memory: 1 of 2 executors, whose limit of 1200 MiB does "
        "not depend on burst_factor: raise the overhead (spark.executor.memoryOverhead)",
    ),
}


@pytest.mark.parametrize(("groups", "sentence"), ADVICE.values(), ids=ADVICE.keys())
def test_what_the_numbers_say(groups: tuple[MemoryGroup, ...], sentence: str) -> None:
    assert memory_advice(groups) == sentence


def test_without_groups_there_is_nothing_to_say() -> None:
    assert memory_advice(()) is None
    assert memory_advice([_plain()]) is None
