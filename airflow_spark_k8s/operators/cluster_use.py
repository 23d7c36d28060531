"""What a worker does in a cluster beside its task: tidying up and reading, of which no verdict depends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout

from airflow_spark_k8s.exceptions import SparkKubernetesError

if TYPE_CHECKING:
    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook
    from airflow_spark_k8s.kube.cluster import Cluster
    from airflow_spark_k8s.operators.conclusion import Log


def use_cluster(
    hook: SparkKubernetesHook,
    reference: ApplicationReference | None,
    use: Callable[[Cluster], Awaitable[None]],
    *,
    prepare: Callable[[], object],
    log: Log,
) -> bool:
    """
    Run `use` on the hook's cluster; what goes wrong is logged, since it must not change a verdict.

    Nor must the task's time limit, if it passes meanwhile: the application had ended in time.

    :param reference: an application that has to be there; None: wherever the connection leads to.
    :param prepare: called first, in this thread, to which Airflow's channel to the supervisor belongs.
    :returns: whether `use` came to its end.
    """
    from airflow_spark_k8s.operators.worker_loop import WorkerLoop

    async def used() -> None:
        cluster = await (hook.cluster() if reference is None else hook.cluster_of(reference))
        try:
            await use(cluster)
        finally:
            await cluster.close()

    try:
        prepare()
        WorkerLoop().run(used)
    except AirflowTaskTimeout:
        log.warning("The cluster of connection %s: execution_timeout passed meanwhile", hook.conn_id)
    except (SparkKubernetesError, AirflowException, TimeoutError, CancelledError) as error:
        log.warning("The cluster of connection %s: %s", hook.conn_id, str(error) or type(error).__name__)
    else:
        return True
    return False
