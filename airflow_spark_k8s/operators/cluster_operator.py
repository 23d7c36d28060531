"""An operator that does something in the cluster of its connection, and takes it back when it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from airflow_spark_k8s.operators.conf_operator import ConfOperator

if TYPE_CHECKING:
    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook
    from airflow_spark_k8s.kube.cluster import Cluster
    from airflow_spark_k8s.operators.worker_loop import WorkerLoop

_KILL_SECONDS = 20.0


class ClusterOperator(ConfOperator):
    """An operator with the attribute `conn_id`, rendered by the time it is used."""

    conn_id: str
    _worker: WorkerLoop | None = None
    _submitting: tuple[SparkKubernetesHook, str, str] | None = (
        None  # hook, namespace, ti_id: what on_kill removes
    )

    def on_kill(self) -> None:
        """Remove what this process has submitted, with all that belongs to it."""
        if self._worker is not None:
            self._worker.cancel()
        if self._submitting is not None:
            self._remove(*self._submitting)

    def _hook(self) -> SparkKubernetesHook:
        from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook

        return SparkKubernetesHook(self.conn_id)

    def _remove(
        self,
        hook: SparkKubernetesHook,
        namespace: str,
        ti_id: str,
        of: ApplicationReference | None = None,
        *,
        only_running: bool = False,
    ) -> bool:
        """Whether nothing of the task instance is left, or nothing that has not ended."""
        from airflow_spark_k8s.triggers.removal import remove_applications

        async def removed(cluster: Cluster) -> None:
            async with asyncio.timeout(_KILL_SECONDS):
                for job in await remove_applications(cluster, namespace, ti_id, only_running=only_running):
                    self.log.info("Removed Job %s in namespace %s", job, namespace)

        return self._with_cluster(hook, of, removed)

    def _with_cluster(
        self,
        hook: SparkKubernetesHook,
        reference: ApplicationReference | None,
        use: Callable[[Cluster], Awaitable[None]],
    ) -> bool:
        """Whether `use` came to its end; the log says why not."""
        from airflow_spark_k8s.operators.cluster_use import use_cluster

        return use_cluster(hook, reference, use, prepare=lambda: self._settings(hook), log=self.log)
