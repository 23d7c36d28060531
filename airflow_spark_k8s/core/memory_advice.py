"""What the numbers of the memory groups say about the burst factor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_spark_k8s.core.labels import MEMORY_BURST, MEMORY_PLAIN
from airflow_spark_k8s.core.memory_groups import MemoryGroup, higher

_OVERHEAD = "the overhead (spark.executor.memoryOverhead)"


def memory_advice(groups: Sequence[MemoryGroup]) -> str | None:
    """
    One sentence on whether to raise or lower the burst factor; None without a group that bursts.

    Kills and evictions count for more than peaks: peaks are sampled, and the highest may have been missed.
    """
    named = {group.name: group for group in groups}
    burst = named.get(MEMORY_BURST)
    if burst is None:
        return None
    plain = named.get(MEMORY_PLAIN)
    others = plain or MemoryGroup(MEMORY_PLAIN, "1", burst.limit_mib, burst.limit_mib)
    trouble = [*_on_evictions(burst, others), *_on_kills(burst, others)]
    if trouble:
        return "; ".join(trouble)
    if burst.executors == 0:
        return "no executor was there, so nothing speaks for another burst_factor"
    if burst.shared_mib == 0:
        return "executors share no memory, all of it is guaranteed: burst_factor has no effect"
    return _on_peaks(burst, higher(burst.peak_memory_mib, others.peak_memory_mib), partly=plain is not None)


def _on_evictions(burst: MemoryGroup, plain: MemoryGroup) -> Iterator[str]:
    if burst.evictions + plain.evictions == 0:
        return
    if plain.executors == 0 or burst.evictions * plain.executors > plain.evictions * burst.executors:
        yield (
            f"evicted because their nodes ran low on memory: {burst.evictions} of {burst.executors} "
            "executors that burst, so lower burst_factor or set executor_priority_class"
        )
        return
    yield (
        f"evicted because their nodes ran low on memory: {burst.evictions} of {burst.executors} executors "
        f"that burst and {plain.evictions} of {plain.executors} others, so a lower burst_factor alone will "
        "not help: look at the nodes' other pods or set executor_priority_class"
    )


def _on_kills(burst: MemoryGroup, plain: MemoryGroup) -> Iterator[str]:
    """
    On executors that the kernel killed.

    A node without memory ends a container like a limit does: only that nothing happens to executors which
    do not burst, and that the limit was not reached, tells them apart.
    """
    kills = burst.out_of_memory_kills + plain.out_of_memory_kills
    if kills == 0:
        return
    peak = burst.peak_memory_mib
    compared = burst.executors <= plain.executors and plain.out_of_memory_kills == 0
    if compared and peak is not None and peak < burst.limit_mib:
        yield (
            f"killed for memory: {burst.out_of_memory_kills} of {burst.executors} executors that burst and "
            f"none of {plain.executors} others, though the highest peak seen, {peak} MiB, is below the "
            f"limit of {burst.limit_mib} MiB: if nodes ran out of memory, lower burst_factor, "
            f"else raise {_OVERHEAD}"
        )
        return
    yield (
        f"killed for memory: {kills} of {burst.executors + plain.executors} executors, whose limit of "
        f"{burst.limit_mib} MiB does not depend on burst_factor: raise {_OVERHEAD}"
    )


def _on_peaks(burst: MemoryGroup, peak: int | None, *, partly: bool) -> str:
    if peak is None:
        return (
            "no peak memory was told, so nothing speaks for another burst_factor: see that the driver can be "
            "asked, spark.executor.processTreeMetrics.enabled is true and, for short executors, "
            "spark.executor.metrics.pollingInterval is 1s"
        )
    used, fraction = min(peak, burst.limit_mib) - burst.request_mib, " or its fraction" if partly else ""
    if used <= 0:
        return (
            f"no executor used shared memory, the highest peak was {peak} MiB with {burst.request_mib} MiB "
            f"requested: burst_factor{fraction} can be raised"
        )
    wider = ", and its fraction can be raised" if partly else ""
    return (
        f"up to {used} of {burst.shared_mib} MiB of shared memory were needed, and no executor was evicted "
        f"or killed: burst_factor can stay{wider}"
    )
