"""Whether the extra `local` is there, which some commands need."""

from __future__ import annotations

import sys


def what_is_missing() -> int:
    """0 if the local cluster can run here; else 2, after one line: what is missing and what to do."""
    try:
        from airflow_spark_k8s.local.requirements_check import check_requirements
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed: pip install 'airflow-spark-k8s[local]'", file=sys.stderr)
        return 2
    try:
        check_requirements()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
