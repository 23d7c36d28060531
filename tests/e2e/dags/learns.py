"""A mapped task that is out of memory, and learns from that: from its first try, and from its first run."""

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

# Two tasks at a time exceed the executor's 1536 MiB, one does not. No loss is made up for: the try fails.
with DAG("learns", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    SparkKubernetesJobOperator.partial(
        task_id="skewed",
        application="jobs/skewed.py",
        conf={
            "spark.executor.instances": "1",
            "spark.executor.cores": "2",
            "spark.executor.memory": "512m",
            "spark.executor.memoryOverhead": "1g",
        },
        max_executor_ooms=0,
        learn="runs",
        apply_advice=True,
        retries=1,
        retry_delay=timedelta(seconds=1),
    ).expand(application_args=[["2", "800", "1000", "3"]])
