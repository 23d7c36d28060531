from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TEST = """
def test_cluster(spark_cluster):
    print("EXTRA", sorted(spark_cluster.connection_extra().items()))
"""


def test_a_named_context_takes_the_place_of_the_local_cluster(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST)
    options = ["--kube-context", "prod", "--kube-namespace", "team", "--spark-image", "reg/spark:4.1.0"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "KUBECONFIG": f"/etc/kube/one{os.pathsep}/etc/kube/two"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    expected = [
        ("cluster_context", "prod"),
        ("image", "reg/spark:4.1.0"),
        ("kube_config_path", "/etc/kube/one"),
        ("namespace", "team"),
    ]
    assert f"EXTRA {expected}" in done.stdout


def test_the_plugin_costs_nothing_in_runs_that_do_not_use_it() -> None:
    heavy = {"psutil", "aiohttp", "yaml", "kubernetes_asyncio", "airflow", "cryptography"}
    script = (
        "import sys, pytest; before = set(sys.modules); import airflow_spark_k8s.local.pytest_plugin;"
        f"print(sorted({heavy!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
