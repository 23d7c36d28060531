"""The built wheel in an environment that has Airflow and nothing else of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

UV = shutil.which("uv")
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(UV is None, reason="uv is not installed: nothing builds the wheel"),
]


def run(*argv: str | Path, **env: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        [str(arg) for arg in argv],
        env={**inherited, **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with Airflow, pip and then the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    run(UV or "", "build", "--wheel", "--out-dir", folder / "dist")
    run(UV or "", "venv", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    # Run in the project's folder, so that the freeze of pyproject.toml holds here, too.
    run(UV or "", "pip", "install", "--python", python, "pip", f"apache-airflow=={version('apache-airflow')}")
    (wheel,) = (folder / "dist").glob("*.whl")
    run(UV or "", "pip", "install", "--python", python, wheel)
    return folder / "venv" / "bin"


def test_the_wheel_installs_beside_airflow_without_a_conflict(environment: Path) -> None:
    assert "No broken requirements" in run(environment / "pip", "check")


def test_airflow_lists_the_provider(environment: Path, tmp_path: Path) -> None:
    listed = run(environment / "airflow", "providers", "list", "-o", "plain", AIRFLOW_HOME=str(tmp_path))
    assert "airflow-spark-k8s" in listed


def test_the_operator_can_be_imported(environment: Path, tmp_path: Path) -> None:
    run(
        environment / "python",
        "-c",
        "from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator",
        AIRFLOW_HOME=str(tmp_path),
    )


def test_the_demo_says_what_is_missing(environment: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [environment / "airflow-spark-k8s", "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "airflow-spark-k8s[local]" in done.stderr
