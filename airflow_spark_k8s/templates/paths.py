"""Where things are: names of an application's objects, and the places in a driver's container."""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Identity

CONF_DIR = "/opt/airflow-spark-k8s/conf"
SECRET_DIR = "/opt/airflow-spark-k8s/secret"  # noqa: S105 - a directory
APP_DIR = "/opt/airflow-spark-k8s/app"

PROPERTIES_KEY = "spark.properties"
AUTH_SECRET_KEY = "auth-secret"  # noqa: S105 - a key
AUTH_SECRET_BASE64_KEY = "auth-secret-base64"  # noqa: S105 - a key

PROPERTIES_FILE = f"{CONF_DIR}/{PROPERTIES_KEY}"
AUTH_SECRET_FILE = f"{SECRET_DIR}/{AUTH_SECRET_KEY}"

DRIVER_CONTAINER = "spark-kubernetes-driver"


def files_name(identity: Identity) -> str:
    """Name of the ConfigMap with the user's own file."""
    return f"{identity.application}-files"


def secret_name(identity: Identity) -> str:
    """Name of the Secret with the properties and all secret values."""
    return f"{identity.application}-conf"
