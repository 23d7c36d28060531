"""Memory of driver and executor pods, added up and rounded as Spark does it in cluster mode."""

from __future__ import annotations

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.spec import MemorySum

DEFAULT_HEAP_MIB = 1024
MIN_OVERHEAD_MIB = 384
OVERHEAD_FACTOR = 0.1
NON_JVM_OVERHEAD_FACTOR = 0.4

MIN_HEAP_MIB = 450
"""
No Spark starts with less: it sets 300 MiB aside and refuses to run with less than one and a half times that.

It asks the JVM, and some garbage collectors report up to 20 MiB less than they were given.

Source: org.apache.spark.memory.UnifiedMemoryManager
"""

_KUBERNETES_FACTOR = "spark.kubernetes.memoryOverheadFactor"
_TESTING = "spark.testing"  # lets Spark's own tests start with any heap
_MIN_OVERHEAD_SINCE = (4, 0, 0)


def driver_memory(conf: Conf, spark_version: tuple[int, int, int], *, non_jvm: bool) -> MemorySum:
    """
    Memory of a driver pod in cluster mode: heap and overhead.

    :param non_jvm: the application is Python or R, whose interpreter lives outside the heap.
    :raises InvalidConfiguration: if a property of the sum is no size, no number, or out of range.

    Source: org.apache.spark.deploy.k8s.features.BasicDriverFeatureStep
    """
    heap = _heap(conf, "driver")
    return MemorySum(heap, _overhead(conf, "driver", heap, spark_version, non_jvm=non_jvm))


def executor_memory(
    conf: Conf, spark_version: tuple[int, int, int], *, non_jvm: bool, is_python: bool
) -> MemorySum:
    """
    Memory of an executor pod in cluster mode: heap, overhead, off-heap if enabled, and Python's own limit.

    :param non_jvm: the application is Python or R, whose workers live outside the heap.
    :param is_python: it is Python, so that `spark.executor.pyspark.memory` counts.
    :raises InvalidConfiguration: if a property of the sum is no size, no number, or out of range.

    Source: org.apache.spark.resource.ResourceProfile.getResourcesForClusterManager
    """
    heap = _heap(conf, "executor")
    return MemorySum(
        heap,
        _overhead(conf, "executor", heap, spark_version, non_jvm=non_jvm),
        offheap_mib=_offheap(conf),
        pyspark_mib=conf.mib("spark.executor.pyspark.memory", 0, minimum=1) if is_python else 0,
    )


def _heap(conf: Conf, role: str) -> int:
    """
    Heap in MiB.

    A plain number is MiB for both roles, as in Spark's cluster mode, and is written out with its unit for
    the driver: spark-submit would hand `1024` to the JVM as it is, for which that is bytes.
    """
    name = f"spark.{role}.memory"
    heap = conf.mib(name, DEFAULT_HEAP_MIB, minimum=1)
    if heap < MIN_HEAP_MIB and not conf.prefixed(_TESTING):
        raise conf.error(
            name,
            f"a heap of {heap} MiB is too small: below {MIN_HEAP_MIB} MiB Spark does not start, use 512m or "
            "more; a number without a unit counts MiB",
        )
    return heap


def _overhead(
    conf: Conf, role: str, heap_mib: int, spark_version: tuple[int, int, int], *, non_jvm: bool
) -> int:
    explicit = f"spark.{role}.memoryOverhead"
    minimum_key = f"spark.{role}.minMemoryOverhead"
    factor = _factor(conf, role, non_jvm=non_jvm)
    minimum = conf.mib(minimum_key, MIN_OVERHEAD_MIB, minimum=1)
    if conf.get(minimum_key) is not None and spark_version < _MIN_OVERHEAD_SINCE:
        raise conf.error(minimum_key, f"Spark has this since 4.0; before, set {explicit}")
    if conf.get(explicit) is not None:
        return conf.mib(explicit, 0)
    return max(int(factor * heap_mib), minimum)


def _factor(conf: Conf, role: str, *, non_jvm: bool) -> float:
    of_role = conf.number(f"spark.{role}.memoryOverheadFactor", 0.0)
    default = NON_JVM_OVERHEAD_FACTOR if non_jvm else OVERHEAD_FACTOR
    of_all = conf.number(_KUBERNETES_FACTOR, default)
    if conf.get(f"spark.{role}.memoryOverheadFactor") is None:
        return of_all
    if of_role <= 0:
        raise conf.error(f"spark.{role}.memoryOverheadFactor", "must be more than 0, such as 0.1")
    return of_role


def _offheap(conf: Conf) -> int:
    if not conf.flag("spark.memory.offHeap.enabled", default=False):
        return 0
    size = conf.size_bytes("spark.memory.offHeap.size", 0)
    if size <= 0:
        raise conf.error(
            "spark.memory.offHeap.size", "must be more than 0 if spark.memory.offHeap.enabled is true"
        )
    return size // 1024**2
