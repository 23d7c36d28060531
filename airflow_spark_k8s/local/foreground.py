"""A local cluster in the foreground, for kubectl and experiments."""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

from airflow_spark_k8s.local.cluster import LocalCluster, LocalClusterDidNotStart
from airflow_spark_k8s.local.descendants import end_on_signals


def run_cluster(*, kubeconfig: str | None, memory: str, cpu: str) -> int:
    """Exit code after the cluster was ended by Ctrl-C; 1 if it did not start."""
    end_on_signals()
    copy = Path(kubeconfig) if kubeconfig else None
    try:
        with LocalCluster(memory=memory, cpu=cpu) as cluster:
            path = cluster.kubeconfig_path
            if copy is not None:
                path = Path(shutil.copy2(path, copy))
            print(f"{cluster.server} is up; Ctrl-C ends it", file=sys.stderr)
            print(f"export KUBECONFIG={path}", flush=True)
            signal.pause()
    except LocalClusterDidNotStart as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if copy is not None:
            copy.unlink(missing_ok=True)
    return 0
