"""How likely it is that a node runs out of memory: overlapping peaks of its executors, drawn by chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airflow_spark_k8s.packing.model import Fleet, Range
from airflow_spark_k8s.packing.scheduler import UNPLACED, Packing
from airflow_spark_k8s.packing.scores import Integers

Amounts = npt.NDArray[np.int32]  # MiB; a node of 2 PiB is out of reach

_Z = 1.959964  # two-sided 95 %
_NOBODY = -(2**60)  # MiB above the request on an empty seat
_MOMENTS_AT_ONCE = 256
_EVICTIONS_AT_ONCE = 1000
"""How many overfull nodes of one such chunk are looked at pod by pod: more cost time and add no precision."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A probability and the bounds between which it is with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Risk:
    """What happens at a moment drawn by chance."""

    node: Estimate  # that one node, drawn by chance, runs out of memory
    any_node: Estimate  # that at least one node does
    worst_node: float  # share of the moments at which the node that suffers most does
    evicted_executors: float  # expected number on all nodes together


_NEVER = Estimate(0.0, 0.0, 0.0)


def simulate(fleet: Fleet, packings: Sequence[Packing], *, moments: int, seed: int) -> list[Risk]:
    """
    The risk of each packing; all of them see the same peaks, so that their differences are not chance.

    :param moments: how many independent moments are drawn.
    :param seed: of the random numbers; the same seed gives the same result.
    """
    tallies = [_Tally(packing) for packing in packings]
    for use in _draw(fleet, moments, np.random.default_rng(seed)):
        for tally in tallies:
            tally.count(use)
    return [tally.risk() for tally in tallies]


def wilson(share: float, draws: float) -> Estimate:
    """
    A share of `draws` independent draws with its 95 % interval, which is right for rare events, too.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927
    """
    weight = 1 + _Z**2 / draws
    center = (share + _Z**2 / (2 * draws)) / weight
    half = _Z / weight * math.sqrt(share * (1 - share) / draws + _Z**2 / (4 * draws**2))
    return Estimate(share, max(0.0, min(share, center - half)), min(1.0, max(share, center + half)))


class _Tally:
    """What one packing has seen so far."""

    def __init__(self, packing: Packing) -> None:
        order = np.argsort(packing.node_of, kind="stable")
        self._order = order[np.count_nonzero(packing.node_of == UNPLACED) :]
        nodes = packing.node_of[self._order]
        self._starts = np.searchsorted(nodes, np.arange(packing.nodes))
        self._sizes = np.diff(self._starts, append=len(nodes))
        self._request = packing.request_mib[self._order]
        self._allocatable = packing.allocatable_mib
        self._safe = not packing.overcommits
        self._overfull_at: list[Integers] = []  # how many nodes are, at each moment
        self._overfull_of = np.zeros(packing.nodes, dtype=np.int64)  # at how many moments each node is
        self._evicted = 0.0

    def count(self, use: Amounts) -> None:
        """Take in the use of each executor (rows) at some moments (columns)."""
        if self._safe:
            return
        mine = use[self._order]
        sums = np.add.reduceat(mine, self._starts, axis=0, dtype=np.int32)
        overfull = sums > self._allocatable[:, None]
        self._overfull_at.append(np.count_nonzero(overfull, axis=0))
        of_node = np.count_nonzero(overfull, axis=1)
        self._overfull_of += of_node
        if of_node.any():
            self._evicted += self._evictions(mine, sums, overfull)

    def risk(self) -> Risk:
        """The estimates from everything taken in; exactly nothing where all limits fit on their nodes."""
        if self._safe:
            return Risk(_NEVER, _NEVER, 0.0, 0.0)
        at = np.concatenate(self._overfull_at)
        moments, nodes = len(at), len(self._starts)
        share_of_nodes = at / nodes
        share = float(share_of_nodes.mean())
        return Risk(
            node=wilson(share, _independent_draws(share, float(share_of_nodes.var()), moments, nodes)),
            any_node=wilson(float((at > 0).mean()), moments),
            worst_node=float(self._overfull_of.max()) / moments,
            evicted_executors=self._evicted / moments,
        )

    def _evictions(self, mine: Amounts, sums: Amounts, overfull: npt.NDArray[np.bool_]) -> float:
        """
        Executors that go until every overfull node has room again: first those furthest above their request.

        Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
        """
        node, moment = np.nonzero(overfull)
        step = math.ceil(len(node) / _EVICTIONS_AT_ONCE)
        looked_at = slice(None, None, step)
        found, node, moment = len(node), node[looked_at], moment[looked_at]
        seat = np.arange(int(self._sizes.max()))
        taken = seat < self._sizes[node][:, None]
        executor = np.where(taken, self._starts[node][:, None] + seat, 0)
        use = np.where(taken, mine[executor, moment[:, None]], 0)
        above = np.where(taken, use - self._request[executor], _NOBODY)
        ranked = np.take_along_axis(use, np.argsort(-above, axis=1, kind="stable"), axis=1)
        excess = sums[node, moment].astype(np.int64) - self._allocatable[node]
        evicted = np.count_nonzero(np.cumsum(ranked, axis=1) < excess[:, None], axis=1) + 1
        return float(evicted.mean()) * found


def _draw(fleet: Fleet, moments: int, random: np.random.Generator) -> Iterator[Amounts]:
    """Chunks of moments: what each executor (rows, in order of arrival) uses at each of them (columns)."""
    applications = fleet.applications
    application_of = np.repeat(
        np.arange(len(applications)), [fleet.kinds[kind].executors for kind in applications]
    )
    kind_of = np.asarray(applications)[application_of]
    duty = _column([kind.usage.duty for kind in fleet.kinds])
    # Two executors that each do what their application does with chance p have the correlation p * p.
    follows = _column([math.sqrt(kind.usage.correlation) for kind in fleet.kinds])[kind_of]
    alone = follows + (1 - follows) * duty[kind_of]
    for first in range(0, moments, _MOMENTS_AT_ONCE):
        columns = min(_MOMENTS_AT_ONCE, moments - first)
        common = random.random((len(applications), columns), dtype=np.float32)
        together = (common < duty[list(applications)])[application_of]
        # One number says both whether an executor follows and, if it does not, whether it peaks.
        own = random.random((len(kind_of), columns), dtype=np.float32)
        yield _use(fleet, kind_of, np.where(own < follows, together, own < alone), random)


@dataclass(frozen=True, slots=True)
class _Levels:
    """Memory in use in one state, in MiB: `low` and up to `width` more; a row for each application kind."""

    low: Amounts
    width: npt.NDArray[np.float32]

    @classmethod
    def of(cls, fleet: Fleet, shares: Sequence[Range]) -> _Levels:
        """What the shares of the kinds' pools come to, with all other memory in full use."""
        pools = [fleet.shared_pool_mib(kind) for kind in fleet.kinds]
        low = [math.ceil(share.low * pool) for share, pool in zip(shares, pools, strict=True)]
        high = [math.ceil(share.high * pool) for share, pool in zip(shares, pools, strict=True)]
        rest = [kind.memory.total_mib - pool for kind, pool in zip(fleet.kinds, pools, strict=True)]
        return cls(
            (np.array(rest, dtype=np.int32) + np.array(low, dtype=np.int32))[:, None],
            _column(np.subtract(high, low)),
        )


def _use(
    fleet: Fleet, kind_of: Integers, peaks: npt.NDArray[np.bool_], random: np.random.Generator
) -> Amounts:
    idle = _Levels.of(fleet, [kind.usage.idle for kind in fleet.kinds])
    peak = _Levels.of(fleet, [kind.usage.peak for kind in fleet.kinds])
    used: Amounts = np.where(peaks, peak.low[kind_of], idle.low[kind_of])
    if idle.width.any() or peak.width.any():
        width = np.where(peaks, peak.width[kind_of], idle.width[kind_of])
        used += np.rint(random.random(peaks.shape, dtype=np.float32) * width).astype(np.int32)
    return used


def _column(values: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)[:, None]


def _independent_draws(share: float, variance: float, moments: int, nodes: int) -> float:
    """
    How many independent draws tell as much as all nodes at all moments do.

    Nodes are not independent of each other where one application peaks on many of them: between one draw for
    each moment and one for each node at each moment, the spread between moments decides.
    """
    if not variance:
        return float(moments)
    return min(max(share * (1 - share) / variance * moments, moments), moments * nodes)
