from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.explanation import explanation
from airflow_spark_k8s.core.outcome import Verdict
from tests.unit.core.test_outcome import OUTCOME as KNOWN

OUTCOME = replace(KNOWN, driver_node="node-7")


def test_it_says_what_happened_where_and_what_to_do() -> None:
    where = "connection spark_eu, namespace spark, Job app-r0, driver pod d, node node-7"
    remedy = (
        "give the driver more memory: spark.driver.memory for its heap, spark.driver.memoryOverhead beside it"
    )
    assert explanation(OUTCOME, "spark_eu") == f"driver pod d: OOMKilled ({where}); to do: {remedy}"


def test_a_place_that_is_not_known_is_left_out() -> None:
    unseen = replace(OUTCOME, driver_pod=None, driver_node=None)
    assert "(connection c, namespace spark, Job app-r0); " in explanation(unseen, "c")


@pytest.mark.parametrize("verdict", [Verdict.DRIVER_TOOK_OVER, Verdict.SPARK_VERSION_MISMATCH])
def test_a_message_that_says_what_to_do_is_left_at_that(verdict: Verdict) -> None:
    told = replace(OUTCOME, verdict=verdict, message="remove it from the code")
    assert explanation(told, "c").startswith("remove it from the code (")
    assert "to do" not in explanation(told, "c")


def test_the_cause_decides_what_to_do() -> None:
    late = replace(OUTCOME, verdict=Verdict.TIMED_OUT)
    texts = {
        explanation(replace(late, cause=cause), "c")
        for cause in (None, Cause.UNSCHEDULABLE, Cause.QUOTA, Cause.VOLUME, "unheard of")
    }
    assert len(texts) == 4
    assert all("to do: " in text for text in texts)
