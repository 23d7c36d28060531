from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).parents[1] / "benchmarks" / "import_cost.py"

HEAVY = {"kubernetes", "kubernetes_asyncio", "yaml", "aiohttp"}
MAX_ADDED_MIB = 5.0


@pytest.fixture(scope="module")
def cost(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, str(MEASURE), "airflow_spark_k8s.operators.spark_kubernetes_job"],
        env={"AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return measured


def test_importing_the_operator_brings_no_heavy_library(cost: dict[str, list[str]]) -> None:
    assert not HEAVY & set(cost["packages"])


def test_importing_the_operator_takes_little_memory(cost: dict[str, float]) -> None:
    assert cost["mib"] <= MAX_ADDED_MIB
