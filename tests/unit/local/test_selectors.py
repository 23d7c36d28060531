from __future__ import annotations

import pytest

from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.resources import CONFIG_MAPS, EVENTS, PODS
from airflow_spark_k8s.local.selectors import matches_fields, matches_labels, parse_fields, parse_labels


@pytest.mark.parametrize(
    ("selector", "labels", "matches"),
    [
        pytest.param("a=1", {"a": "1"}, True, id="an equal value"),
        pytest.param("a==1,b!=2", {"a": "1", "b": "3"}, True, id="both terms hold"),
        pytest.param("a==1,b!=2", {"a": "1", "b": "2"}, False, id="one term does not hold"),
        pytest.param("b!=2", {}, True, id="an absent label is unequal"),
        pytest.param("a", {"a": ""}, True, id="an empty label exists"),
        pytest.param("!a", {"a": ""}, False, id="an empty label is not absent"),
        pytest.param("a in (1, 2)", {"a": "2"}, True, id="one of several values"),
        pytest.param("a notin (1,2),b", {"b": "x"}, True, id="an absent label is none of the values"),
        pytest.param("a=", {"a": ""}, True, id="an empty value is asked for"),
        pytest.param("a=,b=1", {"a": "", "b": "1"}, True, id="an empty value before another term"),
        pytest.param(
            "spark-role=executor,spark-exec-inactive!=true", {"spark-role": "executor"}, True, id="Spark's"
        ),
    ],
)
def test_label_selectors(selector: str, labels: dict[str, str], matches: bool) -> None:
    assert matches_labels(parse_labels(selector), {"metadata": {"labels": labels}}) is matches


@pytest.mark.parametrize("selector", ["a in 1", "a in (1", "=1", "a b", "a=1 b=2", ",", "!"])
def test_a_malformed_label_selector_is_refused(selector: str) -> None:
    with pytest.raises(ApiError, match="unable to parse requirement"):
        parse_labels(selector)


POD = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        pytest.param("metadata.name=p", True, id="by name"),
        pytest.param("status.phase!=Failed,spec.nodeName=n", True, id="by phase and node"),
        pytest.param("spec.nodeName=", False, id="a bound pod has a node"),
        pytest.param("status.podIP=", True, id="an absent field is empty"),
    ],
)
def test_field_selectors(selector: str, matches: bool) -> None:
    assert matches_fields(parse_fields(PODS, selector), POD) is matches


def test_the_source_of_an_event_is_its_component() -> None:
    event = {"metadata": {"name": "e"}, "source": {"component": "kubelet"}}
    assert matches_fields(parse_fields(EVENTS, "source=kubelet"), event)


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        pytest.param(PODS, "field label not supported: spec.containers", id="a kind with selectable fields"),
        pytest.param(CONFIG_MAPS, '"spec.containers" is not a known field selector', id="a kind without"),
    ],
)
def test_an_unknown_field_is_refused(resource: object, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        parse_fields(resource, "spec.containers=x")  # type: ignore[arg-type]
