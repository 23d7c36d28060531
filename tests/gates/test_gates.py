"""The checks of the house, run by the same command as the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

GATES = {
    "formatting is ruff's": ["ruff", "format", "--check", "."],
    "lint is clean": ["ruff", "check", "."],
    "types are strict": ["mypy"],
    "rooms import one way and core is pure": ["lint-imports", "--no-cache"],
}


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **env}
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("gate", GATES)
def test_gate(gate: str) -> None:
    argv = GATES[gate]
    done = run(str(BIN / argv[0]), *argv[1:])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(900)
def test_core_is_covered_branch_by_branch(tmp_path: Path) -> None:
    done = run(
        str(BIN / "coverage"),
        "run",
        "--branch",
        "--source=airflow_spark_k8s.core",
        "-m",
        "pytest",
        "tests/unit/core",
        "-q",
        COVERAGE_FILE=str(tmp_path / "coverage"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = run(
        str(BIN / "coverage"),
        "report",
        "--fail-under=100",
        "--show-missing",
        COVERAGE_FILE=str(tmp_path / "coverage"),
    )
    assert report.returncode == 0, report.stdout + report.stderr
