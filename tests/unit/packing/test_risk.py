from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import comb

import pytest

from airflow_spark_k8s.packing.model import Fleet, Range, Usage
from airflow_spark_k8s.packing.risk import Estimate, Risk, simulate, wilson
from airflow_spark_k8s.packing.scheduler import pack
from airflow_spark_k8s.packing.scores import Scoring
from tests.unit.packing.fleets import fleet, kind, level, node, two_point

MOMENTS = 20_000


def risk_of(many: Fleet, factor: str = "2", *, moments: int = MOMENTS, seed: int = 1) -> Risk:
    packing = pack(many, Fraction(factor), Scoring.LEAST_ALLOCATED)
    (risk,) = simulate(many, [packing], moments=moments, seed=seed)
    return risk


def one_node(executors: int, peaks_it_holds: int, usage: Usage) -> Fleet:
    """One node with executors of 1000 MiB that peak at 2000; too many peaks are one more than it holds."""
    alike = kind(executors, heap=1000, overhead=1000, usage=usage)
    memory = 1000 * executors + 1000 * peaks_it_holds
    return replace(
        fleet(alike, nodes=(node(memory),)), bursting=replace(fleet(alike).bursting, min_guaranteed_ratio=0)
    )


def tail(n: int, p: float, more_than: int) -> float:
    """Chance of more than that many among n independent ones."""
    return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(more_than + 1, n + 1))


def assert_within(estimate: Estimate, expected: float) -> None:
    # The seeds are fixed: this holds now and for ever, though one seed in twenty would miss a 95 % interval.
    assert estimate.low <= expected <= estimate.high
    assert estimate.high - estimate.low < 0.02


@pytest.mark.parametrize(
    ("executors", "holds", "duty"),
    [(5, 2, 0.2), (8, 3, 0.3), (10, 1, 0.02), (4, 0, 0.5)],
)
def test_independent_peaks_are_a_binomial_tail(executors: int, holds: int, duty: float) -> None:
    risk = risk_of(one_node(executors, holds, two_point(duty, 0)))
    assert_within(risk.node, tail(executors, duty, holds))
    assert_within(risk.any_node, tail(executors, duty, holds))


def test_peaks_at_one_moment_come_with_the_duty_cycle() -> None:
    risk = risk_of(one_node(5, 4, two_point(0.2, 1)))
    assert_within(risk.node, 0.2)


def test_correlation_is_that_of_two_executors() -> None:
    # Both peak: p * p if they are independent, and correlation * p * (1 - p) more of it.
    duty, correlation = 0.3, 0.6
    risk = risk_of(one_node(2, 1, two_point(duty, correlation)))
    assert_within(risk.node, duty**2 + correlation * duty * (1 - duty))


def test_applications_do_not_peak_together() -> None:
    usage = two_point(0.3, 1)
    two = fleet(
        kind(1, heap=1000, overhead=1000, count=2, usage=usage), nodes=(node(3200),)
    )  # requests: 1100 each
    assert_within(risk_of(two).node, 0.3**2)


def test_many_nodes_are_many_draws() -> None:
    # 40 nodes of one application of 2 each, at most one peak on each.
    usage = two_point(0.1, 0)
    many = fleet(kind(2, heap=1000, overhead=1000, count=40, usage=usage), nodes=(node(3200),))
    risk = risk_of(many, moments=4000)
    once = 0.1**2
    assert_within(risk.node, once)
    assert risk.node.high - risk.node.low < 0.001  # about 160,000 draws
    assert risk.any_node.low <= 1 - (1 - once) ** 40 <= risk.any_node.high
    assert risk.worst_node >= risk.node.value


def test_a_range_is_drawn_evenly() -> None:
    # Both executors use 1000 to 2000 MiB: together more than 3500 in one case of eight.
    usage = Usage(Range(0, 1), Range(0, 1), 0, 0)
    risk = risk_of(one_node(2, 0, usage), moments=MOMENTS)
    assert risk.node.value > 0.99  # of 2000 MiB
    wide = fleet(kind(2, heap=1000, overhead=1000, usage=usage), nodes=(node(3500),))
    assert_within(risk_of(wide).node, 0.125)


def test_where_all_limits_fit_nothing_can_happen() -> None:
    usage = two_point(1, 1)
    risk = risk_of(fleet(kind(6, usage=usage), nodes=(node(102400),)), "1")
    never = Estimate(0, 0, 0)
    assert risk == Risk(never, never, 0, 0)


def test_using_exactly_what_there_is_is_not_too_much() -> None:
    full = one_node(4, 3, Usage(level(0.75), level(0.75), 0, 0))
    assert risk_of(full, moments=100).node.value == 0
    over = one_node(4, 3, Usage(level(0.751), level(0.751), 0, 0))
    assert risk_of(over, moments=100).node.value == 1


@pytest.mark.parametrize(
    ("usage", "holds", "evicted"),
    [
        pytest.param(two_point(1, 1), 3, 1.0, id="one goes, 2000 MiB are free again"),
        pytest.param(two_point(1, 1), 1, 2.0, id="two have to go"),
        pytest.param(two_point(1, 1), 0, 2.0, id="exactly two are enough"),
    ],
)
def test_executors_are_evicted_until_there_is_room(usage: Usage, holds: int, evicted: float) -> None:
    risk = risk_of(one_node(4, holds, usage), moments=50)
    assert risk.evicted_executors == evicted


def test_the_one_furthest_above_its_request_goes_first() -> None:
    # Both steady ones use all they request; to evict them would free more, but they come last.
    greedy = kind(3, heap=1000, overhead=1000, usage=two_point(1, 1))
    steady = kind(2, heap=4000, overhead=1000, bursts=False, usage=Usage())
    together = fleet(greedy, steady, nodes=(node(10000 + 3 * 1100),))
    risk = risk_of(together, moments=50)
    # 16000 in use, 2700 too many: two greedy ones of 2000 each
    assert risk.evicted_executors == 2


def test_off_heap_memory_is_used_like_the_overhead_if_it_bursts() -> None:
    usage = two_point(1, 1)
    base = kind(2, heap=1000, overhead=1000, usage=usage)
    offheap = replace(base, memory=replace(base.memory, offheap_mib=1000))
    full = fleet(offheap, nodes=(node(6000),))
    idle = replace(full, kinds=(replace(offheap, usage=two_point(0, 1)),))
    small = (node(4200),)
    assert risk_of(replace(full, node_types=small), moments=50).node.value == 1
    # off-heap memory that does not burst is taken to be in use
    assert risk_of(replace(idle, node_types=small), moments=50).node.value == 0
    both = replace(idle, bursting=replace(idle.bursting, offheap=True), node_types=(node(3300),))
    assert risk_of(both, moments=50).node.value == 0


def test_the_same_seed_says_the_same_and_another_one_does_not() -> None:
    many = one_node(8, 3, two_point(0.3, 0.3))
    first, again, other = (risk_of(many, moments=300, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_packings_are_compared_on_the_same_peaks() -> None:
    many = one_node(8, 3, two_point(0.3, 0.3))
    packing = pack(many, Fraction(2), Scoring.LEAST_ALLOCATED)
    assert len(set(simulate(many, [packing, packing], moments=300, seed=1))) == 1


def test_unplaced_executors_use_nothing() -> None:
    many = fleet(kind(4, heap=1000, overhead=1000, usage=two_point(1, 1)), nodes=(node(3300, limit=1),))
    packing = pack(many, Fraction(2), Scoring.LEAST_ALLOCATED)
    assert packing.unplaced == 1
    (risk,) = simulate(many, [packing], moments=50, seed=1)
    assert (risk.node.value, risk.evicted_executors) == (1, 2)


@pytest.mark.parametrize(
    ("share", "draws", "low", "high"),
    [
        pytest.param(0.0, 100, 0.0, 0.0370, id="never seen"),
        pytest.param(0.5, 100, 0.4038, 0.5962, id="half of them"),
        pytest.param(1.0, 100, 0.9630, 1.0, id="always seen"),
        pytest.param(0.1, 10, 0.0179, 0.4042, id="few draws"),
    ],
)
def test_intervals_are_those_of_the_tables(share: float, draws: int, low: float, high: float) -> None:
    estimate = wilson(share, draws)
    assert estimate.value == share
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
