"""A DAG of mistakes: every task is refused before anything is created."""

import pendulum
from airflow.sdk import DAG

from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

MISTAKES = {
    "unknown_connection": {"conn_id": "nobody"},
    "malformed_kubeconfig": {"conn_id": "malformed"},
    "missing_file": {"application": "jobs/missing.py"},
    "no_image": {"conn_id": "no_image"},
    "unknown_version": {"conn_id": "no_image", "image": "registry.example.com/spark:latest"},
    "unparsable_memory": {"conf": {"spark.executor.memory": "lots"}},
    "no_executors": {"conf": {"spark.executor.instances": "0"}},
    "illegal_label": {"conf": {"spark.kubernetes.driver.label.team": "data & co"}},
    "no_ui": {"conf": {"spark.ui.enabled": "false"}},
    "contradiction": {
        "image": "apache/spark:4.3.0",
        "conf": {"spark.kubernetes.container.image": "spark:4.2.0"},
    },
    "volumes": {"conf": {"spark.kubernetes.driver.volumes.emptyDir.a.mount.path": "a"}},
    "undefined_name": {"driver_template": "kind: Job\nmetadata: {name: '{{ nobody }}'}\n"},
    "no_pod": {"executor_template": "kind: Service\napiVersion: v1\n"},
    "wrong_field": {"driver_template": {"spec": {"template": {"spec": {"contaners": []}}}}},
}

with DAG("refused", schedule=None, start_date=pendulum.datetime(2026, 1, 1)):
    for name, arguments in MISTAKES.items():
        SparkKubernetesJobOperator(task_id=name, **{"application": "jobs/count.py", **arguments})
