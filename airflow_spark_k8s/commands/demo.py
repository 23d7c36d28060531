"""Run an example DAG on a local cluster with real Airflow and Spark."""

from __future__ import annotations

import argparse

from airflow_spark_k8s.commands.local_extra import what_is_missing
from airflow_spark_k8s.local.demo_scenarios import SCENARIOS

HELP = "run an example DAG on a local cluster with real Airflow and Spark"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument(
        "--scenario",
        choices=tuple(SCENARIOS),
        default="pi",
        help="what to show: "
        + "; ".join(f"{name}: {scenario.about}" for name, scenario in SCENARIOS.items())
        + " (default: pi)",
    )
    parser.add_argument("--keep", action="store_true", help="leave Airflow and the cluster up until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Exit code: 0 the example succeeded, 1 it failed, 2 something is not installed."""
    problem = what_is_missing()
    if problem:
        return problem
    from airflow_spark_k8s.local.demo import run_demo

    return run_demo(SCENARIOS[arguments.scenario], keep=arguments.keep)
