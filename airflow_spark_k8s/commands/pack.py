"""
Print how many nodes a fleet of applications needs with several burst factors, and what each of them risks.

The scheduler's placement is worked out by requests; then moments are drawn at which the peaks of executors
overlap by chance.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_spark_k8s.commands.memory_report import aligned
from airflow_spark_k8s.core.burst_values import factor_of
from airflow_spark_k8s.exceptions import InvalidConfiguration

if TYPE_CHECKING:
    from airflow_spark_k8s.packing.model import Fleet
    from airflow_spark_k8s.packing.risk import Estimate
    from airflow_spark_k8s.packing.study import Finding

HELP = "print how many nodes a fleet needs with several burst factors, and what each of them risks"

DEFAULT_FACTORS = "1.05,1.1,1.15,1.2,1.25,1.3"
DEFAULT_MOMENTS = 2000
MAX_MOMENTS = 1_000_000
FORMATS = (".png", ".svg")

_BOTH = "both"
_SCORINGS = ("least-allocated", "most-allocated")
_HEADINGS = ["factor", "nodes", "saved", "", "P(node OOM)", "P(any node OOM)", "evicted", "not placed"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("file", metavar="FILE", help="YAML file with applications and nodes")
    parser.add_argument(
        "--factors", default=DEFAULT_FACTORS, metavar="X,…", help="burst factors (default: %(default)s)"
    )
    parser.add_argument(
        "--scoring",
        choices=(_BOTH, *_SCORINGS),
        default=_BOTH,
        help="how the scheduler scores nodes (default: %(default)s)",
    )
    parser.add_argument(
        "--moments",
        default=str(DEFAULT_MOMENTS),
        metavar="N",
        help="moments drawn for the risk (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", default="0", metavar="N", help="of the random numbers (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", metavar="FILE", help="also draw nodes saved and risk into a .png or .svg")


def run(arguments: argparse.Namespace) -> int:
    """Exit code: 0 printed, 2 something is not installed or a value cannot work."""
    missing = _missing(["numpy", *(["matplotlib"] if arguments.plot else [])])
    if missing:
        print(f"{missing} is not installed: pip install 'airflow-spark-k8s[pack]'", file=sys.stderr)
        return 2
    try:
        _run(arguments)
    except InvalidConfiguration as error:
        print(f"airflow-spark-k8s pack: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _run(arguments: argparse.Namespace) -> None:
    from airflow_spark_k8s.packing.file import read_fleet
    from airflow_spark_k8s.packing.scores import Scoring
    from airflow_spark_k8s.packing.study import study

    factors = [factor_of(text, field="--factors") for text in arguments.factors.split(",")]
    moments = _whole("--moments", arguments.moments, 1, MAX_MOMENTS)
    seed = _whole("--seed", arguments.seed, 0, 2**63 - 1)
    _check_plot(arguments.plot)
    names = _SCORINGS if arguments.scoring == _BOTH else (arguments.scoring,)
    fleet = read_fleet(arguments.file)
    findings = study(fleet, factors, [Scoring(name) for name in names], moments=moments, seed=seed)
    if arguments.plot:
        _plot(findings, arguments.plot, title=f"Burst factors for {Path(arguments.file).name}")
    if arguments.json:
        print(json.dumps(_as_dict(fleet, findings, moments=moments, seed=seed), indent=2))
    else:
        print("\n".join(_lines(fleet, findings, moments=moments, seed=seed)))


def _missing(modules: Iterable[str]) -> str | None:
    """The first module that is not installed."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            return error.name or name
    return None


def _whole(flag: str, text: str, least: int, most: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not least <= number <= most:
        raise InvalidConfiguration(flag, text, f"must be a whole number from {least} to {most}")
    return number


def _check_plot(path: str | None) -> None:
    """Return if the picture can be written: nobody likes to learn that after the work is done."""
    if path is None:
        return
    if not path.lower().endswith(FORMATS):
        raise InvalidConfiguration("--plot", path, f"must end in {' or '.join(FORMATS)}")
    if not Path(path).parent.is_dir():
        raise InvalidConfiguration("--plot", path, "there is no such folder")


def _plot(findings: list[Finding], path: str, *, title: str) -> None:
    from airflow_spark_k8s.packing.plot import draw

    try:
        draw(findings, path, title=title)
    except OSError as error:
        raise InvalidConfiguration("--plot", path, f"cannot be written: {error.strerror}") from error


def _lines(fleet: Fleet, findings: list[Finding], *, moments: int, seed: int) -> list[str]:
    lines = [
        f"{fleet.executors} executors of {len(fleet.applications)} applications; risk at a moment drawn by "
        f"chance, from {moments} moments (seed {seed}), with 95 % intervals"
    ]
    for scoring in dict.fromkeys(finding.scoring for finding in findings):
        of_scoring = [finding for finding in findings if finding.scoring is scoring]
        unplaced = any(finding.unplaced_executors for finding in of_scoring)
        cells = [_HEADINGS, *(_cells(finding) for finding in of_scoring)]
        lines += ["", f"scoring: {scoring.value}"]
        lines += aligned([row if unplaced else row[:-1] for row in cells])
        if unplaced:
            lines.append(
                "Not placed: the nodes' count is used up, so nodes saved are fewer than they could be."
            )
    return lines


def _cells(finding: Finding) -> list[str]:
    return [
        f"{float(finding.factor):g}",
        str(finding.nodes),
        str(finding.nodes_saved),
        _percent(finding.saved_share),
        _interval(finding.risk.node),
        _interval(finding.risk.any_node),
        _short(finding.risk.evicted_executors),
        str(finding.unplaced_executors),
    ]


def _interval(estimate: Estimate) -> str:
    if estimate.high == 0:
        return "never"
    return f"{_percent(estimate.value)} ({_percent(estimate.low)[:-2]} - {_percent(estimate.high)[:-2]})"


def _percent(share: float) -> str:
    percent = share * 100
    if 99.5 <= percent < 100:
        return f"{percent:.2f} %"  # rounded, it would look certain
    return f"{_short(percent)} %"


def _short(number: float) -> str:
    """Two digits, or all before the point."""
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def _as_dict(fleet: Fleet, findings: list[Finding], *, moments: int, seed: int) -> dict[str, Any]:
    return {
        "executors": fleet.executors,
        "applications": len(fleet.applications),
        "moments": moments,
        "seed": seed,
        "results": [_result(finding) for finding in findings],
    }


def _result(finding: Finding) -> dict[str, Any]:
    risk = finding.risk
    return {
        "scoring": finding.scoring.value,
        "factor": float(finding.factor),
        "nodes": finding.nodes,
        "nodes_saved": finding.nodes_saved,
        "nodes_saved_percent": round(finding.saved_share * 100, 2),
        "unplaced_executors": finding.unplaced_executors,
        **_probability("node_oom", risk.node),
        **_probability("any_node_oom", risk.any_node),
        "worst_node_oom": risk.worst_node,
        "evicted_executors": risk.evicted_executors,
    }


def _probability(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
