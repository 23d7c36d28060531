"""Executors that are gone, as remembered on the driver pod; only then may their pods be deleted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_spark_k8s.core.labels import PREFIX

ANNOTATION_EXECUTORS = PREFIX + "executors-ended"

MAX_ENTRIES = 300
"""Executors remembered one by one; of older ones only the count is kept. An annotation has little room."""

MAX_REASON_LENGTH = 160


@dataclass(frozen=True, slots=True)
class EndedExecutor:
    """One executor that is gone or that a controller has decided to remove."""

    executor_id: int
    state: str  # succeeded, failed or deleted
    reason: str  # empty: nothing out of the ordinary
    at_epoch_seconds: float  # when a controller noticed
    exit_code: int | None = None
    node: str | None = None
    start_failure: bool = False  # ended before it was of any use, by its own fault
    too_early: bool = False  # ended at once while nobody could know whether the driver listened


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a driver's executors."""

    entries: Mapping[int, EndedExecutor] = field(default_factory=dict)  # by id
    forgotten: Mapping[str, int] = field(default_factory=dict)  # state -> executors that had to make room

    def with_ended(self, ended: Iterable[EndedExecutor]) -> History:
        """This history and `ended`; what already stands here stays as it is."""
        entries = {**{entry.executor_id: entry for entry in ended}, **self.entries}
        kept = sorted(entries.values(), key=lambda entry: (entry.at_epoch_seconds, entry.executor_id))
        surplus, kept = kept[:-MAX_ENTRIES], kept[-MAX_ENTRIES:]
        forgotten = dict(self.forgotten)
        for entry in surplus:
            forgotten[entry.state] = forgotten.get(entry.state, 0) + 1
        return History({entry.executor_id: entry for entry in kept}, forgotten)

    def annotation(self) -> dict[str, str]:
        """The driver pod's annotation that `history` reads."""
        rows = [_row(entry) for entry in self.entries.values()]
        return {ANNOTATION_EXECUTORS: json.dumps({"ended": rows, "forgotten": dict(self.forgotten)})}


def history(annotation: str | None) -> History:
    """The history in an annotation of a driver pod; an empty one if there is none or it is damaged."""
    try:
        values = json.loads(annotation or "{}")
        entries = [_entry(row) for row in values.get("ended", ())]
        forgotten = {str(state): int(count) for state, count in values.get("forgotten", {}).items()}
    except (ValueError, TypeError, AttributeError, KeyError):
        return History()
    return History({entry.executor_id: entry for entry in entries}, forgotten)


def _row(entry: EndedExecutor) -> dict[str, Any]:
    row = {
        "id": entry.executor_id,
        "state": entry.state,
        "reason": entry.reason[:MAX_REASON_LENGTH],
        "at": round(entry.at_epoch_seconds, 1),
        "exit": entry.exit_code,
        "node": entry.node,
        "start": entry.start_failure,
        "early": entry.too_early,
    }
    return {
        key: value for key, value in row.items() if value is not None and value != "" and value is not False
    }


def _entry(row: Mapping[str, Any]) -> EndedExecutor:
    return EndedExecutor(
        executor_id=int(row["id"]),
        state=str(row["state"]),
        reason=str(row.get("reason", "")),
        at_epoch_seconds=float(row["at"]),
        exit_code=row.get("exit"),
        node=row.get("node"),
        start_failure=bool(row.get("start")),
        too_early=bool(row.get("early")),
    )
