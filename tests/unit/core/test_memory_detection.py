"""What the end of an executor says about memory: phase, reason, exit code and who took the pod away."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from airflow_spark_k8s.core.pod_state import EndKind, Failed, Succeeded, pod_state
from tests.fakes.objects import EXECUTOR, pod, status, terminated

PHASES = ("Pending", "Running", "Succeeded", "Failed")

REMOVERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nobody": ({}, {}),
    "somebody who deleted it": ({}, {"deleting": 30}),
    "the eviction API": ({"conditions": {"DisruptionTarget": "EvictionByEvictionAPI"}}, {"deleting": 30}),
    "the scheduler": ({"conditions": {"DisruptionTarget": "PreemptionByScheduler"}}, {"deleting": 0}),
    "a taint": ({"conditions": {"DisruptionTarget": "DeletionByTaintManager"}}, {"deleting": 30}),
    "its kubelet": ({"conditions": {"DisruptionTarget": "TerminationByKubelet"}, "reason": "Evicted"}, {}),
    "an older kubelet": ({"reason": "Evicted"}, {}),
    "a node that shut down": ({"reason": "Terminated"}, {}),
    "the garbage collector of pods": ({"conditions": {"DisruptionTarget": "DeletionByPodGC"}}, {}),
}
TAKEN_AWAY = REMOVERS.keys() - {"nobody", "somebody who deleted it"}

OOM, HEAP, MAYBE = EndKind.OUT_OF_MEMORY, EndKind.HEAP_EXHAUSTED, EndKind.MAYBE_OUT_OF_MEMORY
ERROR, GONE, TAKEN, DONE = EndKind.ERROR, EndKind.DELETED, EndKind.DISRUPTED, EndKind.COMPLETED
NEVER = EndKind.NEVER_STARTED

# reason and exit code of the container -> what it is if nobody took it away, somebody did, the cluster did
MEANINGS: dict[tuple[str, int], tuple[EndKind, EndKind, EndKind]] = {
    ("OOMKilled", 137): (OOM, OOM, OOM),
    ("OOMKilled", 143): (OOM, OOM, OOM),
    ("OOMKilled", 52): (OOM, OOM, OOM),
    ("OOMKilled", 1): (OOM, OOM, OOM),
    ("OOMKilled", 0): (OOM, OOM, OOM),
    ("Error", 52): (HEAP, HEAP, HEAP),
    ("Error", 137): (MAYBE, GONE, TAKEN),
    ("", 137): (MAYBE, GONE, TAKEN),
    ("Error", 143): (ERROR, GONE, TAKEN),
    ("Error", 1): (ERROR, GONE, TAKEN),
    ("Error", 56): (ERROR, GONE, TAKEN),
    ("Completed", 0): (DONE, DONE, DONE),
    ("ContainerStatusUnknown", 137): (TAKEN, TAKEN, TAKEN),
    ("StartError", 128): (NEVER, GONE, TAKEN),
    ("ContainerCannotRun", 137): (NEVER, GONE, TAKEN),
}

CASES = {
    f"{phase}, {reason or 'no reason'}, exit {code}, taken away by {remover}": (phase, reason, code, remover)
    for phase, (reason, code), remover in itertools.product(PHASES, MEANINGS, REMOVERS)
}


@pytest.mark.parametrize(("phase", "reason", "code", "remover"), CASES.values(), ids=CASES.keys())
def test_every_end_of_an_executor(phase: str, reason: str, code: int, remover: str) -> None:
    fields, parts = REMOVERS[remover]
    ended = terminated(code)
    ended["terminated"]["reason"] = reason
    state = pod_state(pod("p", status=status(phase, EXECUTOR, ended, **fields), **parts), EXECUTOR)
    assert isinstance(state, Succeeded | Failed)
    alone, deleted, taken = MEANINGS[reason, code]
    expected = alone if remover == "nobody" else taken if remover in TAKEN_AWAY else deleted
    assert state.ending.kind is expected
    assert state.ending.exit_code == code


@pytest.mark.parametrize("remover", REMOVERS)
@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_without_a_status_of_its_container_never_counts_as_out_of_memory(
    phase: str, remover: str
) -> None:
    fields, parts = REMOVERS[remover]
    message = "Container spark-kubernetes-executor was OOMKilled, exit code 137"
    given = status(phase, EXECUTOR, None, **fields) | {"message": message}
    state = pod_state(pod("p", status=given, **parts), EXECUTOR)
    assert isinstance(state, Succeeded | Failed)
    assert state.ending.kind in (DONE, GONE, TAKEN)


def test_the_end_of_another_container_says_nothing_about_the_executor() -> None:
    sidecar = status("Running", "sidecar", terminated(137, "OOMKilled"))
    assert not isinstance(pod_state(pod("p", status=sidecar), EXECUTOR), Failed)


def test_the_words_of_a_termination_message_are_not_read() -> None:
    told = terminated(1, message="java.lang.OutOfMemoryError: Java heap space, OOMKilled, exit code 137")
    state = pod_state(pod("p", status=status("Failed", EXECUTOR, told)), EXECUTOR)
    assert isinstance(state, Failed)
    assert state.ending.kind is ERROR
