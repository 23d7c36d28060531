"""
What importing operators adds to a process that has imported `airflow.sdk`.

`python tests/benchmarks/import_cost.py MODULE` prints one module's cost as JSON; without a module it compares
ours with those of the cncf.kubernetes provider.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

OURS = "airflow_spark_k8s.operators.spark_kubernetes_job"
THEIRS = (
    "airflow.providers.cncf.kubernetes.operators.spark_kubernetes",
    "airflow.providers.cncf.kubernetes.operators.job",
    "airflow.providers.cncf.kubernetes.operators.pod",
)
ROUNDS = 3


def resident_mib() -> float:
    """Memory of this process that is not shared with a file, in MiB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1024


def cost_of(module: str) -> dict[str, object]:
    """Seconds, MiB and top-level packages that importing `module` adds here."""
    import airflow.sdk

    _ = airflow.sdk.BaseOperator, airflow.sdk.DAG  # airflow.sdk itself is lazy
    known = set(sys.modules)
    before, start = resident_mib(), time.perf_counter()
    import_module(module)
    seconds, after = time.perf_counter() - start, resident_mib()
    packages = sorted({name.split(".")[0] for name in set(sys.modules) - known})
    return {"module": module, "seconds": seconds, "mib": after - before, "packages": packages}


def main() -> None:
    """Print the cost of one module, or the comparison."""
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(cost_of(sys.argv[1])) + "\n")
        return
    costs = {module: _best_of(module) for module in (OURS, *THEIRS)}
    for module, (seconds, mib) in costs.items():
        ratio = seconds / costs[OURS][0]
        sys.stdout.write(f"{seconds * 1000:8.1f} ms {mib:7.1f} MiB  {ratio:6.1f} x  {module}\n")


def _best_of(module: str) -> tuple[float, float]:
    costs = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, __file__, module], capture_output=True, text=True, check=True)
        cost = json.loads(done.stdout.splitlines()[-1])
        costs.append((cost["seconds"], cost["mib"]))
    return min(costs)


if __name__ == "__main__":
    main()
