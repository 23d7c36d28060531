"""What goes wrong in the cluster: pods that are removed, nodes that fail, limits that are reached."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.disruption import disrupt
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.manifests import key_of
from airflow_spark_k8s.local.resources import JOBS, NAMESPACES, NODES, PODS, RESOURCE_QUOTAS
from airflow_spark_k8s.local.simulation.scenario import Mishap, Planned
from airflow_spark_k8s.local.simulation.stage import NAMESPACE, Stage

_PREEMPTED = ("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod")
_ENFORCE = "pod-security.kubernetes.io/enforce"


async def befall(stage: Stage, planned: Planned) -> None:
    """Let a mishap happen when it is due, and end it before the calm begins."""
    await asyncio.sleep(planned.at)
    chance = random.Random(planned.dice)  # noqa: S311 (it has to be repeatable)
    mishap = planned.mishap
    if mishap in _OF_PODS:
        _to_pod(stage, mishap, chance)
        return
    if mishap in _OF_NODES and not stage.cluster.kubelets:
        return  # every machine has died already
    stage.trace.count(mishap.value)
    stage.trace.say("mishap", mishap.value)
    seconds = min(planned.seconds, stage.scenario.calm_at - stage.now)
    await _LASTING[mishap](stage, seconds, chance)


# what happens to one pod


def _to_pod(stage: Stage, mishap: Mishap, chance: random.Random) -> None:
    role, strike = _OF_PODS[mishap]
    pods = stage.live_pods(role)
    if not pods:
        return
    pod = chance.choice(pods)
    stage.trace.say("mishap", f"{mishap.value}: {pod['metadata']['name']}")
    try:
        strike(stage, pod, chance)
    except LookupError:
        return  # its container does not run, or cannot be reached
    stage.trace.count(mishap.value)


def _evict(stage: Stage, pod: Manifest, _: random.Random) -> None:
    stage.cluster.evict(pod)


def _press(stage: Stage, pod: Manifest, _: random.Random) -> None:
    if "nodeName" in pod["spec"] and pod["spec"]["nodeName"] in stage.cluster.kubelets:
        stage.cluster.press(pod)


def _preempt(stage: Stage, pod: Manifest, _: random.Random) -> None:
    disrupt(stage.cluster.store, pod, _PREEMPTED)


def _delete(stage: Stage, pod: Manifest, _: random.Random) -> None:
    stage.cluster.store.delete(PODS, *key_of(pod), uid=pod["metadata"]["uid"])


def _delete_job(stage: Stage, pod: Manifest, _: random.Random) -> None:
    owner = pod["metadata"]["ownerReferences"][0]
    if stage.cluster.store.peek(JOBS, NAMESPACE, owner["name"]) is not None:
        stage.cluster.store.delete(JOBS, NAMESPACE, owner["name"], propagation="Background")


def _kill_for_memory(stage: Stage, pod: Manifest, _: random.Random) -> None:
    stage.cluster.runtime.kill(pod, reason="OOMKilled")


def _crash(stage: Stage, pod: Manifest, chance: random.Random) -> None:
    stage.cluster.runtime.end(pod, chance.choice([1, 1, 50, 52, 134, 143]))


_Strike = Callable[[Stage, Manifest, random.Random], None]
_OF_PODS: dict[Mishap, tuple[str, _Strike]] = {
    Mishap.EVICT_DRIVER: ("driver", _evict),
    Mishap.EVICT_EXECUTOR: ("executor", _evict),
    Mishap.PRESS_DRIVER: ("driver", _press),
    Mishap.PRESS_EXECUTOR: ("executor", _press),
    Mishap.PREEMPT_DRIVER: ("driver", _preempt),
    Mishap.PREEMPT_EXECUTOR: ("executor", _preempt),
    Mishap.DELETE_DRIVER: ("driver", _delete),
    Mishap.DELETE_EXECUTOR: ("executor", _delete),
    Mishap.DELETE_JOB: ("driver", _delete_job),
    Mishap.DRIVER_OOM: ("driver", _kill_for_memory),
    Mishap.EXECUTOR_OOM: ("executor", _kill_for_memory),
    Mishap.DRIVER_CRASH: ("driver", _crash),
    Mishap.EXECUTOR_CRASH: ("executor", _crash),
}


# what lasts


async def _silence(stage: Stage, seconds: float, chance: random.Random) -> None:
    node = _some_node(stage, chance)
    stage.cluster.silence(node)
    await asyncio.sleep(seconds)
    if node in stage.cluster.kubelets:
        stage.cluster.revive(node)


async def _lose(stage: Stage, seconds: float, chance: random.Random) -> None:
    """A machine dies; its node object is removed later, and another machine comes."""
    node = _some_node(stage, chance)
    stage.cluster.kubelets.pop(node).stop()
    await asyncio.sleep(seconds)
    try:
        stage.cluster.store.delete(NODES, None, node)
    except ApiError:
        return  # drained away meanwhile
    stage.cluster.add_node(NodeOffer(name=f"{node}-again"))


async def _drain(stage: Stage, seconds: float, chance: random.Random) -> None:
    node = _some_node(stage, chance)
    stage.cluster.drain(node)
    await asyncio.sleep(seconds)

    def uncordon(stored: Manifest) -> None:
        stored["spec"].pop("unschedulable", None)
        left = [each for each in stored["spec"].get("taints") or () if "unschedulable" not in each["key"]]
        stored["spec"]["taints"] = left

    if stage.cluster.store.peek(NODES, None, node) is not None:
        stage.cluster.store.edit(NODES, None, node, uncordon)


_OF_NODES = (Mishap.SILENT_NODE, Mishap.LOST_NODE, Mishap.DRAINED_NODE)


def _some_node(stage: Stage, chance: random.Random) -> str:
    return chance.choice(sorted(stage.cluster.kubelets))


async def _exhaust(stage: Stage, seconds: float, chance: random.Random) -> None:
    name = f"quota-{chance.getrandbits(32)}"
    quota = {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"hard": {"pods": chance.choice("013")}},
    }
    stage.cluster.store.create(RESOURCE_QUOTAS, quota)
    await asyncio.sleep(seconds)
    stage.cluster.store.delete(RESOURCE_QUOTAS, NAMESPACE, name)


async def _break_registry(stage: Stage, seconds: float, chance: random.Random) -> None:
    role = chance.choice(["driver", "executor"])
    runtime, labels = stage.cluster.runtime, {"spark-role": role}
    runtime.script(stage.spark.script(role, pull_error="registry: 503 Service Unavailable"), labels=labels)
    await asyncio.sleep(seconds)
    runtime.script(stage.spark.script(role), labels=labels)


async def _refuse(stage: Stage, seconds: float, _: random.Random) -> None:
    """Admission refuses every pod."""

    def label(stored: Manifest) -> None:
        stored["metadata"]["labels"] = {**(stored["metadata"].get("labels") or {}), _ENFORCE: "restricted"}

    def unlabel(stored: Manifest) -> None:
        stored["metadata"]["labels"].pop(_ENFORCE, None)

    stage.cluster.store.edit(NAMESPACES, None, NAMESPACE, label)
    await asyncio.sleep(seconds)
    stage.cluster.store.edit(NAMESPACES, None, NAMESPACE, unlabel)


async def _jump(stage: Stage, _: float, chance: random.Random) -> None:
    living = [process for process in stage.processes if process.alive]
    if living:
        seconds = chance.choice([-3600.0, -30.0, 3.0, 20.0, 90.0, 3600.0])
        process = chance.choice(living)
        stage.trace.say("mishap", f"clock of {process.name} jumps by {seconds:g} s")
        process.clock.jump(seconds)


async def _rotate(stage: Stage, seconds: float, _: random.Random) -> None:
    stage.gate.demanded += 1
    await asyncio.sleep(seconds)
    stage.gate.given_out += 1


async def _cut(stage: Stage, _: float, __: random.Random) -> None:
    for wire in stage.wires:
        wire.cut_watches()


_LASTING: dict[Mishap, Callable[[Stage, float, random.Random], Awaitable[Any]]] = {
    Mishap.SILENT_NODE: _silence,
    Mishap.LOST_NODE: _lose,
    Mishap.DRAINED_NODE: _drain,
    Mishap.QUOTA: _exhaust,
    Mishap.IMAGE_PULL: _break_registry,
    Mishap.ADMISSION: _refuse,
    Mishap.CLOCK_JUMP: _jump,
    Mishap.ROTATION: _rotate,
    Mishap.WATCHES_CUT: _cut,
}
