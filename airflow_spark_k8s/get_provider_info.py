"""What Airflow is told about this provider; importing it imports nothing else."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """
    Description of this provider, in the form of Airflow's provider schema.

    Source: `airflow/provider_info.schema.json` of the installed Airflow.
    """
    return {
        "package-name": "airflow-spark-k8s",
        "name": "Spark on Kubernetes",
        "description": "Run Spark on Kubernetes: drivers as Jobs, executors allocated by a trigger.",
        "integrations": [
            {
                "integration-name": "Spark on Kubernetes",
                "external-doc-url": "https://spark.apache.org/docs/latest/running-on-kubernetes.html",
                "tags": ["software"],
            }
        ],
        "operators": [
            {
                "integration-name": "Spark on Kubernetes",
                "python-modules": ["airflow_spark_k8s.operators.spark_kubernetes_job"],
            }
        ],
        "hooks": [
            {
                "integration-name": "Spark on Kubernetes",
                "python-modules": ["airflow_spark_k8s.hooks.spark_kubernetes"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Spark on Kubernetes",
                "python-modules": ["airflow_spark_k8s.triggers.spark_kubernetes_job"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "spark_kubernetes",
                "hook-class-name": "airflow_spark_k8s.hooks.spark_kubernetes.SparkKubernetesHook",
                "hook-name": "Spark on Kubernetes",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "login", "password", "port", "extra"],
                    "relabeling": {},
                    "placeholders": {},
                },
                "conn-fields": {
                    "in_cluster": {
                        "label": "In cluster",
                        "description": "Use the service account of the pod that Airflow itself runs in.",
                        "schema": {"type": ["boolean", "null"]},
                    },
                    "kube_config_path": {
                        "label": "Kubeconfig path",
                        "description": "A file that exists on every worker and triggerer.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "kube_config": {
                        "label": "Kubeconfig",
                        "description": "Content of a kubeconfig, YAML or JSON.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "cluster_context": {
                        "label": "Context",
                        "description": "Context of the kubeconfig; empty: its current one.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "namespace": {
                        "label": "Namespace",
                        "description": "Where applications run unless the task says otherwise.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "disable_verify_ssl": {
                        "label": "Disable SSL verification",
                        "schema": {"type": ["boolean", "null"]},
                    },
                    "disable_tcp_keepalive": {
                        "label": "Disable TCP keepalive",
                        "schema": {"type": ["boolean", "null"]},
                    },
                    "image": {
                        "label": "Spark image",
                        "description": "Image of driver and executors unless the task names one.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "spark_version": {
                        "label": "Spark version",
                        "description": "Such as 4.3.0; needed where the image's tag does not say it.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "driver_service_account": {
                        "label": "Driver service account",
                        "schema": {"type": ["string", "null"]},
                    },
                    "executor_service_account": {
                        "label": "Executor service account",
                        "schema": {"type": ["string", "null"]},
                    },
                    "burst_factor": {
                        "label": "Burst factor",
                        "description": (
                            'How far executors burst: 1.2, or {"factor": 1.2, "fraction": 0.25} for a '
                            "quarter of them; empty or 1: not at all."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "min_guaranteed_ratio": {
                        "label": "Guaranteed overhead",
                        "description": "Part of the memory overhead that never bursts, 0 to 1; empty: 0.1.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "burst_offheap": {
                        "label": "Burst off-heap memory",
                        "description": "Off-heap memory bursts as the overhead does.",
                        "schema": {"type": ["boolean", "null"]},
                    },
                    "min_guaranteed_offheap_ratio": {
                        "label": "Guaranteed off-heap memory",
                        "description": "Part of off-heap memory that never bursts, 0 to 1; empty: 0.5.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "driver_priority_class": {
                        "label": "Driver priority class",
                        "schema": {"type": ["string", "null"]},
                    },
                    "executor_priority_class": {
                        "label": "Executor priority class",
                        "schema": {"type": ["string", "null"]},
                    },
                    "executor_qos_class": {
                        "label": "Executor QoS class",
                        "description": "Guaranteed or Burstable: do not start if executors would be another.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "on_lost_node": {
                        "label": "On lost node",
                        "description": (
                            "What is done about a driver whose node does not answer: wait, or force, which "
                            "can run two drivers for a while; empty: wait."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "memory_step_factor": {
                        "label": "Memory step factor",
                        "description": (
                            "By how much the memory of executors that recover grows with a step; empty: 1.5."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "max_executor_memory": {
                        "label": "Most executor memory",
                        "description": (
                            "What a recovering executor may grow to as a whole, such as 16g; empty: the "
                            "largest node."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "max_memory_steps": {
                        "label": "Most memory steps",
                        "description": "How often a recovering executor may grow; empty: 3.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "max_executor_ooms": {
                        "label": "Most memory losses",
                        "description": (
                            "How many executors that ran out of memory are made up for within the window; "
                            "empty: 10."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "recovery_window_seconds": {
                        "label": "Recovery window",
                        "description": "Seconds in which memory losses are counted; empty: 3600.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "drain_fraction": {
                        "label": "Drain fraction",
                        "description": (
                            "Part of the executors that is retired at once after a second memory loss, 0 to "
                            "1; empty: 0.25; 0: none are."
                        ),
                        "schema": {"type": ["string", "null"]},
                    },
                    "sticky_recovery": {
                        "label": "Sticky recovery",
                        "description": "Recovery goes on when the stage that needed it has finished.",
                        "schema": {"type": ["boolean", "null"]},
                    },
                    "recovery_node_selector": {
                        "label": "Recovery node selector",
                        "description": "Labels of the nodes for recovering executors, as a JSON object.",
                        "schema": {"type": ["string", "null"], "format": "multiline"},
                    },
                    "recovery_tolerations": {
                        "label": "Recovery tolerations",
                        "description": "Tolerations of recovering executors, as a JSON list.",
                        "schema": {"type": ["string", "null"], "format": "multiline"},
                    },
                    "recovery_priority_class": {
                        "label": "Recovery priority class",
                        "description": "Priority class of recovering executors.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "conf": {
                        "label": "Spark conf",
                        "description": "Spark properties of every application, as a JSON object.",
                        "schema": {"type": ["string", "null"], "format": "multiline"},
                    },
                },
            }
        ],
        "config": {
            "spark_kubernetes": {
                "description": "Spark applications on Kubernetes.",
                "options": {
                    "deployment_id": {
                        "description": (
                            "Name of this Airflow deployment on the objects it creates; tells two "
                            "deployments apart that share a namespace. Must be the same on every worker, and "
                            "must not change while applications run. Empty: derived from [api] base_url, or "
                            "airflow if that is not set.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "team-a-production",
                        "default": "",
                    },
                    "retention_seconds": {
                        "description": (
                            "How long a finished driver stays in the cluster after its task has ended, for "
                            "kubectl. 0 removes it at once. A task can set its own.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "600",
                    },
                    "minimum_trigger_seconds": {
                        "description": (
                            "A trigger does not report a result earlier than this after it started: "
                            "Airflow's scheduler can fail a task that resumes within seconds of its "
                            "deferral.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "15",
                    },
                    "outage_patience_seconds": {
                        "description": (
                            "How long a task waits for a cluster that cannot be watched, in seconds, before "
                            "it fails and leaves its application alone; at least 60. 0: for ever.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "7200",
                    },
                },
            }
        },
    }
