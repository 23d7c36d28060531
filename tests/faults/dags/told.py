"""DAGs whose drivers run until the test tells them how to end."""

import os
import signal
from datetime import timedelta
from typing import Any, NoReturn

import pendulum
from airflow.sdk import DAG

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

# A driver's record outlives its pod, and the test reads it.
RECORDS = {"name": "records", "hostPath": {"path": os.environ["FAULTS_RECORDS"], "type": "Directory"}}
MOUNT = {"name": "records", "mountPath": "/records"}
FOLDER = "/records/{{ dag.dag_id }}/{{ run_id }}"


def driver(**container: Any) -> dict[str, Any]:
    spark = {"name": "spark-kubernetes-driver", "volumeMounts": [MOUNT], **container}
    return {"spec": {"template": {"spec": {"volumes": [RECORDS], "containers": [spark]}}}}


ARGUMENTS: dict[str, Any] = {
    "task_id": "wait",
    "application": "jobs/told.py",
    "image": "apache/spark:4.3.0",
    "retries": 0,
    "retry_delay": timedelta(seconds=1),
    "conf": {"spark.executor.instances": "1", "spark.kubernetes.driver.request.cores": "100m"},
    # No JVM: the driver's life is what counts here, and it starts in no time.
    "driver_template": driver(
        command=["python3", "{{ spark.primary_resource | replace('local://', '') }}"], args=[FOLDER]
    ),
}
START = pendulum.datetime(2026, 1, 1)


class DiesBeforeDeferral(SparkKubernetesJobOperator):
    """The worker's machine is gone once the application is submitted, in the first try."""

    def _defer(self, reference: Any, context: Any) -> Any:
        if context["ti"].try_number == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._defer(reference, context)


class DiesInTheLastStep(SparkKubernetesJobOperator):
    """The worker's machine is gone when the application has ended, in the first try."""

    def _conclude(self, hook: Any, reference: Any, outcome: Any, context: Any) -> Any:
        if context["ti"].try_number == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._conclude(hook, reference, outcome, context)


class GivenUp(SparkKubernetesJobOperator):
    """Airflow gives up its trigger while that watches."""

    def defer(self, **arguments: Any) -> NoReturn:
        super().defer(**{**arguments, "timeout": timedelta(seconds=30)})


with DAG("deferred", schedule=None, start_date=START):
    SparkKubernetesJobOperator(**ARGUMENTS)

with DAG("on_worker", schedule=None, start_date=START):
    SparkKubernetesJobOperator(**{**ARGUMENTS, "deferrable": False})

with DAG("late", schedule=None, start_date=START):
    SparkKubernetesJobOperator(**{**ARGUMENTS, "execution_timeout": timedelta(seconds=75)})

with DAG("worker_dies", schedule=None, start_date=START):
    DiesBeforeDeferral(**{**ARGUMENTS, "retries": 1})

with DAG("watcher_dies", schedule=None, start_date=START):
    SparkKubernetesJobOperator(**{**ARGUMENTS, "deferrable": False, "retries": 1})

with DAG("last_step_dies", schedule=None, start_date=START):
    DiesInTheLastStep(**{**ARGUMENTS, "retries": 1})

with DAG("given_up", schedule=None, start_date=START):
    GivenUp(**ARGUMENTS)

with DAG("with_spark", schedule=None, start_date=START):
    SparkKubernetesJobOperator(
        **{
            **ARGUMENTS,
            "application_args": [FOLDER, "--executors", "2"],
            "driver_template": driver(),
            "conf": {
                "spark.executor.instances": "2",
                "spark.executor.memory": "512m",
                "spark.kubernetes.driver.request.cores": "100m",
                "spark.kubernetes.executor.request.cores": "100m",
                "spark.kubernetes.allocation.batch.size": "1",
            },
        }
    )
