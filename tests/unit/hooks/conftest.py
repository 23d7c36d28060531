from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

# The HTTPS server of the tests next door.
sys.path.append(str(Path(__file__).parents[1] / "kube"))

from fake_server import TestServer, make_certificate, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TestServer]:
    async with serving(make_certificate(tmp_path)) as made:
        yield made


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes an Airflow connection; its id comes back."""

    def make(extra: Any, conn_type: str = "spark_kubernetes") -> str:
        text = extra if isinstance(extra, str) else json.dumps(extra)
        monkeypatch.setenv("AIRFLOW_CONN_MINE", json.dumps({"conn_type": conn_type, "extra": text}))
        return "mine"

    return make
