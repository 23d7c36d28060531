"""The `[spark_kubernetes]` section of Airflow's configuration."""

from __future__ import annotations

import hashlib

from airflow.sdk import conf

from airflow_spark_k8s.exceptions import InvalidConfiguration

SECTION = "spark_kubernetes"

DEFAULT_RETENTION_SECONDS = 600
DEFAULT_MINIMUM_TRIGGER_SECONDS = 15.0
DEFAULT_OUTAGE_PATIENCE_SECONDS = 7200.0
SHORTEST_OUTAGE_PATIENCE_SECONDS = 60.0


def deployment_id() -> str:
    """
    Name of this Airflow deployment on the objects it creates.

    Without the option it follows from `[api] base_url`, so that two deployments in one namespace differ;
    `airflow` if that is not set either.
    """
    configured: str = conf.get(SECTION, "deployment_id", fallback="") or ""
    if configured.strip():
        return configured.strip()
    base_url: str = conf.get("api", "base_url", fallback="") or ""
    if not base_url.strip():
        return "airflow"
    return "airflow-" + hashlib.sha256(base_url.strip().rstrip("/").encode()).hexdigest()[:8]


def retention_seconds() -> int:
    """How long a finished driver stays in the cluster, in seconds."""
    seconds = conf.getint(SECTION, "retention_seconds", fallback=DEFAULT_RETENTION_SECONDS)
    return int(_not_negative("retention_seconds", seconds))


def minimum_trigger_seconds() -> float:
    """Age below which a trigger keeps its result to itself, in seconds."""
    seconds = conf.getfloat(SECTION, "minimum_trigger_seconds", fallback=DEFAULT_MINIMUM_TRIGGER_SECONDS)
    return _not_negative("minimum_trigger_seconds", seconds)


def outage_patience_seconds() -> float | None:
    """How long a task waits for a cluster that does not answer, in seconds; None: for ever."""
    option = "outage_patience_seconds"
    seconds = conf.getfloat(SECTION, option, fallback=DEFAULT_OUTAGE_PATIENCE_SECONDS)
    if seconds != 0 and seconds < SHORTEST_OUTAGE_PATIENCE_SECONDS:
        remedy = f"must be {SHORTEST_OUTAGE_PATIENCE_SECONDS:g} or more, or 0 for no limit"
        raise InvalidConfiguration(f"[{SECTION}] {option}", seconds, remedy)
    return seconds or None


def max_field_length() -> int:
    """Where Airflow cuts what it stores of a rendered field, in characters."""
    return int(conf.getint("core", "max_templated_field_length"))


def _not_negative(option: str, seconds: float) -> float:
    if seconds < 0:
        raise InvalidConfiguration(f"[{SECTION}] {option}", seconds, "must not be negative")
    return seconds
