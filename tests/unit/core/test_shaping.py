from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX
from airflow_spark_k8s.core.request import NO_SHAPING, ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.shaping import check_shaping
from airflow_spark_k8s.core.spec import Application
from airflow_spark_k8s.exceptions import InvalidConfiguration

LIMIT = "spark.kubernetes.executor.limit.cores"
REQUEST = "spark.kubernetes.executor.request.cores"


def resolved(
    conf: dict[str, str] | None = None, extras: dict[str, Any] | None = None, **arguments: Any
) -> Application:
    return resolve(
        ApplicationRequest(
            application="local:///app.py",
            image="apache/spark:4.3.0",
            conf=conf or {},
            shaping=Shaping(**arguments),
            default_shaping=Shaping(**(extras or {})),
        )
    )


@pytest.mark.parametrize("role", ["driver", "executor"])
def test_a_priority_class_is_the_arguments_else_the_connections(role: str) -> None:
    name = f"{role}_priority_class"

    def found(argument: object, extra: object) -> str | None:
        arguments: dict[str, Any] = {name: argument}
        application = resolved(extras={name: extra}, **arguments)
        return (application.driver if role == "driver" else application.executor).priority_class

    assert found(None, None) is None
    assert found("spark-high", "spark-low") == "spark-high"
    assert found("", "spark-low") == "spark-low"
    assert found(" system-node-critical ", None) == "system-node-critical"


def test_each_role_has_its_own_priority_class() -> None:
    application = resolved(driver_priority_class="first", executor_priority_class="second", burst_factor=1.2)
    assert (application.driver.priority_class, application.executor.priority_class) == ("first", "second")


def test_executors_that_do_not_burst_have_the_same_priority_class() -> None:
    application = resolved(executor_priority_class="second", burst_factor={"factor": 1.2, "fraction": 0.5})
    assert application.plain_executor is not None
    assert application.plain_executor.priority_class == "second"


@pytest.mark.parametrize(
    ("conf", "wanted", "found"),
    [
        pytest.param({}, None, None, id="nothing wanted"),
        pytest.param({}, " ", None, id="empty text"),
        pytest.param({}, "Burstable", "Burstable", id="Burstable"),
        pytest.param({LIMIT: "1"}, "Guaranteed", "Guaranteed", id="Guaranteed, with a CPU limit"),
        pytest.param({LIMIT: "1500m", REQUEST: "1.5"}, "Guaranteed", "Guaranteed", id="the same amount"),
    ],
)
def test_a_qos_class_is_kept_for_the_rendered_pod(
    conf: dict[str, str], wanted: object, found: str | None
) -> None:
    assert resolved(conf, executor_qos_class=wanted).executor_qos_class == found
    assert resolved(conf, {"executor_qos_class": wanted}).executor_qos_class == found


def test_bursting_executors_may_ask_for_burstable() -> None:
    assert resolved(executor_qos_class="Burstable", burst_factor=1.2).executor_qos_class == "Burstable"


@pytest.mark.parametrize(
    ("conf", "arguments", "field", "told"),
    [
        pytest.param({}, {}, LIMIT, 'must be 1, .* for executor_qos_class="Guaranteed"', id="no CPU limit"),
        pytest.param({LIMIT: "2"}, {}, LIMIT, "must be 1,", id="a higher CPU limit"),
        pytest.param(
            {LIMIT: "1"},
            {"burst_factor": 1.2},
            "executor_qos_class",
            r"factor of 1\.2: .* is Burstable, whatever its CPU",
            id="bursting",
        ),
        pytest.param(
            {LIMIT: "1"},
            {"burst_factor": {"factor": 1.2, "fraction": 0.1}},
            "executor_qos_class",
            "impossible",
            id="a few that burst",
        ),
    ],
)
def test_guaranteed_needs_equal_requests_and_limits(
    conf: dict[str, str], arguments: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=told) as caught:
        resolved(conf, executor_qos_class="Guaranteed", **arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        pytest.param("burst_factor", 0.5, "at least 1", id="factor"),
        pytest.param("min_guaranteed_ratio", 1.5, "from 0 to 1", id="ratio"),
        pytest.param("burst_offheap", "maybe", "true or false", id="switch"),
        pytest.param("min_guaranteed_offheap_ratio", "x", "from 0 to 1", id="off-heap ratio"),
        pytest.param("driver_priority_class", "High Priority", "PriorityClass", id="driver's priority"),
        pytest.param("executor_priority_class", 7, "PriorityClass", id="executors' priority"),
        pytest.param("executor_priority_class", "None", "PriorityClass", id="rendered None"),
        pytest.param("executor_qos_class", "guaranteed", "Guaranteed or Burstable", id="small letters"),
        pytest.param("executor_qos_class", "BestEffort", "Guaranteed or Burstable", id="no executor has it"),
        pytest.param("executor_qos_class", ["Guaranteed"], "Guaranteed or Burstable", id="a list"),
    ],
)
def test_impossible_values_are_refused_one_by_one(name: str, value: Any, told: str) -> None:
    with pytest.raises(InvalidConfiguration, match=told) as caught:
        check_shaping(Shaping(**{name: value}))
    assert caught.value.field == name
    for shaped in ({name: value}, {}):
        # also where nobody bursts, and from the connection
        with pytest.raises(InvalidConfiguration, match=told) as caught:
            resolved(extras=None if shaped else {name: value}, **shaped)
        assert caught.value.field == (name if shaped else name + CONNECTION_SUFFIX)


def test_what_may_be_is_returned() -> None:
    shaping = Shaping(burst_factor={"factor": 1.2}, executor_qos_class="Burstable")
    assert check_shaping(shaping) is shaping
    assert check_shaping(NO_SHAPING) is NO_SHAPING


def test_what_is_done_about_a_lost_node_is_the_arguments_else_the_connections() -> None:
    assert resolved().on_lost_node == "wait"
    assert resolved(extras={"on_lost_node": "force"}).on_lost_node == "force"
    assert resolved(extras={"on_lost_node": "force"}, on_lost_node=" wait ").on_lost_node == "wait"


@pytest.mark.parametrize("origin", ["", CONNECTION_SUFFIX])
@pytest.mark.parametrize("value", ["Force", "kill", True, 1])
def test_anything_else_done_about_a_lost_node_is_one_clear_error(value: Any, origin: str) -> None:
    with pytest.raises(InvalidConfiguration, match=r'must be "wait" .* or "force"') as caught:
        check_shaping(Shaping(on_lost_node=value), origin=origin)
    assert (caught.value.field, caught.value.value) == ("on_lost_node" + origin, value)
