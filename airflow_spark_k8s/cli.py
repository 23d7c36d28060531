"""`airflow-spark-k8s …`: finds the command and runs it; each command is a module of its own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from airflow_spark_k8s import __version__
from airflow_spark_k8s.commands import cluster, demo, gc, memory, pack, rbac, simulate

_COMMANDS = (demo, cluster, memory, pack, rbac, gc, simulate)


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
    for module in _COMMANDS:
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
