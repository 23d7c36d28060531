"""When an application could not be watched for so long that its task does not wait any longer."""

from __future__ import annotations

from airflow_spark_k8s.core.closing import known_outcome
from airflow_spark_k8s.core.outcome import Verdict
from airflow_spark_k8s.core.state import Key, Scene
from airflow_spark_k8s.core.verdict import Judgement

BLIND: Key = ("blind",)
"""The condition that Job or pods cannot be watched."""


def sight_lost(scene: Scene) -> Judgement | None:
    """
    The verdict that the cluster could not be watched for too long; None as long as the task waits.

    It is no statement about the application, which is left alone: a later try can adopt it.
    """
    patience, why = scene.desired.patience_seconds, scene.observed.blind
    if patience is None or why is None or scene.age(*BLIND) < patience or known_outcome(scene) is not None:
        return None
    text = (
        f"the application could not be watched for {patience:g} s: {why}; it was left alone and may still run"
    )
    return Judgement(Verdict.SIGHT_LOST, text, scene.observed.driver)


def sight_due(scene: Scene) -> float | None:
    """When `sight_lost` may say something although nothing happens."""
    patience = scene.desired.patience_seconds
    return None if patience is None or BLIND not in scene.since else scene.due(patience, *BLIND)
