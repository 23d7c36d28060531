"""Tasks that lost their Python worker: the only trace of a kernel that kills one process of a container."""

from __future__ import annotations

from dataclasses import replace

from airflow_spark_k8s.core.killed_workers import lost_its_worker
from airflow_spark_k8s.core.snapshot import SparkView
from airflow_spark_k8s.kube.spark_rest import Answered, SparkRest, TaskProgress


async def with_killed_workers(rest: SparkRest, view: SparkView, tasks: TaskProgress) -> SparkView:
    """
    The view with the executors in which tasks have failed for want of their Python worker.

    Asks nothing while no task fails, and otherwise once for each running stage with new failures.
    """
    looked_at = {stage: count for stage, count in view.failed_tasks.items() if stage in tasks.failed}
    found = set(view.killed_workers)
    for stage, count in tasks.failed.items():
        if count <= looked_at.get(stage, 0):
            continue
        answer = await rest.failed_tasks(stage, count)
        if isinstance(answer, Answered):
            looked_at[stage] = count
            found |= {task.executor_id for task in answer.data if lost_its_worker(task.error)}
    return replace(view, failed_tasks=looked_at, killed_workers=frozenset(found))
