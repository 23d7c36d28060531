"""Drivers that the kubelet evicts because of their own memory use, not that of other pods."""

from __future__ import annotations

from airflow_spark_k8s.core.pod_state import Failed
from airflow_spark_k8s.core.snapshot import Observed


def eviction_text(observed: Observed, taken_away: int) -> str | None:
    """
    What to say about an application whose driver was taken away too often, mostly for its own memory.

    :param taken_away: how often it was.
    :returns: None if the last driver was not evicted for that, or most were taken away for other reasons.
    """
    driver = observed.driver
    evicted = sum(pod.memory_excess is not None for pod in observed.drivers)
    if driver is None or not isinstance(driver.state, Failed) or driver.memory_excess is None:
        return None
    if 2 * evicted < taken_away:
        return None
    times = "" if taken_away == 1 else f", {evicted} of the {taken_away} times that it was taken away"
    return (
        f"the driver was evicted for its own memory{times}: its node ran short of memory, and driver pod "
        f"{driver.name} used more than it requests ({driver.memory_excess}); give it more with "
        "spark.driver.memoryOverhead or spark.driver.memory, or have the driver template request what it uses"
    )
