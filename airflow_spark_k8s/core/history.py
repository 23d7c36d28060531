"""Executors that are gone, as remembered on the driver pod; only then may their pods be deleted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.labels import PREFIX
from airflow_spark_k8s.core.memory_groups import Tally, group_name, tally
from airflow_spark_k8s.core.pod_state import EndKind
from airflow_spark_k8s.core.size import MEMORY_KINDS, Size, size_from

ANNOTATION_EXECUTORS = PREFIX + "executors-ended"

MAX_ENTRIES = 300
"""Executors remembered one by one; of older ones only the count is kept. An annotation has little room."""

MAX_REASON_LENGTH = 160

_MAX_REASON_JSON_LENGTH = 2 * MAX_REASON_LENGTH


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
    kind: str = ""  # a value of EndKind; empty: nobody saw how it ended
    disruption: str | None = None  # why the cluster took it away; None: it did not
    peak_memory_mib: int | None = None  # None: the driver had not told any yet
    size: Size | None = None  # what it had to work with; None: what the task says
    stages: tuple[int, ...] = ()  # one of them is to blame, if it ran out of memory; empty: not known

    def yields_to(self, other: EndedExecutor) -> bool:
        """Whether `other` knows better how the executor ended."""
        if self.kind == EndKind.DRAINED:
            return other.kind in MEMORY_KINDS
        if self.kind == EndKind.MAYBE_OUT_OF_MEMORY:
            return other.kind in (EndKind.OUT_OF_MEMORY, EndKind.HEAP_EXHAUSTED)
        return self.kind == "" and other.kind != ""


@dataclass(frozen=True, slots=True)
class ForgottenLosses:
    """Executors that ran out of memory and had to make room."""

    size: Size | None  # None: what the task says
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a driver's executors."""

    entries: Mapping[int, EndedExecutor] = field(default_factory=dict)  # by id
    forgotten: Mapping[str, int] = field(default_factory=dict)  # state -> executors that had to make room
    forgotten_groups: Mapping[str, Tally] = field(default_factory=dict)  # the same by memory group
    forgotten_losses: tuple[ForgottenLosses, ...] = ()  # those of them that ran out of memory

    def with_ended(self, ended: Iterable[EndedExecutor], rollout: Rollout | None = None) -> History:
        """
        This history and `ended`; what already stands here stays as it is, unless nobody saw how it ended.

        :param rollout: which executors burst; None if none does.
        """
        entries = {entry.executor_id: entry for entry in ended}
        for number, known in self.entries.items():
            if number not in entries or not known.yields_to(entries[number]):
                entries[number] = known
        # What replaces executors that ran out of memory depends on every one of them: they go last.
        kept = sorted(
            entries.values(),
            key=lambda entry: (entry.kind in MEMORY_KINDS, entry.at_epoch_seconds, entry.executor_id),
        )
        surplus, kept = kept[:-MAX_ENTRIES], kept[-MAX_ENTRIES:]
        return self._without(surplus, {entry.executor_id: entry for entry in kept}, rollout)

    def _without(
        self, surplus: Iterable[EndedExecutor], kept: Mapping[int, EndedExecutor], rollout: Rollout | None
    ) -> History:
        forgotten, groups = dict(self.forgotten), dict(self.forgotten_groups)
        losses = {(loss.size, loss.kind): loss.count for loss in self.forgotten_losses}
        for entry in surplus:
            forgotten[entry.state] = forgotten.get(entry.state, 0) + 1
            group = group_name(rollout, entry.executor_id)
            if group is not None:
                one = tally(entry.kind, entry.disruption, entry.peak_memory_mib)
                groups[group] = groups.get(group, Tally()) + one
            if entry.kind in MEMORY_KINDS:
                key = (entry.size, entry.kind)
                losses[key] = losses.get(key, 0) + 1
        rows = tuple(ForgottenLosses(size, kind, count) for (size, kind), count in losses.items())
        return History(kept, forgotten, groups, rows)

    def annotation(self) -> dict[str, str]:
        """The driver pod's annotation that `history` reads."""
        values: dict[str, Any] = {
            "ended": [_row(entry) for entry in self.entries.values()],
            "forgotten": dict(self.forgotten),
        }
        if self.forgotten_groups:
            values["groups"] = {name: asdict(of) for name, of in self.forgotten_groups.items()}
        if self.forgotten_losses:
            values["losses"] = [
                {"size": loss.size and loss.size.as_list(), "kind": loss.kind, "count": loss.count}
                for loss in self.forgotten_losses
            ]
        return {ANNOTATION_EXECUTORS: json.dumps(values)}


def history(annotation: str | None) -> History:
    """The history in an annotation of a driver pod; an empty one if there is none or it is damaged."""
    try:
        values = json.loads(annotation or "{}")
        entries = [_entry(row) for row in values.get("ended", ())]
        forgotten = {str(state): int(count) for state, count in values.get("forgotten", {}).items()}
        groups = {str(name): _tally(of) for name, of in values.get("groups", {}).items()}
        losses = tuple(_losses(row) for row in values.get("losses", ()))
    except (ValueError, TypeError, AttributeError, KeyError):
        return History()
    return History({entry.executor_id: entry for entry in entries}, forgotten, groups, losses)


def short_reason(text: str) -> str:
    """`text`, cut so that many of them fit into an annotation, also if JSON has to escape every character."""
    text = text[:MAX_REASON_LENGTH]
    while len(json.dumps(text)) > _MAX_REASON_JSON_LENGTH:
        text = text[:-1]
    return text


def _row(entry: EndedExecutor) -> dict[str, Any]:
    row = {
        "id": entry.executor_id,
        "state": entry.state,
        "reason": short_reason(entry.reason),
        "at": round(entry.at_epoch_seconds, 1),
        "exit": entry.exit_code,
        "node": entry.node,
        "start": entry.start_failure,
        "early": entry.too_early,
        "kind": entry.kind,
        "disruption": entry.disruption,
        "peak": entry.peak_memory_mib,
        "size": entry.size and entry.size.as_list(),
        "stages": list(entry.stages),
    }
    return {key: value for key, value in row.items() if value not in (None, "", []) and value is not False}


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
        kind=str(row.get("kind", "")),
        disruption=row.get("disruption"),
        peak_memory_mib=row.get("peak"),
        size=size_from(row.get("size")),
        stages=tuple(map(int, row.get("stages", ()))),
    )


def _losses(row: Mapping[str, Any]) -> ForgottenLosses:
    return ForgottenLosses(size_from(row.get("size")), str(row["kind"]), int(row["count"]))


def _tally(values: Mapping[str, Any]) -> Tally:
    return Tally(
        executors=int(values["executors"]),
        peak_memory_mib=values.get("peak_memory_mib"),
        out_of_memory_kills=int(values["out_of_memory_kills"]),
        evictions=int(values["evictions"]),
    )
