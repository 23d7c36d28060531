from __future__ import annotations

from fractions import Fraction

import pytest

from airflow_spark_k8s.packing.scores import Scoring
from airflow_spark_k8s.packing.study import study
from tests.unit.packing.fleets import fleet, kind, node, two_point

FACTORS = [Fraction(12, 10), Fraction(11, 10), Fraction(12, 10)]


def test_findings_are_ordered_and_compared_with_no_bursting() -> None:
    many = fleet(kind(40), nodes=(node(100000),))
    findings = study(many, FACTORS, list(Scoring), moments=50, seed=0)
    assert [(finding.scoring, finding.factor) for finding in findings] == [
        (scoring, factor) for scoring in Scoring for factor in (1, Fraction(11, 10), Fraction(12, 10))
    ]
    first, middle, last = findings[:3]
    assert (first.nodes, first.nodes_saved, first.saved_share) == (40, 0, 0)
    assert (middle.nodes, middle.nodes_saved, middle.saved_share) == (20, 20, 0.5)
    assert last.nodes == 20


def test_more_sharing_is_more_risk() -> None:
    many = fleet(kind(200, usage=two_point(0.3, 0.2)), nodes=(node(500000),))
    findings = study(many, FACTORS, [Scoring.LEAST_ALLOCATED], moments=2000, seed=0)
    risks = [finding.risk.any_node.value for finding in findings]
    assert risks[0] == 0
    assert 0 < risks[1] <= risks[2]


def test_nothing_placed_is_nothing_saved() -> None:
    nowhere = fleet(kind(2), nodes=(node(1000),))
    (finding,) = study(nowhere, [], [Scoring.LEAST_ALLOCATED], moments=10, seed=0)
    assert (finding.nodes, finding.saved_share, finding.unplaced_executors) == (0, 0.0, 2)
    assert finding.risk.any_node.value == 0


@pytest.mark.parametrize("seed", [0, 5])
def test_the_same_seed_gives_the_same_findings(seed: int) -> None:
    many = fleet(kind(50, usage=two_point(0.3, 0.5)), nodes=(node(300000),))
    once, again = (study(many, FACTORS, list(Scoring), moments=300, seed=seed) for _ in range(2))
    assert once == again
