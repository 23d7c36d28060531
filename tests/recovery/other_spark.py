"""A Spark of another version than the installed one, as the home of an image of the local cluster."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEWEST_PYTHON = (3, 11)  # that PySpark 3.5 is made for
PATIENCE_SECONDS = 300


def spark_home(version: str, folder: Path) -> Path:
    """Home of a Spark 3.5 in `folder`; the test is skipped, with the reason, if there can be none."""
    if sys.version_info[:2] > NEWEST_PYTHON:
        pytest.skip(f"PySpark {version} needs Python {'.'.join(map(str, NEWEST_PYTHON))} or older")
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip(f"uv is not installed: nothing installs PySpark {version}")
    # A folder of its own: an environment has room for one PySpark. uv keeps what it has built.
    command = [uv, "pip", "install", "--python", sys.executable, "--no-deps", "--target", str(folder)]
    try:
        done = subprocess.run(
            [*command, f"pyspark=={version}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"PySpark {version} was not installed within {PATIENCE_SECONDS} s")
    if done.returncode != 0:
        pytest.skip(f"PySpark {version} cannot be installed: {done.stderr.strip()[-300:]}")
    return folder / "pyspark"
