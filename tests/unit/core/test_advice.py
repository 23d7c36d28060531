"""What one try learns for the next: what is kept, when it counts, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.core.advice import (
    MAX_EVIDENCE_LENGTH,
    Base,
    Learnt,
    base_of,
    learnt_from,
    learnt_of,
    use_of,
)
from airflow_spark_k8s.core.memory_losses import CORES, HEAP, OVERHEAD, Advice
from airflow_spark_k8s.core.request import ApplicationRequest, RecoveryRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application

CONF = {"spark.executor.cores": "2", "spark.executor.memory": "1g", "spark.executor.memoryOverhead": "1g"}
BASE = Base(cores=2, heap_mib=1024, overhead_mib=1024)
NOTHING = Learnt.nothing(BASE)
ORIGIN = "try 1 of run r"
WHY = "executor 4 was killed for memory at 2457 MiB in stage 7"

FEWER_TASKS = Advice(CORES, 2, 1, WHY)
MORE_OVERHEAD = Advice(OVERHEAD, 1024, 1536, WHY)
MORE_HEAP = Advice(HEAP, 1024, 2048, "executor 5 ran out of heap in stage 8")


def application(conf: dict[str, str] | None = None, **recovery: Any) -> Application:
    return resolve(
        ApplicationRequest(
            application="local:///app.py",
            image="apache/spark:4.3.0",
            conf={**CONF, **(conf or {})},
            recovery=RecoveryRequest(**recovery),
        )
    )


def learnt(*advice: Advice, known: Learnt = NOTHING, **changes: Any) -> Learnt:
    return replace(learnt_from(advice, known, origin=ORIGIN), **changes)


def test_the_base_is_what_the_properties_give() -> None:
    offheap = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "512m"}
    assert base_of(application()) == BASE
    assert base_of(application(offheap)) == replace(BASE, other_mib=512)
    assert str(replace(BASE, other_mib=512)).endswith("other memory 512m")


class TestLearning:
    def test_an_application_without_losses_teaches_nothing(self) -> None:
        assert learnt_from((), NOTHING, origin=ORIGIN) is NOTHING

    def test_one_task_at_a_time_means_recovery_from_the_start(self) -> None:
        assert learnt(FEWER_TASKS) == Learnt(BASE, 1, 1024, 1024, True, ORIGIN, {CORES: WHY})

    def test_more_memory_makes_up_for_several_tasks(self) -> None:
        found = learnt(FEWER_TASKS, MORE_OVERHEAD)
        assert (found.cores, found.overhead_mib, found.recovery) == (1, 1536, False)
        assert found.lines == (
            f"spark.executor.cores 2 -> 1: {WHY}",
            f"spark.executor.memoryOverhead 1024m -> 1536m: {WHY}",
        )

    def test_a_try_that_recovered_from_the_start_is_not_taken_back(self) -> None:
        found = learnt(MORE_HEAP, known=learnt(FEWER_TASKS))
        assert found.recovery
        assert found.heap_mib == 2048

    def test_what_was_known_before_and_is_not_surpassed_stays(self) -> None:
        known = replace(learnt(MORE_HEAP), origin="try 1")
        assert learnt_from([replace(MORE_HEAP, after=1536)], known, origin="try 2") is known

    def test_long_evidence_is_cut(self) -> None:
        found = learnt(replace(FEWER_TASKS, evidence="x" * 1000))
        assert found.evidence[CORES] == "x" * MAX_EVIDENCE_LENGTH

    @given(
        st.lists(
            st.one_of(
                st.integers(1, 4).map(lambda cores: Advice(CORES, 2, cores, "c")),
                st.integers(1, 9999).map(lambda heap: Advice(HEAP, 1024, heap, "h")),
                st.integers(1, 9999).map(lambda overhead: Advice(OVERHEAD, 1024, overhead, "o")),
            )
        )
    )
    def test_nothing_is_ever_lowered_but_cores(self, advice: list[Advice]) -> None:
        found = NOTHING
        for one in advice:
            before, found = found, learnt_from([one], found, origin=ORIGIN)
            assert found.heap_mib >= before.heap_mib
            assert found.overhead_mib >= before.overhead_mib
            assert found.cores <= before.cores
            assert found.recovery or not before.recovery


class TestKeeping:
    @pytest.mark.parametrize(
        "found",
        [
            pytest.param(NOTHING, id="nothing"),
            pytest.param(learnt(FEWER_TASKS), id="fewer tasks"),
            pytest.param(learnt(MORE_HEAP, MORE_OVERHEAD, limit_mib=4096), id="more memory, with a limit"),
        ],
    )
    def test_what_is_kept_is_read_again(self, found: Learnt) -> None:
        assert learnt_of(json.loads(json.dumps(found.as_dict()))) == found

    def test_people_can_read_it_too(self) -> None:
        assert learnt(MORE_OVERHEAD).as_dict()["advice"] == [
            f"spark.executor.memoryOverhead 1024m -> 1536m: {WHY}"
        ]

    @pytest.mark.parametrize(
        "values",
        [
            pytest.param(None, id="nothing"),
            pytest.param("text", id="text"),
            pytest.param([], id="a list"),
            pytest.param({}, id="an empty object"),
            pytest.param({**learnt(MORE_HEAP).as_dict(), "version": 2}, id="another version"),
            pytest.param({**learnt(MORE_HEAP).as_dict(), "cores": "many"}, id="cores that are no number"),
            pytest.param({**learnt(MORE_HEAP).as_dict(), "cores": 0}, id="no cores"),
            pytest.param({**learnt(MORE_HEAP).as_dict(), "cores": 3}, id="more cores than before"),
            pytest.param({**learnt(MORE_HEAP).as_dict(), "heap_mib": 1023}, id="less heap than before"),
            pytest.param({**learnt(MORE_HEAP).as_dict(), "overhead_mib": 1}, id="less overhead than before"),
            pytest.param({**learnt(MORE_HEAP).as_dict(), "base": {"cores": 2}}, id="half a base"),
        ],
    )
    def test_what_is_something_else_is_not_read(self, values: Any) -> None:
        assert learnt_of(values) is None


class TestUse:
    @pytest.mark.parametrize(
        ("found", "conf", "recovery", "expected"),
        [
            pytest.param(
                learnt(FEWER_TASKS),
                {},
                {},
                {"spark.kubernetes.allocation.recoveryMode.enabled": "true"},
                id="fewer tasks: recovery from the start",
            ),
            pytest.param(
                learnt(FEWER_TASKS, MORE_OVERHEAD),
                {},
                {},
                {"spark.executor.memory": "1024m", "spark.executor.memoryOverhead": "1536m"},
                id="more overhead: several tasks, more overhead",
            ),
            pytest.param(
                learnt(MORE_HEAP, MORE_OVERHEAD),
                {},
                {"max_executor_memory": "2816m"},
                {"spark.executor.memory": "1536m", "spark.executor.memoryOverhead": "1280m"},
                id="a limit lets both grow by their share",
            ),
            pytest.param(
                learnt(MORE_HEAP, limit_mib=2560),
                {},
                {},
                {"spark.executor.memory": "1536m", "spark.executor.memoryOverhead": "1024m"},
                id="the largest node is a limit",
            ),
            pytest.param(
                learnt(MORE_HEAP, limit_mib=2560),
                {},
                {"max_executor_memory": "8g"},
                {"spark.executor.memory": "2048m", "spark.executor.memoryOverhead": "1024m"},
                id="the task's own limit goes before that of the largest node",
            ),
            pytest.param(
                learnt(FEWER_TASKS, MORE_HEAP),
                {},
                {"max_executor_memory": "2g"},
                {"spark.kubernetes.allocation.recoveryMode.enabled": "true"},
                id="without room for more memory, one task at a time is all that helps",
            ),
            pytest.param(
                learnt(MORE_HEAP, known=learnt(FEWER_TASKS)),
                {},
                {},
                {
                    "spark.executor.memory": "2048m",
                    "spark.executor.memoryOverhead": "1024m",
                    "spark.kubernetes.allocation.recoveryMode.enabled": "true",
                },
                id="one task at a time was not enough",
            ),
        ],
    )
    def test_a_start_with_what_was_needed(
        self, found: Learnt, conf: dict[str, str], recovery: dict[str, Any], expected: dict[str, str]
    ) -> None:
        use = use_of(found, application(conf, **recovery))
        assert use.conf == expected
        assert use.text.startswith("starting with " + ", ".join(f"{k}={v}" for k, v in expected.items()))
        assert use.text.endswith(f"as {ORIGIN} learnt: " + "; ".join(found.lines))

    def test_memory_that_is_neither_heap_nor_overhead_counts_against_the_limit(self) -> None:
        offheap = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "512m"}
        known = Learnt.nothing(replace(BASE, other_mib=512))
        use = use_of(learnt(MORE_HEAP, known=known), application(offheap, max_executor_memory="3g"))
        assert use.conf["spark.executor.memory"] == "1536m"

    @pytest.mark.parametrize(
        ("found", "conf", "recovery", "reason"),
        [
            pytest.param(
                learnt(MORE_OVERHEAD),
                {"spark.executor.memoryOverhead": "1200m"},
                {},
                "since it is about executors with 2 cores, heap 1024m, overhead 1024m, and now they have "
                "2 cores, heap 1024m, overhead 1200m",
                id="the author has changed the memory",
            ),
            pytest.param(
                learnt(FEWER_TASKS),
                {"spark.kubernetes.allocation.recoveryMode.enabled": "false"},
                {},
                "since spark.kubernetes.allocation.recoveryMode.enabled is false",
                id="recovery is switched off",
            ),
            pytest.param(
                learnt(MORE_HEAP),
                {},
                {"max_executor_memory": "2g"},
                "since max_executor_memory or the largest node leaves no room for it",
                id="there is no room",
            ),
        ],
    )
    def test_what_cannot_be_used_is_told(
        self, found: Learnt, conf: dict[str, str], recovery: dict[str, Any], reason: str
    ) -> None:
        use = use_of(found, application(conf, **recovery))
        assert use.conf == {}
        assert use.text == f"what {ORIGIN} learnt is not used, {reason}: {'; '.join(found.lines)}"

    def test_advice_is_only_told(self) -> None:
        use = use_of(learnt(FEWER_TASKS), application(), apply=False)
        assert use.conf == {}
        assert use.text == (
            f"advice of {ORIGIN}: spark.executor.cores 2 -> 1: {WHY}; apply_advice=True would start with "
            "spark.kubernetes.allocation.recoveryMode.enabled=true"
        )

    def test_an_application_that_does_not_recover_uses_nothing(self) -> None:
        assert use_of(learnt(FEWER_TASKS), replace(application(), recovery=None)).conf == {}

    @pytest.mark.parametrize("found", [learnt(FEWER_TASKS), learnt(MORE_HEAP, MORE_OVERHEAD)])
    def test_what_is_used_is_what_the_next_application_has(self, found: Learnt) -> None:
        started = application(dict(use_of(found, application()).conf))
        assert started.executor.memory.heap_mib == found.heap_mib
        assert started.executor.memory.overhead_mib == found.overhead_mib
        assert started.recovery is not None
        assert (started.recovery.mode == "on") == found.recovery
