"""Pods of a paper cluster live as pods of a real one: the same states in the same order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_runtime import PaperScript
from airflow_spark_k8s.local.resources import NAMESPACES, PODS
from tests.integration.lifecycles import digest, recorded, steps_of, surplus, without_repeats

CASES = recorded("pod_lifecycles.jsonl")
PULL_ERROR = (
    'failed to pull and unpack image "localhost/nope:1": failed to resolve image: failed to do request: Head '
    '"https://localhost/v2/nope/manifests/1": dial tcp 127.0.0.1:443: connect: connection refused'
)
START_ERROR = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
    'failed: unable to start container process: error during container init: exec: "/nope": stat /nope: no '
    "such file or directory"
)
NEVER_PULL = 'Container image "localhost/nope:1" is not present with pull policy of Never'


def delete(cluster: PaperCluster, **options: int) -> None:
    for pod in cluster.pods("golden"):
        cluster.store.delete(PODS, "golden", pod["metadata"]["name"], **options)


def evict(cluster: PaperCluster) -> None:
    for pod in cluster.pods("golden"):
        cluster.evict(pod)


ENDLESS = PaperScript()


@dataclass(frozen=True)
class Play:
    """What happens in a case on the paper cluster."""

    script: PaperScript = ENDLESS
    then: Callable[[PaperCluster], None] = lambda cluster: None
    surplus: int = 0  # states that the recording has merged into the next one


PLAYS = {
    "exit 0": Play(PaperScript(run_seconds=1)),
    "exit 3": Play(PaperScript(run_seconds=1, exit_code=3)),
    "killed by the kernel for memory": Play(PaperScript(run_seconds=1, exit_code=137, reason="OOMKilled")),
    "a child is killed for memory, the container lives on and ends 0": Play(
        PaperScript(run_seconds=1, reason="OOMKilled")
    ),
    "a child is killed for memory, the container ends 1": Play(
        PaperScript(run_seconds=1, exit_code=1, reason="OOMKilled"), surplus=1
    ),
    "image not there (pull policy Never)": Play(
        PaperScript(pull_error=NEVER_PULL, pull_reason="ErrImageNeverPull")
    ),
    "image pull fails": Play(PaperScript(pull_error=PULL_ERROR), surplus=1),
    "command not found": Play(PaperScript(start_error=START_ERROR)),
    "missing config map in env": Play(surplus=1),
    "missing secret volume": Play(),
    "unschedulable: too large": Play(),
    "graceful delete, SIGTERM handled": Play(PaperScript(term_seconds=1, term_exit_code=0), delete),
    "graceful delete, SIGTERM ignored": Play(PaperScript(term_seconds=None), delete),
    "force delete of a running pod": Play(then=lambda cluster: delete(cluster, grace_seconds=0)),
    "delete of an unscheduled pod": Play(then=delete),
    "eviction of a running pod": Play(then=evict),
    "preStop hook runs inside the grace period": Play(
        PaperScript(pre_stop_seconds=3, term_exit_code=0), delete
    ),
}


def golden_cluster() -> PaperCluster:
    """One node with room, five that pods do not tolerate, as where the contract was recorded."""
    taint = {"key": "reserved", "effect": "NoSchedule"}
    tainted = [NodeOffer(name=f"reserved-{index}", taints=(taint,)) for index in range(5)]
    cluster = PaperCluster(nodes=[NodeOffer(name="node-1"), *tainted])
    cluster.store.create(NAMESPACES, {"metadata": {"name": "golden"}})
    return cluster


def test_every_recorded_lifecycle_is_played() -> None:
    assert PLAYS.keys() == CASES.keys()


@pytest.mark.parametrize("name", PLAYS)
def test_pod_lives_as_recorded(name: str) -> None:
    case, play = CASES[name], PLAYS[name]
    cluster = golden_cluster()
    seen = []
    cluster.store.subscribe(
        lambda event: seen.append((event.type, digest(event.object))) if event.resource is PODS else None
    )
    cluster.runtime.script(play.script)
    pod = {**case["create"], "metadata": {**case["create"]["metadata"], "namespace": "golden"}}

    cluster.store.create(PODS, pod)
    cluster.advance(3)
    play.then(cluster)
    cluster.advance(30)

    assert surplus(steps_of(case["pods"]), without_repeats(seen)) == play.surplus, seen
