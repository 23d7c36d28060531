"""DAGs that the end-to-end tests run through real Airflow processes."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

COUNT = "jobs/count.py"

with DAG("slow_allocation", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SparkKubernetesJobOperator(
        task_id="count",
        application=COUNT,
        application_args=["6", "--executors", "3"],
        conf={
            "spark.executor.instances": "3",
            "spark.executor.memory": "512m",
            "spark.kubernetes.allocation.batch.size": "1",
            "spark.kubernetes.allocation.batch.delay": "4s",
        },
    )

with DAG("killed_by_user", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SparkKubernetesJobOperator(
        task_id="count",
        application=COUNT,
        application_args=["2", "--seconds", "600"],
        conf={"spark.executor.instances": "1", "spark.executor.memory": "512m"},
    )

with DAG("too_slow", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SparkKubernetesJobOperator(
        task_id="count",
        application=COUNT,
        application_args=["2", "--seconds", "600"],
        conf={"spark.executor.instances": "1", "spark.executor.memory": "512m"},
        execution_timeout=timedelta(seconds=40),
        retention_seconds=0,
    )

with DAG("fails", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SparkKubernetesJobOperator(
        task_id="count",
        application=COUNT,
        application_args=["1", "--exit-code", "3"],
        conf={"spark.executor.instances": "1", "spark.executor.memory": "512m"},
    )

with DAG("cannot_start", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SparkKubernetesJobOperator(
        task_id="count",
        application=COUNT,
        conf={"spark.kubernetes.driver.secretKeyRef.TOKEN": "nope:token"},
        retries=3,
        retry_delay=timedelta(seconds=1),
        retry_policy=ExceptionRetryPolicy(
            rules=[
                RetryRule(
                    exception="airflow_spark_k8s.exceptions.DriverMisconfigured", action=RetryAction.FAIL
                )
            ]
        ),
    )
