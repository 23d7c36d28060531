"""The example DAGs that the demo runs, as an Airflow without any cluster or connection parses them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_spark_k8s.local.demo_scenarios import SCENARIOS

pytestmark = pytest.mark.airflow

EXAMPLES = Path(__file__).parents[2] / "example_dags"

PARSE = """
import json, pathlib, runpy, sys
from airflow.sdk import DAG
files = pathlib.Path(sys.argv[1]).glob("*.py")
dags = [value for file in files for value in runpy.run_path(str(file)).values() if isinstance(value, DAG)]
print("parsed", json.dumps({dag.dag_id: sorted(dag.task_ids) for dag in dags}))
"""


def test_every_scenario_of_the_demo_is_a_task_of_an_example(tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "KUBE"))
    }
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(EXAMPLES)],
        env={**environment, "AIRFLOW_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for scenario in SCENARIOS.values():
        assert f'"{scenario.dag_id}": ["{scenario.task_id}"]' in done.stdout, done.stdout
