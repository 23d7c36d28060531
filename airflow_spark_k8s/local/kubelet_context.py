"""What a kubelet and the workers of its pods share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.kubelet_runtime import ContainerRuntime
from airflow_spark_k8s.local.manifests import key_of, timestamp
from airflow_spark_k8s.local.recorder import EventRecorder
from airflow_spark_k8s.local.resources import PODS
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.volumes import TokenIssuer


@dataclass(frozen=True, slots=True)
class KubeletTiming:
    """How long a kubelet takes for what a container runtime does not decide; in seconds."""

    sync_seconds: float = 0.01  # from a pod's deletion to the kubelet's reaction
    sandbox_seconds: float = 0.02  # from seeing a pod to having its network
    teardown_seconds: float = 0.05  # from the last exit to the final phase
    cleanup_seconds: float = 0.2  # from the final phase of a deleted pod to its removal
    image_retry_seconds: float = 2.0  # from a failed pull to being told of the back-off
    config_retry_seconds: float = 10.0  # between looks for a missing config map or secret
    heartbeat_seconds: float = 10.0


@dataclass(slots=True)
class KubeletContext:
    """One kubelet's surroundings."""

    store: Store
    timers: Timers
    offer: NodeOffer
    runtime: ContainerRuntime
    wall_clock: Callable[[], datetime]
    token: TokenIssuer
    api_host: str
    api_port: int
    timing: KubeletTiming
    events: EventRecorder
    silent: bool = field(default=False)  # the node has lost its network: nothing is heard, nothing is told

    def now(self) -> str:
        """Wall clock as a timestamp."""
        return timestamp(self.wall_clock())

    def stored(self, pod: Manifest) -> Manifest | None:
        """The pod as stored, not to be changed; None if it is gone or another one has its name."""
        found = self.store.peek(PODS, *key_of(pod))
        if found is None or found["metadata"]["uid"] != pod["metadata"]["uid"]:
            return None
        return found
