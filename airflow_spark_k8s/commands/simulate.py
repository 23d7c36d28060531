"""Run applications through faults of every kind, on virtual time, and check that every promise is kept."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_spark_k8s.local.simulation.simulate import Report

HELP = "run applications through faults of every kind on virtual time, by seed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument(
        "--seeds", type=_positive, default=1000, metavar="N", help="how many (default: %(default)s)"
    )
    parser.add_argument(
        "--first-seed", type=int, default=0, metavar="N", help="the first of them (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes (default: all cores)",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="print what happened: all of it with --seeds 1"
    )


def run(arguments: argparse.Namespace) -> int:
    """Exit code: 0 every promise was kept, 1 one was broken, 2 something is not installed, 130 Ctrl-C."""
    try:
        from airflow_spark_k8s.local.simulation.simulate import simulate
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed: pip install 'airflow-spark-k8s[local]'", file=sys.stderr)
        return 2
    if arguments.seeds == 1:
        return _one(simulate(arguments.first_seed, all_lines=arguments.verbose), verbose=arguments.verbose)
    return _many(arguments)


def _one(report: Report, *, verbose: bool) -> int:
    if verbose or report.problems:
        print("\n".join(report.lines))
    for problem in report.problems:
        print(f"seed {report.seed}: {problem}")
    print(f"seed {report.seed}: {report.state} after {report.seconds:.0f} s, digest {report.digest}")
    return 1 if report.problems else 0


def _many(arguments: argparse.Namespace) -> int:
    from airflow_spark_k8s.local.simulation.campaign import Summary, reports

    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    summary = Summary()
    progress = _progress(len(seeds))
    with closing(reports(seeds, min(arguments.jobs, len(seeds)))) as running:
        for report in running:
            summary.add(report)
            if report.problems:
                progress("", last=True)
                print(f"seed {report.seed}: {report.problems[0]}")
                if arguments.verbose:
                    print("\n".join(report.lines))
            progress(f"{summary.seeds} of {len(seeds)} simulations, {len(summary.failures)} failed")
    progress("", last=True)
    print("\n".join(summary.lines()))
    if summary.failures:
        first = min(summary.failures)
        print(f"to see one: airflow-spark-k8s simulate --seeds 1 --first-seed {first} -v")
    return 1 if summary.failures else 0


def _progress(total: int) -> Callable[..., None]:
    """A function that shows one line of progress on a terminal, over the one before."""
    shown = sys.stderr.isatty() and total > 1

    def show(text: str, *, last: bool = False) -> None:
        if shown:
            print(f"\r{text:<70}", end="\r" if last else "", file=sys.stderr, flush=True)

    return show


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
