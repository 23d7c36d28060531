from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.recovery_settings import RECOVERY_MODE, check_recovery, limited_to_node
from airflow_spark_k8s.core.request import ApplicationRequest, RecoveryRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import RecoverySettings
from airflow_spark_k8s.exceptions import InvalidConfiguration

OFFHEAP = {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "1g"}


def resolved(
    conf: dict[str, str] | None = None, extras: dict[str, Any] | None = None, **arguments: Any
) -> RecoverySettings:
    found = resolve(
        ApplicationRequest(
            application="local:///app.py",
            image="apache/spark:4.3.0",
            conf={"spark.executor.memory": "2g", "spark.executor.memoryOverhead": "512m", **(conf or {})},
            recovery=RecoveryRequest(**arguments),
            default_recovery=RecoveryRequest(**(extras or {})),
        )
    ).recovery
    assert found is not None
    return found


def test_without_a_word_there_are_defaults() -> None:
    assert resolved() == RecoverySettings(
        mode="auto",
        task_cores=1,
        step_factor="1.5",
        max_executor_memory_mib=None,
        max_memory_steps=3,
        max_executor_ooms=10,
        window_seconds=3600.0,
        drain_fraction="1/4",
        sticky=False,
        max_task_failures=4,
        node_selector={},
        tolerations=(),
        priority_class=None,
        heap_mib=2048,
        overhead_mib=512,
        other_mib=0,
    )


PROPERTIES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "recovery from the start": ({RECOVERY_MODE: "true"}, {"mode": "on"}),
    "no recovery": ({RECOVERY_MODE: "False"}, {"mode": "off"}),
    "an empty switch": ({RECOVERY_MODE: " "}, {"mode": "auto"}),
    "tasks of two cores": ({"spark.task.cpus": "2", "spark.executor.cores": "2"}, {"task_cores": 2}),
    "more failures allowed": ({"spark.task.maxFailures": "8"}, {"max_task_failures": 8}),
    "off-heap memory": (OFFHEAP, {"other_mib": 1024}),
    "Python's own limit": ({"spark.executor.pyspark.memory": "300m"}, {"other_mib": 300}),
}


@pytest.mark.parametrize(("conf", "changes"), PROPERTIES.values(), ids=PROPERTIES.keys())
def test_what_properties_say(conf: dict[str, str], changes: dict[str, Any]) -> None:
    assert resolved(conf) == replace(resolved(), **changes)


TOLERATION = {"key": "spot", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 3}
ARGUMENTS: dict[str, tuple[str, Any, str, Any]] = {
    "a factor": ("memory_step_factor", 2, "step_factor", "2"),
    "a factor as text": ("memory_step_factor", " 1.25 ", "step_factor", "1.25"),
    "a size": ("max_executor_memory", "16g", "max_executor_memory_mib", 16384),
    "a size in MiB": ("max_executor_memory", 4096, "max_executor_memory_mib", 4096),
    "exactly what executors have": ("max_executor_memory", "2560m", "max_executor_memory_mib", 2560),
    "no memory steps": ("max_memory_steps", 0, "max_memory_steps", 0),
    "steps as text": ("max_memory_steps", "5", "max_memory_steps", 5),
    "losses": ("max_executor_ooms", 300, "max_executor_ooms", 300),
    "a window": ("recovery_window_seconds", 0.5, "window_seconds", 0.5),
    "a fraction": ("drain_fraction", 0.1, "drain_fraction", "1/10"),
    "no draining": ("drain_fraction", "0", "drain_fraction", "0"),
    "sticky": ("sticky_recovery", "True", "sticky", True),
    "nodes": ("recovery_node_selector", {"pool": "on-demand"}, "node_selector", {"pool": "on-demand"}),
    "nodes as text": ("recovery_node_selector", '{"a/b": ""}', "node_selector", {"a/b": ""}),
    "tolerations": ("recovery_tolerations", [TOLERATION], "tolerations", (TOLERATION,)),
    "tolerations as text": ("recovery_tolerations", '[{"key": "x"}]', "tolerations", ({"key": "x"},)),
    "a priority": ("recovery_priority_class", " high ", "priority_class", "high"),
    "empty text, as a template may give it": ("max_executor_memory", " ", "max_executor_memory_mib", None),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "field", "found"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_what_arguments_and_extras_say(name: str, value: Any, field: str, found: Any) -> None:
    assert resolved(**{name: value}) == replace(resolved(), **{field: found})
    assert resolved(extras={name: value}) == replace(resolved(), **{field: found})


def test_arguments_go_before_extras() -> None:
    found = resolved(extras={"max_memory_steps": 1, "max_executor_ooms": 2}, max_memory_steps=0)
    assert (found.max_memory_steps, found.max_executor_ooms) == (0, 2)


REFUSED: dict[str, tuple[str, Any, str]] = {
    "a factor of 1": ("memory_step_factor", 1, "more than 1"),
    "a factor below 1": ("memory_step_factor", "0.5", "more than 1"),
    "a factor that is no number": ("memory_step_factor", "much", "a number of more than 1"),
    "a factor that is not a number": ("memory_step_factor", float("nan"), "a number of more than 1"),
    "an enormous factor": ("memory_step_factor", 101, "at most 100"),
    "a size that is no size": ("max_executor_memory", "16 gigs", "512m or 4g"),
    "a size that is a truth": ("max_executor_memory", True, "16g"),
    "a size with a fraction": ("max_executor_memory", 1.5, "16g"),
    "no memory at all": ("max_executor_memory", "0", "more than 0"),
    "negative steps": ("max_memory_steps", -1, "from 0 to 20"),
    "half a step": ("max_memory_steps", 1.5, "whole number"),
    "a truth as a number": ("max_memory_steps", True, "a whole number"),
    "negative losses": ("max_executor_ooms", "-1", "from 0 to 300"),
    "more losses than are remembered": ("max_executor_ooms", 301, "from 0 to 300"),
    "a window of 0": ("recovery_window_seconds", 0, "more than 0 seconds"),
    "a negative window": ("recovery_window_seconds", -5, "more than 0 seconds"),
    "a window that is no number": ("recovery_window_seconds", "1h", "a number of seconds"),
    "a fraction above 1": ("drain_fraction", 1.1, "from 0 to 1"),
    "a negative fraction": ("drain_fraction", -0.1, "from 0 to 1"),
    "half sticky": ("sticky_recovery", "partly", "true or false"),
    "nodes that are no mapping": ("recovery_node_selector", ["pool"], "a mapping"),
    "nodes by number": ("recovery_node_selector", {"pool": 3}, "must be text"),
    "nodes by a number": ("recovery_node_selector", {3: "pool"}, "must be text"),
    "nodes with an impossible label": ("recovery_node_selector", {"pool": "on demand"}, "no valid label"),
    "nodes with an impossible key": ("recovery_node_selector", {"the pool": "x"}, "no valid key"),
    "nodes that are no JSON": ("recovery_node_selector", "pool=x", "not JSON"),
    "tolerations that are no list": ("recovery_tolerations", {"key": "x"}, "a list"),
    "tolerations that are no mappings": ("recovery_tolerations", ["x"], "a mapping"),
    "tolerations of another kind": ("recovery_tolerations", [{"taint": "x"}], "not known"),
    "a priority that is no name": ("recovery_priority_class", "Very High", "PriorityClass"),
    "a priority that is a number": ("recovery_priority_class", 1000, "PriorityClass"),
}


@pytest.mark.parametrize(("name", "value", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_values_that_cannot_be_are_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidConfiguration, match=words) as caught:
        check_recovery(RecoveryRequest(**{name: value}))
    assert caught.value.field.startswith(name)
    with pytest.raises(InvalidConfiguration, match=words) as caught:
        resolved(extras={name: value})
    assert "(from the connection)" in caught.value.field


@pytest.mark.parametrize(
    ("conf", "least"), [({}, 2560), (OFFHEAP, 3584)], ids=["heap and overhead", "off-heap memory, too"]
)
def test_a_maximum_below_what_executors_have_is_refused(conf: dict[str, str], least: int) -> None:
    for given, field in (
        ({"max_executor_memory": f"{least - 1}m"}, "max_executor_memory"),
        ({"extras": {"max_executor_memory": least - 1}}, "max_executor_memory (from the connection)"),
    ):
        with pytest.raises(InvalidConfiguration, match=f"from the start, {least}m") as caught:
            resolved(conf, **given)  # type: ignore[arg-type]
        assert caught.value.field == field


def test_good_values_pass_the_check_as_they_are() -> None:
    request = RecoveryRequest(max_memory_steps=2, recovery_priority_class="")
    assert check_recovery(request) is request


@pytest.mark.parametrize(
    ("given", "node_mib", "limit"),
    [
        pytest.param(None, 8000, 8000, id="the largest node is the limit"),
        pytest.param(4096, 8000, 4096, id="a limit that was given stays"),
        pytest.param(None, 2559, None, id="a node too small for any executor is no limit"),
    ],
)
def test_the_limit_of_the_largest_node(given: int | None, node_mib: int, limit: int | None) -> None:
    settings = replace(resolved(), max_executor_memory_mib=given)
    assert limited_to_node(settings, node_mib).max_executor_memory_mib == limit
