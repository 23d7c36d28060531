"""Estimate pi with three executors: the smallest useful DAG."""

import pendulum
from airflow.sdk import DAG

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

with DAG("spark_pi", schedule=None, start_date=pendulum.datetime(2026, 1, 1), tags=["spark"]) as dag:
    SparkKubernetesJobOperator(
        task_id="pi",
        application="jobs/pi.py",
        application_args=["200"],
        image="apache/spark:4.3.0",
        conf={
            "spark.executor.instances": "3",
            "spark.executor.cores": "1",
            "spark.executor.memory": "1g",
            # Two rounds; without it all three would be asked for at once.
            "spark.kubernetes.allocation.batch.size": "2",
        },
    )

if __name__ == "__main__":
    dag.test()
