"""Names of Airflow that are not part of its task SDK; the only file to change when a version moves them."""

from __future__ import annotations

from airflow.triggers.base import BaseTrigger, TriggerEvent

__all__ = ["BaseTrigger", "TriggerEvent"]
