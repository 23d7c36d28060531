"""Run a local cluster until Ctrl-C and print its kubeconfig."""

from __future__ import annotations

import argparse

from airflow_spark_k8s.commands.local_extra import what_is_missing

HELP = "run a local cluster until Ctrl-C and print its kubeconfig"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="write the kubeconfig there (default: a temporary file)"
    )
    parser.add_argument("--memory", default="16Gi", help="memory of the node (default: %(default)s)")
    parser.add_argument("--cpu", default="8", help="CPU of the node (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Exit code: 0 after Ctrl-C, 2 something is not installed."""
    problem = what_is_missing()
    if problem:
        return problem
    from airflow_spark_k8s.local.foreground import run_cluster

    return run_cluster(kubeconfig=arguments.kubeconfig, memory=arguments.memory, cpu=arguments.cpu)
