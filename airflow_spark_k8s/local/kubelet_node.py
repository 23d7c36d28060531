"""A node as its kubelet describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import Manifest

KUBELET_VERSION = "v1.36.0"


@dataclass(frozen=True, slots=True)
class NodeOffer:
    """What one node has to give."""

    name: str = "node-1"
    cpu: str = "16"
    memory: str = "32Gi"
    ephemeral_storage: str = "100Gi"
    pods: int = 110
    address: str = "127.0.0.1"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Manifest, ...] = ()

    @property
    def resources(self) -> dict[str, str]:
        """Capacity and allocatable of the node."""
        return {
            "cpu": self.cpu,
            "ephemeral-storage": self.ephemeral_storage,
            "memory": self.memory,
            "pods": str(self.pods),
        }


def node_manifest(offer: NodeOffer, now: str) -> Manifest:
    """The Node object that a kubelet registers."""
    labels = {
        "kubernetes.io/hostname": offer.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        **offer.labels,
    }
    spec: Manifest = {"taints": [dict(each) for each in offer.taints]} if offer.taints else {}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": offer.name, "labels": labels},
        "spec": spec,
        "status": node_status(offer, now),
    }


def node_status(offer: NodeOffer, now: str) -> Manifest:
    """Status of a node that is well."""
    return {
        "capacity": offer.resources,
        "allocatable": offer.resources,
        "conditions": _conditions(now),
        "addresses": [
            {"type": "InternalIP", "address": offer.address},
            {"type": "Hostname", "address": offer.name},
        ],
        "nodeInfo": {
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
            "kernelVersion": "",
            "osImage": "airflow-spark-k8s local cluster",
            "containerRuntimeVersion": "local://1",
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


def _conditions(now: str) -> list[Manifest]:
    states = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    return [
        {
            "type": condition_type,
            "status": status,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        for condition_type, status, reason, message in states
    ]
