"""A skewed task that kills every executor it shares with another task, until it gets one for itself."""

import pendulum
from airflow.sdk import DAG

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

CONF = {
    "spark.executor.instances": "2",
    "spark.executor.cores": "2",
    "spark.executor.memory": "512m",
}
START = pendulum.datetime(2026, 1, 1)

# The first task holds 1050 MiB in a Python worker and the others 350: with one of them it exceeds the
# executor's limit of 1536 MiB, alone it does not. The kernel kills the container.
with DAG("oom_recovery", schedule=None, start_date=START, tags=["spark"]) as oom_recovery:
    SparkKubernetesJobOperator(
        task_id="skewed",
        application="jobs/skewed.py",
        application_args=["12", "350", "1050", "3"],
        image="apache/spark:4.3.0",
        conf={**CONF, "spark.executor.memoryOverhead": "1g"},
    )

# The same in the heap: 330 MiB and 180 MiB do not fit into 512 MiB together; the JVM ends with exit code 52.
with DAG("heap_recovery", schedule=None, start_date=START, tags=["spark"]) as heap_recovery:
    SparkKubernetesJobOperator(
        task_id="skewed",
        application="jobs/skewed_heap.py",
        application_args=["10", "180", "330", "3"],
        image="apache/spark:4.3.0",
        conf=CONF,
    )

if __name__ == "__main__":
    oom_recovery.test()
