"""What Kubernetes makes of the memory in rendered pods: quality of service, and what a node has to hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_spark_k8s.core.burst_values import decimal_text
from airflow_spark_k8s.core.executor_pod import EXECUTOR_CONTAINER
from airflow_spark_k8s.core.qos import qos_class
from airflow_spark_k8s.core.quantities import parse_quantity_bytes
from airflow_spark_k8s.core.spec import Application, Manifest, Manifests, MemorySum
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.templates.paths import DRIVER_CONTAINER

DRIVER = "Driver"
EXECUTORS = "Executors"
PLAIN_EXECUTORS = "Executors that do not burst"

_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class RenderedPod:
    """One kind of pod of an application, as its template made it."""

    name: str  # DRIVER, EXECUTORS or PLAIN_EXECUTORS
    role: str  # "driver" or "executor", as arguments are called
    container: str  # the one that runs Spark
    spec: Mapping[str, Any]
    memory: MemorySum  # that the conf asks for
    bursts: bool = False

    @property
    def request_bytes(self) -> int:
        """Memory of Spark's container that the scheduler sets aside."""
        return _request(self._spark()) or 0

    @property
    def limit_bytes(self) -> int | None:
        """Memory that Spark's container may use; None: all there is."""
        return _limit(self._spark())

    @property
    def requested_bytes(self) -> int:
        """Memory that a node has to set aside for the whole pod."""
        return sum(_request(owner) or 0 for owner in self._owners())

    @property
    def largest_bytes(self) -> int:
        """Memory that the whole pod may use at most; what it requests where it has no limit."""
        return sum(_limit(owner) or _request(owner) or 0 for owner in self._owners())

    @property
    def qos_class(self) -> str:
        """`Guaranteed`, `Burstable` or `BestEffort`."""
        return qos_class({"spec": dict(self.spec)})

    def _owners(self) -> tuple[Mapping[str, Any], ...]:
        # Init containers end before these start, and resources of the pod count instead of containers'.
        return (self.spec,) if self.spec.get("resources") else tuple(self.spec["containers"])

    def _spark(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(
            container for container in self.spec["containers"] if container["name"] == self.container
        )
        return found


def rendered_pods(application: Application, manifests: Manifests) -> tuple[RenderedPod, ...]:
    """The driver, the executors, and those that do not burst if only some do."""
    driver = manifests.job["spec"]["template"]["spec"]
    return (
        RenderedPod(DRIVER, "driver", DRIVER_CONTAINER, driver, application.driver.memory),
        *_executor_pods(application, manifests.executor, manifests.plain_executor),
    )


def check_quality(application: Application, executor: Manifest, plain_executor: Manifest | None) -> None:
    """
    Nothing, if executor pods come out in the quality of service class that the task asks for.

    :raises InvalidConfiguration: names the class asked for and the one that the pods have.

    Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/
    """
    wanted = application.executor_qos_class
    if wanted is None:
        return
    for pod in _executor_pods(application, executor, plain_executor):
        if pod.qos_class != wanted:
            raise InvalidConfiguration(
                "executor_qos_class",
                wanted,
                f"{pod.name} would be {pod.qos_class}: {_HOW_TO_BE[wanted]}; see requests and limits of all "
                "containers in the rendered executor pod",
            )


def quality_lines(application: Application, manifests: Manifests) -> Iterator[str]:
    """One line for each kind of pod: memory, quality of service class, and what that means."""
    for pod in rendered_pods(application, manifests):
        yield f"{_who(pod, application)}: {_sizes(pod, application)}: QoS class {pod.qos_class}{_fate(pod)}"


def heap_warnings(application: Application, manifests: Manifests) -> Iterator[str]:
    """A sentence for each kind of pod whose template requests less memory than the JVM's heap alone."""
    for pod in rendered_pods(application, manifests):
        heap = pod.memory.heap_mib
        if pod.request_bytes < heap * _MIB:
            yield (
                f"{pod.name}: the {pod.role} template requests {mib(pod.request_bytes)} MiB of memory, less "
                f"than the JVM's heap of {heap} MiB: nodes may be given more pods than they can hold, which "
                f"then are killed; request at least {heap}Mi"
            )


def mib(size_bytes: int) -> str:
    """A size in MiB, rounded up to a tenth."""
    tenths = -(-size_bytes * 10 // _MIB)
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"


_HOW_TO_BE = {
    "Guaranteed": "every container needs limits of CPU and memory, and the same requests",
    "Burstable": "a container needs a request of CPU or memory, and not all requests may be as the limits",
}


def _executor_pods(
    application: Application, executor: Manifest, plain_executor: Manifest | None
) -> Iterator[RenderedPod]:
    memory, bursts = application.executor.memory, application.burst is not None
    yield RenderedPod(EXECUTORS, "executor", EXECUTOR_CONTAINER, executor["spec"], memory, bursts)
    if plain_executor is not None:
        yield RenderedPod(PLAIN_EXECUTORS, "executor", EXECUTOR_CONTAINER, plain_executor["spec"], memory)


def _who(pod: RenderedPod, application: Application) -> str:
    burst = application.burst
    if burst is None or burst.fraction == 1 or not pod.bursts:
        return pod.name
    return f"{pod.name} that burst ({decimal_text(burst.fraction * 100)} % of them)"


def _sizes(pod: RenderedPod, application: Application) -> str:
    request, limit = pod.request_bytes, pod.limit_bytes
    if limit is None:
        return f"request {mib(request)} MiB, no limit"
    sizes = f"request {mib(request)} MiB, limit {mib(limit)} MiB"
    if not pod.bursts or application.burst is None:
        return sizes
    return (
        f"{sizes} ({mib(limit - request)} MiB shared, burst factor {decimal_text(application.burst.factor)})"
    )


def _fate(pod: RenderedPod) -> str:
    """Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"""
    if pod.qos_class == "BestEffort":
        return ", the first to be evicted and killed under memory pressure on a node"
    if pod.request_bytes == pod.limit_bytes:
        return ""
    return (
        ": under memory pressure on a node, those that use more than their request are evicted and killed "
        "before Guaranteed pods"
    )


def _request(container: Mapping[str, Any]) -> int | None:
    # Kubernetes copies a limit where there is no request.
    requested = _memory(container, "requests")
    return _limit(container) if requested is None else requested


def _limit(container: Mapping[str, Any]) -> int | None:
    return _memory(container, "limits")


def _memory(container: Mapping[str, Any], kind: str) -> int | None:
    given = ((container.get("resources") or {}).get(kind) or {}).get("memory")
    if given is None:
        return None
    return parse_quantity_bytes(str(given), field=f"resources.{kind}.memory")
