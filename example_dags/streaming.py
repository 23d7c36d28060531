"""A stream that survives its driver: checkpoint, source and sink are on a volume that all drivers mount."""

import pendulum
from airflow.sdk import DAG

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

with DAG(
    "streaming",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    # Two queries must never share a checkpoint.
    max_active_runs=1,
    tags=["spark"],
) as dag:
    SparkKubernetesJobOperator(
        task_id="convert",
        application="jobs/streaming.py",
        application_args=["/stream/in", "/stream/out", "/stream/checkpoint", "1"],
        image="apache/spark:4.3.0",
        conf={
            # Every micro-batch is planned and compiled anew, which takes memory outside of the driver's heap.
            "spark.driver.memory": "640m",
            "spark.driver.memoryOverhead": "896m",
            "spark.executor.instances": "1",
            "spark.executor.cores": "1",
            "spark.executor.memory": "640m",
            # Made beforehand; drivers and executors on several nodes need the access mode ReadWriteMany.
            "spark.kubernetes.driver.volumes.persistentVolumeClaim.stream.options.claimName": "stream",
            "spark.kubernetes.driver.volumes.persistentVolumeClaim.stream.mount.path": "/stream",
            "spark.kubernetes.executor.volumes.persistentVolumeClaim.stream.options.claimName": "stream",
            "spark.kubernetes.executor.volumes.persistentVolumeClaim.stream.mount.path": "/stream",
        },
        # Each new driver goes on from the checkpoint, a retry's as well: being moved often costs little.
        max_driver_restarts=20,
        retries=2,
    )

if __name__ == "__main__":
    dag.test()
