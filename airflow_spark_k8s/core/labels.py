"""Labels and annotations of an application's objects: their keys, their syntax, and those of one identity."""

from __future__ import annotations

import re

from airflow_spark_k8s.core.burst import shared_class
from airflow_spark_k8s.core.spec import Identity
from airflow_spark_k8s.exceptions import InvalidConfiguration

PREFIX = "airflow-spark-k8s/"

LABEL_APPLICATION = PREFIX + "application"
LABEL_DEPLOYMENT = PREFIX + "deployment"
LABEL_TASK_INSTANCE = PREFIX + "task-instance"
LABEL_TI_ID = PREFIX + "ti-id"
LABEL_TRY = PREFIX + "try"
LABEL_MEMORY = PREFIX + "memory"
LABEL_SHARED_MEMORY = PREFIX + "shared-memory"
LABEL_RECOVERY = PREFIX + "recovery"
MEMORY_BURST = "burst"
MEMORY_PLAIN = "plain"

ANNOTATION_DAG_ID = PREFIX + "dag-id"
ANNOTATION_TASK_ID = PREFIX + "task-id"
ANNOTATION_RUN_ID = PREFIX + "run-id"
ANNOTATION_MAP_INDEX = PREFIX + "map-index"
ANNOTATION_SPEC_HASH = PREFIX + "spec-hash"
ANNOTATION_EXECUTOR_IDS = PREFIX + "executor-ids"
ANNOTATION_OUTCOME = PREFIX + "outcome"
ANNOTATION_SIZE = PREFIX + "size"

SPARK_APP_SELECTOR = "spark-app-selector"
SPARK_APP_NAME = "spark-app-name"
SPARK_ROLE = "spark-role"
SPARK_VERSION = "spark-version"
SPARK_EXECUTOR_ID = "spark-exec-id"
SPARK_EXECUTOR_INACTIVE = "spark-exec-inactive"
SPARK_RESOURCE_PROFILE_ID = "spark-exec-resourceprofile-id"
ROLE_DRIVER = "driver"
ROLE_EXECUTOR = "executor"

SPARK_RESERVED_LABELS = frozenset(
    {
        SPARK_APP_SELECTOR,
        SPARK_APP_NAME,
        SPARK_ROLE,
        SPARK_VERSION,
        SPARK_EXECUTOR_ID,
        SPARK_EXECUTOR_INACTIVE,
        SPARK_RESOURCE_PROFILE_ID,
    }
)
"""Labels of Spark's driver itself; with a user's value there it would lose sight of its executors."""

MAX_ANNOTATIONS_BYTES = 256 * 1024

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def is_dns_label(text: str) -> bool:
    """Whether `text` may name a namespace: at most 63 of a-z, 0-9 and '-', no '-' at either end."""
    return _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """Whether `text` may name a service account, Secret or ConfigMap: DNS labels joined by dots."""
    return len(text) <= 253 and all(is_dns_label(part) for part in text.split("."))


def check_key(key: str, *, field: str) -> str:
    """
    `key` itself, if Kubernetes takes it as the key of a label or an annotation.

    :param field: property or argument to name in the error.
    :raises InvalidConfiguration: for anything but `name` or `dns.prefix/name`.

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    """
    prefix, slash, name = key.rpartition("/")
    if _NAME.fullmatch(name) is None or (slash and not is_dns_subdomain(prefix)):
        raise InvalidConfiguration(
            field,
            key,
            "no valid key; use at most 63 letters, digits, '-', '_' or '.', beginning and ending with "
            "a letter or digit, if need be after a DNS name and '/'",
        )
    return key


def check_label_value(value: str, *, field: str) -> str:
    """
    `value` itself, if Kubernetes takes it as the value of a label.

    :param field: property or argument to name in the error.
    :raises InvalidConfiguration: if it is longer than 63 characters or has others than letters, digits, '-_.'

    Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    """
    if _VALUE.fullmatch(value) is None:
        raise InvalidConfiguration(
            field,
            value,
            "no valid label value; use at most 63 letters, digits, '-', '_' or '.', beginning and ending "
            "with a letter or digit",
        )
    return value


def labels_of(identity: Identity) -> dict[str, str]:
    """Labels that every object of the application carries."""
    return {
        LABEL_APPLICATION: identity.application,
        LABEL_DEPLOYMENT: identity.deployment,
        LABEL_TASK_INSTANCE: identity.task_instance_key,
        LABEL_TI_ID: identity.ti_id,
        LABEL_TRY: str(identity.try_number),
    }


def memory_labels(shared_mib: int, *, bursts: bool) -> dict[str, str]:
    """
    Labels of an executor whose application bursts: its group, and the size class of its shared memory.

    :param shared_mib: limit minus request.
    :param bursts: whether this executor is one of those that burst.
    """
    return {
        LABEL_MEMORY: MEMORY_BURST if bursts else MEMORY_PLAIN,
        LABEL_SHARED_MEMORY: shared_class(shared_mib),
    }


def annotations_of(identity: Identity) -> dict[str, str]:
    """Annotations that tell a human reader where the object comes from; any text may stand in them."""
    return {
        ANNOTATION_DAG_ID: identity.dag_id,
        ANNOTATION_TASK_ID: identity.task_id,
        ANNOTATION_RUN_ID: identity.run_id,
        ANNOTATION_MAP_INDEX: str(identity.map_index),
    }
