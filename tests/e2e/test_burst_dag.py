"""The example of memory that bursts, as an Airflow without any cluster or connection parses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.airflow

EXAMPLE = Path(__file__).parents[2] / "example_dags" / "burst_memory.py"

PARSE = """
import runpy, sys
dag = runpy.run_path(sys.argv[1])["dag"]
print(dag.dag_id, sorted(dag.task_ids))
"""


def test_the_example_parses_without_a_cluster(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "KUBE"))
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(EXAMPLE)],
        env={**environment, "AIRFLOW_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "burst_memory ['compare', 'trial']" in done.stdout
