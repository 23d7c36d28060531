"""Executors whose pods went unread: what the driver and the cluster's events make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.actions import MarkDriver, ReadEvents
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.snapshot import Observed, RegisteredExecutor
from airflow_spark_k8s.core.spec import RecoverySettings
from tests.fakes.scenes import START, Story, desired, driver, executor, observed, spark

AUTO = RecoverySettings(heap_mib=1024, overhead_mib=384, drain_fraction="0")
KILLED = "The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM).\n\n more"
HEAP = "The executor with id 1 exited with exit code 52(JVM OOM)."
DELETED = "The executor with id 1 was deleted by a user or the framework."
POD = "d-1-exec-1"
GONE = EndedExecutor(1, "deleted", "its pod is gone", START - 60, node="n", size=Size(1, 1, 1024, 384))


def _view(
    reason: str | None = KILLED,
    known: EndedExecutor | None = None,
    events: dict[str, tuple[str, ...]] | None = None,
    history: History | None = None,
) -> Observed:
    told = {
        1: RegisteredExecutor(False, 1, 5, 0, 700, remove_reason=reason),
        2: RegisteredExecutor(True, 1, 5, 0),
    }
    entries = History() if known is None else History({1: known})
    return observed(
        executor(2),
        executor(3),
        drivers=(driver(marks=IdMarks(3, 3, "x"), history=history or entries),),
        spark=spark(executors=told, stages={7: "ACTIVE"}),
        events=events or {},
    )


def _story(recovery: RecoverySettings | None = AUTO) -> Story:
    return Story(desired(target=2, recovery=recovery, cores=2))


def _asked(view: Observed, recovery: RecoverySettings | None = AUTO) -> list[str]:
    return [action.name for action in _story(recovery).look(view).actions if isinstance(action, ReadEvents)]


def _recorded(view: Observed) -> EndedExecutor | None:
    written = [action for action in _story().look(view).actions if isinstance(action, MarkDriver)]
    history = written[0].history if written else None
    return history.entries[1] if history else None


@pytest.mark.parametrize("reason", [KILLED, HEAP, "container x: reason OOMKilled"])
@pytest.mark.parametrize("known", [None, GONE], ids=["never seen", "seen before, but not its end"])
def test_what_looks_like_memory_is_looked_up_in_the_events(reason: str, known: EndedExecutor | None) -> None:
    assert _asked(_view(reason, known)) == [POD]


NOT_ASKED: dict[str, tuple[Observed, RecoverySettings | None]] = {
    "recovery is off": (_view(), replace(AUTO, mode="off")),
    "there is no recovery": (_view(), None),
    "the driver does not say why": (_view(None), AUTO),
    "it was deleted": (_view(DELETED), AUTO),
    "another exit code": (_view("exited with exit code 1370."), AUTO),
    "its end was read": (_view(known=replace(GONE, kind="deleted")), AUTO),
    "it may have had to make room": (_view(history=History({}, {"failed": 3})), AUTO),
    "its pod is there": (replace(_view(), executors=(executor(1), executor(2))), AUTO),
    "the driver has not answered since": (
        replace(_view(), spark=replace(_view(known=GONE).spark, asked_at=START - 1)), AUTO
    ),
}  # fmt: skip


@pytest.mark.parametrize(("view", "recovery"), NOT_ASKED.values(), ids=NOT_ASKED.keys())
def test_nobody_is_asked_if(view: Observed, recovery: RecoverySettings | None) -> None:
    if view.spark.asked_at < START:
        view = replace(view, drivers=(replace(view.drivers[0], history=History({1: GONE})),))
    assert _asked(view, recovery) == []


ANSWERS: dict[str, tuple[tuple[str, ...], str, str | None]] = {
    "nothing": ((), "maybe out of memory", None),
    "ordinary events": (("Scheduled", "Pulled", "Started"), "maybe out of memory", None),
    "an eviction": (("Started", "Evicted"), "disrupted", "Evicted"),
    "a preemption": (("Preempted", "Killing"), "disrupted", "Preempted"),
    "a taint": (("TaintManagerEviction",), "disrupted", "TaintManagerEviction"),
    "somebody stopped it": (("Started", "Killing"), "deleted", None),
}


@pytest.mark.parametrize(("events", "kind", "disruption"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_the_events_say_decides(events: tuple[str, ...], kind: str, disruption: str | None) -> None:
    for known in (None, GONE):
        entry = _recorded(_view(known=known, events={POD: events}))
        assert entry is not None
        assert (entry.kind, entry.disruption, entry.state) == (kind, disruption, "deleted")


def test_what_was_known_of_it_stays_known() -> None:
    entry = _recorded(_view(known=GONE, events={POD: ()}))
    assert entry is not None
    assert (entry.at_epoch_seconds, entry.node, entry.size) == (START - 60, "n", GONE.size)
    assert entry.stages == (7,)
    assert entry.reason.startswith("its pod is gone; the driver says: The executor with id 1 exited with")
    assert "\n" not in entry.reason


def test_of_one_that_was_never_seen_the_driver_tells_what_it_knows() -> None:
    entry = _recorded(_view(events={POD: ()}))
    assert entry is not None
    assert (entry.at_epoch_seconds, entry.node, entry.size, entry.peak_memory_mib) == (START, None, None, 700)


def test_what_was_said_once_is_not_said_again() -> None:
    settled = replace(GONE, kind="maybe out of memory")
    assert _recorded(_view(known=settled, events={POD: ()})) is None
