from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.kube.fake_server import Certificate, TestServer, make_certificate, serving


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def server(certificate: Certificate) -> AsyncIterator[TestServer]:
    async with serving(certificate) as made:
        yield made


@pytest.fixture
def write_kubeconfig(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def write(content: dict[str, Any]) -> Path:
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(content))
        return path

    return write
