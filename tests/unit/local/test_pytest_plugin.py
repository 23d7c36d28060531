from __future__ import annotations

import subprocess
import sys


def test_the_plugin_costs_nothing_in_runs_that_do_not_use_it() -> None:
    heavy = {"psutil", "aiohttp", "yaml", "kubernetes_asyncio", "airflow", "cryptography"}
    script = (
        "import sys, pytest; before = set(sys.modules); import airflow_spark_k8s.local.pytest_plugin;"
        f"print(sorted({heavy!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
