"""The last words of executors that failed, shown before their pods are deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_spark_k8s.core.actions import Action, ShowExecutorLog
from airflow_spark_k8s.core.fleet import Fleet
from airflow_spark_k8s.core.history import EndedExecutor
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.size import MEMORY_KINDS
from airflow_spark_k8s.core.state import Scene

MAX_PER_MINUTE = 5
"""Executors often fail for the same reason, all at once: a few of them tell it."""

_MINUTE_SECONDS = 60.0
_WITH_LAST_WORDS = MEMORY_KINDS | {EndKind.ERROR}


def logs(scene: Scene, fleet: Fleet, ended: Iterable[EndedExecutor]) -> tuple[ShowExecutorLog, ...]:
    """The logs to show of executors that ended just now: each once, a few a minute."""
    shown = scene.state.shown
    lately = sum(at > scene.now - _MINUTE_SECONDS for at in shown.values())
    wanted = [
        fleet.pods[entry.executor_id]
        for entry in ended
        if entry.kind in _WITH_LAST_WORDS and not entry.too_early and entry.executor_id in fleet.pods
    ]
    news = [ShowExecutorLog(pod.name, pod.uid) for pod in wanted if pod.uid not in shown]
    return tuple(news[: max(MAX_PER_MINUTE - lately, 0)])


def shown_after(scene: Scene, actions: Iterable[Action]) -> Mapping[str, float]:
    """Uids of pods whose logs were shown -> when, with those of `actions`, without what is long over."""
    there = {pod.uid for pod in scene.observed.executors}
    kept = {
        uid: at for uid, at in scene.state.shown.items() if uid in there or at > scene.now - _MINUTE_SECONDS
    }
    return kept | {action.pod_uid: scene.now for action in actions if isinstance(action, ShowExecutorLog)}
