from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_spark_k8s.packing.model import Demand, Fleet, NodeType
from airflow_spark_k8s.packing.scheduler import UNPLACED, Packing, pack
from airflow_spark_k8s.packing.scores import Scoring
from tests.unit.packing.fleets import fleet, kind, node

BOTH = pytest.mark.parametrize("scoring", list(Scoring))
ONE = Fraction(1)


def factor(text: str) -> Fraction:
    return Fraction(text)


def per_node(packing: Packing) -> list[int]:
    return sorted(Counter(packing.node_of.tolist()).values(), reverse=True)


@BOTH
@pytest.mark.parametrize(
    ("burst", "nodes"),
    [
        pytest.param("1", 3, id="one executor to a node"),
        pytest.param("1.2", 2, id="two with the floor of a tenth: 41984 MiB each"),
    ],
)
def test_the_example_of_the_proposal(scoring: Scoring, burst: str, nodes: int) -> None:
    # 100 GB: two at 40 GB and something fit, two at 50 GB and a system's share do not
    packing = pack(fleet(kind(3), nodes=(node(100000),)), factor(burst), scoring)
    assert packing.nodes == nodes
    assert packing.unplaced == 0


@BOTH
@pytest.mark.parametrize(
    ("offer", "nodes"),
    [
        pytest.param(node(204800, 64000), 3, id="memory decides: 4 to a node"),
        pytest.param(node(204800, 3000), 4, id="cpu decides: 3 to a node"),
        pytest.param(replace(node(204800), max_pods=2), 5, id="pods decide: 2 to a node"),
    ],
)
def test_what_is_short_decides(scoring: Scoring, offer: NodeType, nodes: int) -> None:
    assert pack(fleet(kind(10), nodes=(offer,)), ONE, scoring).nodes == nodes


def test_least_allocated_levels_and_most_allocated_fills() -> None:
    many = fleet(kind(6), nodes=(node(204800),))
    assert per_node(pack(many, ONE, Scoring.LEAST_ALLOCATED)) == [3, 3]
    assert per_node(pack(many, ONE, Scoring.MOST_ALLOCATED)) == [4, 2]


def test_executors_of_one_application_spread_once_they_burst() -> None:
    # Two small applications and room for all on two nodes: filled up without bursting, mixed with it.
    small = kind(4, heap=4096, overhead=4096, count=2)
    filled = fleet(small, nodes=(node(8192 * 4),))
    without = pack(filled, ONE, Scoring.MOST_ALLOCATED).node_of.tolist()
    assert without == [0, 0, 0, 0, 1, 1, 1, 1]
    burst = pack(fleet(small, nodes=(node(8192 * 2, 4000),)), factor("1.01"), Scoring.MOST_ALLOCATED)
    assert burst.nodes == 4
    assert {Counter(burst.node_of.tolist()[:4])[each] for each in range(4)} == {1}


def test_large_shares_avoid_each_other() -> None:
    large = kind(1, heap=8192, overhead=8192, count=2)  # shares 7372 MiB of it
    small = kind(1, heap=8192, overhead=512, count=4)
    mixed = pack(fleet(small, large, nodes=(node(9100 * 3, 3000),)), factor("2"), Scoring.MOST_ALLOCATED)
    # they arrive as small, large, small, large, small, small
    assert mixed.node_of[1] != mixed.node_of[3]


def test_the_first_type_that_holds_an_executor_is_taken_until_it_is_used_up() -> None:
    offers = (node(50000), node(60000, limit=2), node(51200, limit=1))
    packing = pack(fleet(kind(4), nodes=offers), ONE, Scoring.LEAST_ALLOCATED)
    assert sorted(packing.allocatable_mib.tolist()) == [51200, 60000, 60000]
    assert packing.unplaced == 1
    assert packing.node_of[-1] == UNPLACED


def test_no_node_at_all() -> None:
    packing = pack(fleet(kind(2), nodes=(node(50000),)), ONE, Scoring.LEAST_ALLOCATED)
    assert (packing.nodes, packing.unplaced, packing.overcommits) == (0, 2, False)


@BOTH
def test_applications_that_do_not_burst_keep_their_request(scoring: Scoring) -> None:
    steady = fleet(kind(4, bursts=False), nodes=(node(100000),))
    assert pack(steady, factor("1.2"), scoring).nodes == pack(steady, ONE, scoring).nodes == 4


@BOTH
@settings(deadline=None, max_examples=40)
@given(
    heap=st.integers(512, 65536),
    overhead=st.integers(1, 32768),
    executors=st.integers(1, 60),
    millicores=st.integers(100, 8000),
    factors=st.lists(st.fractions(1, 3), min_size=2, max_size=2),
)
def test_alike_executors_never_need_more_nodes_with_a_larger_factor(
    scoring: Scoring, heap: int, overhead: int, executors: int, millicores: int, factors: list[Fraction]
) -> None:
    alike = fleet(
        kind(executors, heap=heap, overhead=overhead, millicores=millicores), nodes=(node(120000, 16000),)
    )
    small, large = sorted(factors)
    assert pack(alike, large, scoring).nodes <= pack(alike, small, scoring).nodes


def mixed_fleet(seed: int) -> Fleet:
    chance = random.Random(seed)
    kinds = [
        kind(
            chance.randint(1, 12),
            heap=chance.randrange(1024, 20480, 512),
            overhead=chance.randrange(384, 16384, 128),
            millicores=chance.choice([500, 1000, 2000, 4000]),
            count=chance.randint(1, 4),
            bursts=chance.random() < 0.8,
        )
        for _ in range(5)
    ]
    return fleet(*kinds, nodes=(node(60000, 12000, limit=chance.choice([3, None])), node(90000, 30000)))


@BOTH
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("burst", ["1", "1.15", "2"])
def test_no_node_is_given_more_than_it_has(scoring: Scoring, seed: int, burst: str) -> None:
    packing = pack(mixed_fleet(seed), factor(burst), scoring)
    assert packing.unplaced == 0
    requested = Counter[int]()
    for place, request in zip(packing.node_of.tolist(), packing.request_mib.tolist(), strict=True):
        requested[place] += request
    assert len(requested) == packing.nodes
    for place, total in requested.items():
        assert total <= packing.allocatable_mib[place]


@BOTH
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("burst", ["1", "1.15", "2"])
def test_scores_that_are_kept_are_those_of_a_scheduler_that_forgets(
    scoring: Scoring, seed: int, burst: str
) -> None:
    many = mixed_fleet(seed)
    many = replace(many, node_types=(replace(many.node_types[1], limit=None),))
    packing = pack(many, factor(burst), scoring)
    assert packing.node_of.tolist() == _forgetful(many, factor(burst), scoring)


def _forgetful(many: Fleet, burst: Fraction, scoring: Scoring) -> list[int]:
    """All scores anew for every executor, in plain Python; nodes numbered as they are used, lowest first."""
    (offer,) = many.node_types
    demands = [many.demand(each, burst) for each in many.kinds]
    nodes: list[list[tuple[int, Demand]]] = [[] for _ in range(_estimate(many, demands, offer))]
    placed: list[int] = []
    for application, index in enumerate(many.applications):
        for _ in range(many.kinds[index].executors):
            open_nodes = [n for n, pods in enumerate(nodes) if _holds(offer, pods, demands[index])]
            if not open_nodes:
                nodes.append([])
                open_nodes = [len(nodes) - 1]
            chosen = _best(nodes, open_nodes, application, demands[index], offer, scoring)
            nodes[chosen].append((application, demands[index]))
            placed.append(chosen)
    used = sorted(set(placed))
    return [used.index(each) for each in placed]


def _estimate(many: Fleet, demands: list[Demand], offer: NodeType) -> int:
    pods = [(d, k.count * k.executors) for d, k in zip(demands, many.kinds, strict=True)]
    pods.sort(
        key=lambda pod: pod[0].memory_mib / offer.memory_mib + pod[0].millicores / offer.millicores,
        reverse=True,
    )
    nodes: list[list[tuple[int, Demand]]] = []
    for demand, number in pods:
        for _ in range(number):
            first = next((each for each in nodes if _holds(offer, each, demand)), None)
            if first is None:
                nodes.append(first := [])
            first.append((0, demand))
    return len(nodes)


def _taken(pods: list[tuple[int, Demand]]) -> tuple[int, int]:
    return sum(d.memory_mib for _, d in pods), sum(d.millicores for _, d in pods)


def _holds(offer: NodeType, pods: list[tuple[int, Demand]], demand: Demand) -> bool:
    memory, cpu = _taken(pods)
    return (
        memory + demand.memory_mib <= offer.memory_mib
        and cpu + demand.millicores <= offer.millicores
        and len(pods) < offer.max_pods
    )


def _best(
    nodes: list[list[tuple[int, Demand]]],
    open_nodes: list[int],
    application: int,
    demand: Demand,
    offer: NodeType,
    scoring: Scoring,
) -> int:
    raw = {
        n: round(sum(a == application for a, _ in nodes[n]) * math.log(len(open_nodes) + 2))
        for n in open_nodes
    }
    large = {n: sum(d.avoids_large for _, d in nodes[n]) for n in open_nodes}

    def score(n: int) -> int:
        memory, cpu = _taken(nodes[n])
        parts = []
        for taken, all_there_is in (
            (memory + demand.memory_mib, offer.memory_mib),
            (cpu + demand.millicores, offer.millicores),
        ):
            counts = taken if scoring is Scoring.MOST_ALLOCATED else all_there_is - taken
            parts.append(counts * 100 // all_there_is)
        total = sum(parts) // 2
        if demand.spread:
            most, least = max(raw.values()), min(raw.values())
            total += 2 * (100 * (most + least - raw[n]) // most if most else 100)
        if demand.avoids_large:
            most, least = max(large.values()), min(large.values())
            total += 2 * (100 * (most - large[n]) // (most - least)) if most > least else 0
        return total

    return max(open_nodes, key=lambda n: (score(n), -n))
