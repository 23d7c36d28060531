"""One fleet, several burst factors: what each of them saves and risks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from airflow_spark_k8s.packing.model import Fleet
from airflow_spark_k8s.packing.risk import Risk, simulate
from airflow_spark_k8s.packing.scheduler import pack
from airflow_spark_k8s.packing.scores import Scoring


@dataclass(frozen=True, slots=True)
class Finding:
    """What one burst factor does, compared with no bursting under the same scoring."""

    scoring: Scoring
    factor: Fraction
    nodes: int
    nodes_saved: int
    unplaced_executors: int
    risk: Risk

    @property
    def saved_share(self) -> float:
        """Nodes saved as a share of those that are needed without bursting."""
        before = self.nodes + self.nodes_saved
        return self.nodes_saved / before if before else 0.0


def study(
    fleet: Fleet, factors: Sequence[Fraction], scorings: Sequence[Scoring], *, moments: int, seed: int
) -> list[Finding]:
    """
    Findings by scoring, then by factor; no bursting, factor 1, is always the first of a scoring.

    :param moments: how many independent moments are drawn for the risk.
    :param seed: of the random numbers; the same seed gives the same findings.
    """
    all_factors = sorted({Fraction(1), *factors})
    cases = [(scoring, factor) for scoring in scorings for factor in all_factors]
    packings = [pack(fleet, factor, scoring) for scoring, factor in cases]
    risks = simulate(fleet, packings, moments=moments, seed=seed)
    without = {
        scoring: packing.nodes
        for (scoring, factor), packing in zip(cases, packings, strict=True)
        if factor == 1
    }
    return [
        Finding(scoring, factor, packing.nodes, without[scoring] - packing.nodes, packing.unplaced, risk)
        for (scoring, factor), packing, risk in zip(cases, packings, risks, strict=True)
    ]
