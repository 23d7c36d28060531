"""The scores that plugins of kube-scheduler give a node, as whole numbers like theirs."""

from __future__ import annotations

import math
from enum import Enum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Number = TypeVar("Number", int, Integers)

SPREAD_WEIGHT = 2
"""Of PodTopologySpread and, the same, of InterPodAffinity, where NodeResourcesFit has 1."""

_MAX = 100


class Scoring(Enum):
    """Scoring strategy of the plugin NodeResourcesFit; cpu and memory count the same."""

    LEAST_ALLOCATED = "least-allocated"  # Kubernetes' default: the emptiest node
    MOST_ALLOCATED = "most-allocated"  # the fullest node, in clusters that are to be small


def fit(requested: Number, allocatable: Number, scoring: Scoring) -> Number:
    """
    Score of one resource, `requested` being what is taken with the executor that is to be placed.

    Source: k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources/{least,most}_allocated.go
    """
    counts = requested if scoring is Scoring.MOST_ALLOCATED else allocatable - requested
    return counts * _MAX // allocatable


def spread_by_count(least: int, most: int, nodes: int, length: int) -> Integers:
    """
    Score of nodes by how many executors of the application they have, for 0 to `length` - 1 of them.

    :param least: the smallest number that a node with room has; `most`: the largest.
    :param nodes: how many nodes have room.

    Source: k8s.io/kubernetes/pkg/scheduler/framework/plugins/podtopologyspread/scoring.go, for one constraint
    on kubernetes.io/hostname with maxSkew 1
    """
    raw = np.rint(np.arange(length) * math.log(nodes + 2)).astype(np.int64)
    if not raw[most]:
        return np.full(length, _MAX, dtype=np.int64)
    by_count: Integers = _MAX * (raw[most] + raw[least] - raw) // raw[most]
    return by_count


def avoidance_by_count(least: int, most: int, length: int) -> Integers:
    """
    Score of nodes by how many executors that are to be avoided they have, for 0 to `length` - 1 of them.

    :param least: the smallest number that a node with room has; `most`: the largest.

    Source: k8s.io/kubernetes/pkg/scheduler/framework/plugins/interpodaffinity/scoring.go
    """
    if least == most:
        return np.zeros(length, dtype=np.int64)
    return _MAX * (most - np.arange(length)) // (most - least)
