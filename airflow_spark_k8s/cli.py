"""`airflow-spark-k8s …`: thin commands around the local cluster and the demo."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_spark_k8s import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of the command: 0 done, 1 failed, 2 not possible here or wrong usage, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="airflow-spark-k8s", description="Spark on Kubernetes from Airflow."
    )
    parser.add_argument("--version", action="version", version=f"airflow-spark-k8s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="run an example DAG on a local cluster with real Airflow and Spark"
    )
    demo.add_argument("--keep", action="store_true", help="leave Airflow and the cluster up until Ctrl-C")
    demo.set_defaults(run=_demo)

    cluster = commands.add_parser("cluster", help="run a local cluster until Ctrl-C and print its kubeconfig")
    cluster.add_argument(
        "--kubeconfig", metavar="FILE", help="write the kubeconfig there (default: a temporary file)"
    )
    cluster.add_argument("--memory", default="16Gi", help="memory of the node (default: %(default)s)")
    cluster.add_argument("--cpu", default="8", help="CPU of the node (default: %(default)s)")
    cluster.set_defaults(run=_cluster)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    problem = _what_is_missing()
    if problem:
        return problem
    from airflow_spark_k8s.local.demo import run_demo

    return run_demo(keep=arguments.keep)


def _cluster(arguments: argparse.Namespace) -> int:
    problem = _what_is_missing()
    if problem:
        return problem
    from airflow_spark_k8s.local.foreground import run_cluster

    return run_cluster(kubeconfig=arguments.kubeconfig, memory=arguments.memory, cpu=arguments.cpu)


def _what_is_missing() -> int:
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
