"""DAGs that keep the worker's slot: the same loop, without a triggerer."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

ARGUMENTS = {
    "task_id": "count",
    "application": "jobs/count.py",
    "conf": {"spark.executor.instances": "1", "spark.executor.memory": "512m"},
    "deferrable": False,
}

with DAG("on_worker", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as quick:
    SparkKubernetesJobOperator(
        application_args=["2"], retention_seconds=0, execution_timeout=timedelta(minutes=6), **ARGUMENTS
    )

with DAG("on_worker_killed", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as killed:
    SparkKubernetesJobOperator(application_args=["2", "--seconds", "600"], **ARGUMENTS)

with DAG("on_worker_late", schedule=None, start_date=pendulum.datetime(2026, 1, 1)) as late:
    SparkKubernetesJobOperator(
        application_args=["2", "--seconds", "600"], execution_timeout=timedelta(seconds=15), **ARGUMENTS
    )
