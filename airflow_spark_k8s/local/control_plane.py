"""The controllers of a cluster."""

from __future__ import annotations

from airflow_spark_k8s.local.ephemeral_volumes import ClaimProtection, EphemeralVolumes
from airflow_spark_k8s.local.garbage_collector import GarbageCollector
from airflow_spark_k8s.local.job_controller import JobController
from airflow_spark_k8s.local.namespace_controller import NamespaceController
from airflow_spark_k8s.local.node_lifecycle import NodeLifecycle
from airflow_spark_k8s.local.pod_garbage import PodGarbageCollector
from airflow_spark_k8s.local.scheduler import Scheduler
from airflow_spark_k8s.local.storage import StorageController
from airflow_spark_k8s.local.store import Store
from airflow_spark_k8s.local.timers import Timers
from airflow_spark_k8s.local.ttl import TtlController


class ControlPlane:
    """Every controller and the scheduler of one cluster; they work by themselves."""

    def __init__(self, store: Store, timers: Timers) -> None:
        self.jobs = JobController(store, timers)
        self.garbage = GarbageCollector(store, timers)
        self.namespaces = NamespaceController(store, timers)
        self.nodes = NodeLifecycle(store, timers)
        self.pod_garbage = PodGarbageCollector(store, timers)
        self.ephemeral_volumes = EphemeralVolumes(store, timers)
        self.storage = StorageController(store, timers)
        self.claim_protection = ClaimProtection(store, timers)
        self.ttl = TtlController(store, timers)
        self.scheduler = Scheduler(store, timers)
