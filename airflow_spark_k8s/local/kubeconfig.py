"""Connections to a local cluster, as Airflow takes them from its environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def connection_json(kubeconfig: Path, extra: Mapping[str, Any]) -> str:
    """Value of an `AIRFLOW_CONN_…` variable for a connection of type `spark_kubernetes`."""
    return json.dumps(
        {"conn_type": "spark_kubernetes", "extra": {"kube_config_path": str(kubeconfig), **extra}}
    )
