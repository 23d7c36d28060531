"""Executors that share a part of their memory overhead; the factor differs per run, try and mapped task."""

import pendulum
from airflow.sdk import DAG, Param

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

CONF = {
    "spark.executor.cores": "1",
    "spark.executor.memory": "512m",
    "spark.executor.memoryOverhead": "1g",
    # Drivers are told of peaks every ten seconds, which is enough for jobs that take longer than this one.
    "spark.executor.heartbeatInterval": "2s",
    "spark.executor.metrics.pollingInterval": "500ms",
}

with DAG(
    "burst_memory",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    params={"burst_factor": Param(1.5, type="number", minimum=1, description="1 shares nothing")},
    tags=["spark"],
) as dag:
    # Every second executor bursts. A second try does without.
    SparkKubernetesJobOperator(
        task_id="trial",
        application="jobs/peaks.py",
        application_args=["4", "500", "3"],
        image="apache/spark:4.3.0",
        conf={**CONF, "spark.executor.instances": "2"},
        burst_factor={
            "factor": "{{ params.burst_factor if ti.try_number == 1 else 1 }}",
            "fraction": 0.5,
        },
        retries=1,
    )
    # The same application with different factors.
    SparkKubernetesJobOperator.partial(
        task_id="compare",
        application="jobs/peaks.py",
        application_args=["1", "500", "3"],
        image="apache/spark:4.3.0",
        conf={**CONF, "spark.executor.instances": "1"},
    ).expand(burst_factor=[1.25, 2])

if __name__ == "__main__":
    dag.test()
