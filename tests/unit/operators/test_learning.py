"""What a try finds in Airflow of earlier ones, and what it leaves there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_spark_k8s.core.advice import Base, Learnt, learnt_from, learnt_of
from airflow_spark_k8s.core.memory_losses import CORES, OVERHEAD, Advice
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.operators.learning import KEY, NOTHING, Recalled, keep, lesson, recalled

WHY = "executor 4 was killed for memory in stage 7"
BASE = Base(cores=2, heap_mib=1024, overhead_mib=1024)
OWN = learnt_from([Advice(OVERHEAD, 1024, 1536, WHY)], Learnt.nothing(BASE), origin="try 1 of run r")
EARLIER = learnt_from([Advice(CORES, 2, 1, WHY)], Learnt.nothing(BASE), origin="try 1 of run q")


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def debug(self, event: str, *args: object) -> None:
        self.lines.append(("debug", event % args))

    def info(self, event: str, *args: object) -> None:
        self.lines.append(("info", event % args))

    def warning(self, event: str, *args: object) -> None:
        self.lines.append(("warning", event % args))

    @property
    def levels(self) -> list[str]:
        return [level for level, _ in self.lines]


class Airflow:
    """A task instance and the store of its run, as one try sees them."""

    dag_id, task_id, run_id, try_number = "d", "t", "r", 2

    def __init__(
        self, store: Mapping[str, Any] | None = None, xcoms: Mapping[int, Any] | None = None
    ) -> None:
        self.store = dict(store or {})
        self.xcoms = dict(xcoms or {})
        self.pushed: dict[str, Any] = {}
        self.map_index: int | None = -1
        self.broken: Exception | None = None

    def context(self, *, with_store: bool = True) -> dict[str, Any]:
        store = {"task_state_store": SimpleNamespace(get=self._get, set=self._set)} if with_store else {}
        return {"ti": self, **store}

    def _get(self, key: str) -> Any:
        if self.broken is not None:
            raise self.broken
        return self.store.get(key)

    def _set(self, key: str, value: Any) -> None:
        if self.broken is not None:
            raise self.broken
        self.store[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *, task_ids: str, key: str, include_prior_dates: bool, map_indexes: int) -> Any:
        if self.broken is not None:
            raise self.broken
        assert (task_ids, key, include_prior_dates) == ("t", KEY, True)
        return self.xcoms.get(map_indexes)

    def xcom_push(self, *, key: str, value: Any) -> None:
        if self.broken is not None:
            raise self.broken
        self.pushed[key] = value


def recall(
    airflow: Airflow, learn: str = "tries", *, apply_advice: bool = False, log: Log | None = None
) -> Recalled:
    return recalled(airflow.context(), learn, apply_advice=apply_advice, log=log or Log())


class TestRecalling:
    def test_a_first_try_knows_nothing(self) -> None:
        log = Log()
        assert recall(Airflow(), log=log) == NOTHING
        assert log.lines == []

    def test_what_an_earlier_try_found_out_is_applied(self) -> None:
        assert recall(Airflow({KEY: OWN.as_dict()})) == Recalled(OWN, apply=True)

    def test_earlier_runs_are_not_asked_unless_wanted(self) -> None:
        airflow = Airflow(xcoms={-1: EARLIER.as_dict()})
        assert recall(airflow).learnt is None
        assert recall(airflow, "runs") == Recalled(EARLIER, apply=False)
        assert recall(airflow, "runs", apply_advice=True) == Recalled(EARLIER, apply=True)

    def test_the_own_run_goes_before_earlier_ones(self) -> None:
        airflow = Airflow({KEY: OWN.as_dict()}, {-1: EARLIER.as_dict()})
        assert recall(airflow, "runs") == Recalled(OWN, apply=True)

    def test_only_the_same_mapped_task_is_asked(self) -> None:
        airflow = Airflow(xcoms={-1: OWN.as_dict(), 3: EARLIER.as_dict()})
        airflow.map_index = 3
        assert recall(airflow, "runs").learnt == EARLIER
        airflow.map_index = None
        assert recall(airflow, "runs").learnt == OWN

    def test_whoever_does_not_learn_reads_nothing(self) -> None:
        airflow = Airflow({KEY: OWN.as_dict()}, {-1: EARLIER.as_dict()})
        airflow.broken = AssertionError("asked")
        assert recall(airflow, "off") == NOTHING

    def test_without_a_store_there_is_a_line_for_those_who_look_for_it(self) -> None:
        log = Log()
        context = Airflow().context(with_store=False)
        assert recalled(context, "tries", apply_advice=False, log=log) == NOTHING
        assert log.levels == ["debug"]

    def test_a_broken_airflow_stops_no_task(self) -> None:
        airflow, log = Airflow(), Log()
        airflow.broken = RuntimeError("500")
        assert recall(airflow, "runs", log=log).learnt is None
        assert log.levels == ["warning", "warning"]
        assert all("500" in text for _, text in log.lines)

    @pytest.mark.parametrize(
        "stored",
        [
            pytest.param({"version": 99}, id="of a newer version"),
            pytest.param("advice", id="of somebody else"),
            pytest.param(Learnt.nothing(BASE).as_dict(), id="without evidence"),
        ],
    )
    def test_what_is_not_readable_is_said_and_ignored(self, stored: Any) -> None:
        log = Log()
        assert recall(Airflow({KEY: stored}), log=log).learnt is None
        assert log.levels == ["warning"]


class TestLesson:
    APPLICATION = resolve(
        ApplicationRequest(
            application="local:///app.py",
            image="apache/spark:4.3.0",
            conf={
                "spark.executor.cores": "2",
                "spark.executor.memory": "1g",
                "spark.executor.memoryOverhead": "1g",
            },
        )
    )

    def test_nothing_is_known_at_first(self) -> None:
        first = lesson(NOTHING, self.APPLICATION)
        assert (first.known, dict(first.conf), first.text) == (Learnt.nothing(BASE), {}, None)

    def test_what_is_applied_is_known_from_then_on(self) -> None:
        second = lesson(Recalled(OWN, apply=True), self.APPLICATION)
        assert second.known == OWN
        assert second.conf["spark.executor.memoryOverhead"] == "1536m"
        assert "try 1 of run r" in (second.text or "")

    def test_advice_that_is_only_told_changes_nothing(self) -> None:
        second = lesson(Recalled(EARLIER, apply=False), self.APPLICATION)
        assert (second.known, dict(second.conf)) == (Learnt.nothing(BASE), {})
        assert "apply_advice=True" in (second.text or "")

    def test_what_does_not_fit_any_more_is_forgotten(self) -> None:
        other = replace(OWN, base=replace(BASE, heap_mib=2048), heap_mib=2048)
        second = lesson(Recalled(other, apply=True), self.APPLICATION)
        assert (second.known, dict(second.conf)) == (Learnt.nothing(BASE), {})


class TestKeeping:
    def test_news_go_to_the_next_try_and_the_next_run(self) -> None:
        airflow, log = Airflow(), Log()
        keep(airflow.context(), OWN, news=True, push=True, log=log)
        assert learnt_of(airflow.store[KEY]) == OWN
        assert learnt_of(airflow.pushed[KEY]) == OWN
        assert log.levels == ["info"]
        assert WHY in log.lines[0][1]

    def test_what_was_known_is_passed_on_to_the_next_run(self) -> None:
        airflow, log = Airflow(), Log()
        keep(airflow.context(), EARLIER, news=False, push=True, log=log)
        assert airflow.store == {}
        assert learnt_of(airflow.pushed[KEY]) == EARLIER
        assert log.lines == []

    def test_a_task_that_pushes_no_xcoms_pushes_none(self) -> None:
        airflow = Airflow()
        keep(airflow.context(), OWN, news=True, push=False, log=Log())
        assert airflow.pushed == {}
        assert KEY in airflow.store

    def test_without_a_store_the_next_run_still_learns(self) -> None:
        airflow, log = Airflow(), Log()
        keep(airflow.context(with_store=False), OWN, news=True, push=True, log=log)
        assert KEY in airflow.pushed
        assert log.levels == ["debug"]

    def test_a_broken_airflow_hides_no_verdict(self) -> None:
        airflow, log = Airflow(), Log()
        airflow.broken = RuntimeError("500")
        keep(airflow.context(), OWN, news=True, push=True, log=log)
        assert log.levels == ["warning", "warning"]

    def test_it_fits_into_the_store(self) -> None:
        long = [Advice(name, 1, 2, "x" * 10_000) for name in ("heap_mib", "overhead_mib")]
        known = learnt_from(
            [*long, Advice(CORES, 2, 1, "x" * 10_000)], Learnt.nothing(Base(2, 1, 1)), origin="r" * 250
        )
        assert len(json.dumps(known.as_dict())) < 8_000
