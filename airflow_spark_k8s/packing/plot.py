"""A picture of what burst factors save and risk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from airflow_spark_k8s.packing.scores import Scoring
from airflow_spark_k8s.packing.study import Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOOKS: dict[Scoring, dict[str, Any]] = {
    Scoring.LEAST_ALLOCATED: {"color": "#0b5fa5", "marker": "o", "zorder": 3},
    # hollow, so that what is the same under both can be told
    Scoring.MOST_ALLOCATED: {"color": "#c2570c", "marker": "s", "markerfacecolor": "white", "zorder": 4},
}
_LINEAR_BELOW = 1e-4  # the risk is drawn by orders of magnitude, down to this one; 0 has to be on it as well
_RISKS = (0, 1e-4, 1e-3, 1e-2, 0.1, 1)
_TEXT = "#333333"
_LIGHT = "#dddddd"


def draw(findings: Sequence[Finding], path: str, *, title: str) -> None:
    """
    Write the picture: nodes saved above, the risk that a node runs out of memory below, against the factor.

    The same findings give the same file.

    :param path: ends in .png or .svg.
    :raises OSError: if the file cannot be written.
    """
    with mpl.rc_context({"svg.hashsalt": "airflow-spark-k8s", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(7.5, 7.0), layout="constrained")
        saved, risk = figure.subplots(2, 1, sharex=True)
        for scoring in dict.fromkeys(finding.scoring for finding in findings):
            of_scoring = [finding for finding in findings if finding.scoring is scoring]
            _draw_saved(saved, of_scoring)
            _draw_risk(risk, of_scoring)
        figure.suptitle(title, x=0.01, ha="left", color=_TEXT)
        _finish_saved(saved)
        _finish_risk(risk, findings)
        nothing_that_changes = {"Date": None} if path.lower().endswith(".svg") else {"Software": None}
        figure.savefig(Path(path), dpi=150, metadata=nothing_that_changes)


def _draw_saved(axes: Axes, findings: Sequence[Finding]) -> None:
    scoring = findings[0].scoring
    saved = [finding.nodes_saved for finding in findings]
    axes.plot(_factors(findings), saved, label=scoring.value, clip_on=False, **_LOOKS[scoring])


def _draw_risk(axes: Axes, findings: Sequence[Finding]) -> None:
    looks, factors = _LOOKS[findings[0].scoring], _factors(findings)
    node = [finding.risk.node for finding in findings]
    any_node = [finding.risk.any_node.value for finding in findings]
    axes.plot(factors, [each.value for each in node], clip_on=False, **looks)
    low, high = [each.low for each in node], [each.high for each in node]
    axes.fill_between(factors, low, high, color=looks["color"], alpha=0.15, linewidth=0)
    axes.plot(factors, any_node, linestyle=":", markersize=3.5, clip_on=False, **looks)


def _factors(findings: Sequence[Finding]) -> list[float]:
    return [float(finding.factor) for finding in findings]


def _finish_saved(axes: Axes) -> None:
    _entitle(axes, "Nodes saved")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title="scheduler scoring", frameon=False, loc="upper left")
    _tidy(axes)


def _finish_risk(axes: Axes, findings: Sequence[Finding]) -> None:
    _entitle(axes, "Risk that nodes run out of memory, at a moment drawn by chance")
    axes.plot([], [], color=_TEXT, marker="o", label="one node (band: 95 % interval)")
    axes.plot([], [], color=_TEXT, marker="o", markersize=3.5, linestyle=":", label="any node")
    axes.legend(frameon=False, loc="upper left")
    axes.set_xlabel("burst factor", color=_TEXT)
    axes.set_xticks(sorted({float(finding.factor) for finding in findings}))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yscale("symlog", linthresh=_LINEAR_BELOW, linscale=0.5)
    axes.set_yticks(_RISKS)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
    axes.set_ylim(top=1)
    _tidy(axes)


def _entitle(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=_TEXT)


def _tidy(axes: Axes) -> None:
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", color=_LIGHT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_TEXT, length=0, pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LIGHT)
