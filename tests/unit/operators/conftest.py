from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.operators import conclusion, submission


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a connection to a cluster that does not answer, nor ever will; its id comes back."""
    for module in (conclusion, submission):
        monkeypatch.setattr(module, "OUTAGE_SECONDS", 0.0)
    server = {"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}
    server |= {"users": [{"name": "u", "user": {"token": "t"}}], "current-context": "x"}
    server |= {"contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}

    def make(**extra: Any) -> str:
        content = {"conn_type": "spark_kubernetes", "extra": {"kube_config": server, **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps(content))
        return "nowhere"

    return make


@pytest.fixture
def nowhere(connection: Callable[..., str]) -> str:
    return connection(image="apache/spark:4.3.0")
