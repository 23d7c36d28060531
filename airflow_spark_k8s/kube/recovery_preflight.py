"""What would go wrong with executors that recover, found before anything is created."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.recovery_pod import recovery_pod
from airflow_spark_k8s.core.recovery_settings import OFF
from airflow_spark_k8s.core.size import Ladder, Size, ladder
from airflow_spark_k8s.core.spec import Application, Manifests, RecoverySettings
from airflow_spark_k8s.exceptions import Forbidden, Invalid, InvalidTemplate
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.node_sizes import largest_node_bytes
from airflow_spark_k8s.kube.preflight import any_executor, check_priority_class, try_out
from airflow_spark_k8s.templates.quality import EXECUTORS, rendered_pods

NODE_SHARE = Fraction(19, 20)
"""Part of a node's memory that executors may grow to: the cluster has pods of its own on every node."""

RECOVERY = "recovery"
"""Key of the recovering executors' field among the `priority_fields`."""

_MIB_BYTES = 1024**2


async def node_limit(cluster: Cluster, application: Application, manifests: Manifests) -> int | None:
    """
    MiB that an executor may grow to as a whole, so that the largest node of today has room for it.

    None if the application sets a limit itself, if its executors cannot grow that far, if no node has room
    even for the size they start with (there may be larger ones later), or if nodes may not be read.
    """
    settings = application.recovery
    if settings is None or settings.mode == OFF or settings.max_executor_memory_mib is not None:
        return None
    executor = next(pod for pod in rendered_pods(application, manifests) if pod.name == EXECUTORS)
    beside_bytes = executor.largest_bytes - (executor.limit_bytes or executor.request_bytes)
    normal_bytes = application.executor.memory.total_mib * _MIB_BYTES + beside_bytes
    largest = largest_size(ladder(settings, application.executor.cores))
    largest_bytes = (largest.heap_mib + largest.overhead_mib + settings.other_mib) * _MIB_BYTES + beside_bytes
    selector = {**(executor.spec.get("nodeSelector") or {}), **settings.node_selector}
    enough_bytes = math.ceil(largest_bytes / NODE_SHARE)
    node_bytes = await largest_node_bytes(cluster, selector, enough_bytes=enough_bytes)
    if node_bytes is None or node_bytes < normal_bytes:
        return None
    return (max(math.floor(node_bytes * NODE_SHARE), normal_bytes) - beside_bytes) // _MIB_BYTES


async def recovery_warnings(
    cluster: Cluster, application: Application, manifests: Manifests, priority_fields: Mapping[str, str]
) -> tuple[str, ...]:
    """
    What will work less well than it could if executors run out of memory; nothing is created.

    :param priority_fields: `RECOVERY`: what names their priority class.
    :raises InvalidConfiguration: the cluster refuses executors on the nodes where they are to recover.
    :raises ClusterError: the server does not answer.
    """
    settings = application.recovery
    if settings is None or settings.mode == OFF:
        return ()
    if settings.priority_class is not None:
        field = priority_fields.get(RECOVERY, "recovery_priority_class")
        await check_priority_class(cluster, settings.priority_class, field=field)
    sizes = ladder(settings, application.executor.cores)
    if settings.node_selector or settings.tolerations or settings.priority_class is not None:
        await _try_out(cluster, manifests, sizes.single_task, settings)
    return await _growth_warnings(cluster, manifests, sizes, settings)


def largest_size(sizes: Ladder) -> Size:
    """The size of an executor that has run out of memory as often as it may, whichever makes it larger."""
    return max(
        (_topmost(sizes, kind) for kind in (EndKind.OUT_OF_MEMORY, EndKind.HEAP_EXHAUSTED)),
        key=lambda size: size.heap_mib + size.overhead_mib,
    )


def _topmost(sizes: Ladder, kind: EndKind) -> Size:
    size = sizes.normal
    while (larger := sizes.after(size, kind)) is not None:
        size = larger
    return size


async def _growth_warnings(
    cluster: Cluster, manifests: Manifests, sizes: Ladder, settings: RecoverySettings
) -> tuple[str, ...]:
    """A LimitRange or an admission webhook may refuse what a node could hold."""
    largest = largest_size(sizes)
    if largest.step < 2:
        return ()
    try:
        await _try_out(cluster, manifests, largest, settings)
    except (Forbidden, Invalid, InvalidTemplate) as error:
        total_mib = largest.heap_mib + largest.overhead_mib + settings.other_mib
        return (
            f"Executors that run out of memory cannot grow to {total_mib} MiB, since the cluster refuses "
            f"them: set max_executor_memory to what it allows ({error})",
        )
    return ()


async def _try_out(cluster: Cluster, manifests: Manifests, size: Size, settings: RecoverySettings) -> None:
    await try_out(cluster, any_executor(manifests, recovery_pod(manifests.executor, size, settings)))
