from __future__ import annotations

import copy
from typing import Any

import pytest

from airflow_spark_k8s.exceptions import InvalidTemplate
from airflow_spark_k8s.templates.patch import overlay, without_nulls

CONTAINER = {
    "name": "main",
    "image": "one",
    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "ports": [{"containerPort": 80, "name": "web"}],
    "args": ["x", "y"],
}


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        pytest.param({"a": 1}, {}, {"a": 1}, id="an empty patch changes nothing"),
        pytest.param({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}, id="mappings are merged"),
        pytest.param({"a": 1, "b": 2}, {"a": None}, {"b": 2}, id="null removes a key"),
        pytest.param({}, {"a": None}, {}, id="null for what is not there is nothing"),
        pytest.param({}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}, id="null inside a new mapping too"),
        pytest.param({"a": "x"}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="a mapping replaces a text"),
        pytest.param({"args": [1, 2]}, {"args": [3]}, {"args": [3]}, id="a plain list is replaced"),
        pytest.param(
            {"tolerations": [{"key": "a"}]},
            {"tolerations": [{"key": "b"}]},
            {"tolerations": [{"key": "b"}]},
            id="a list of objects without a merge key is replaced",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "value": "9"}, {"name": "C", "value": "3"}]},
            {
                "env": [
                    {"name": "A", "value": "9"},
                    {"name": "B", "value": "2"},
                    {"name": "C", "value": "3"},
                ]
            },
            id="variables are merged by name and keep their order",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
            id="a variable never has two sources",
        ),
        pytest.param(
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
            id="a volume never has two sources",
        ),
        pytest.param(
            {"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "s"}]},
            {"volumeMounts": [{"name": "w", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
            {"volumeMounts": [{"name": "w", "mountPath": "/a"}, {"name": "v", "mountPath": "/b"}]},
            id="a mount is known by its path",
        ),
        pytest.param(
            {"containers": [CONTAINER]},
            {
                "containers": [
                    {"name": "main", "image": "two", "ports": [{"containerPort": 80, "name": "ui"}]}
                ]
            },
            {"containers": [{**CONTAINER, "image": "two", "ports": [{"containerPort": 80, "name": "ui"}]}]},
            id="containers are merged by name, their lists in turn",
        ),
        pytest.param(
            {"containers": [CONTAINER]},
            {"containers": [{"name": "sidecar", "image": "s"}]},
            {"containers": [CONTAINER, {"name": "sidecar", "image": "s"}]},
            id="a new container goes to the end",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "A", "$patch": "delete"}, {"name": "Z", "$patch": "delete"}]},
            {"env": [{"name": "B", "value": "2"}]},
            id="an item can be deleted",
        ),
    ],
)
def test_overlay(base: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    before = copy.deepcopy((base, patch))
    assert overlay(base, patch) == result
    assert (base, patch) == before


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"value": "1"}, id="no name"),
        pytest.param("A=1", id="no mapping"),
        pytest.param({"name": None}, id="an empty name"),
        pytest.param({"name": ["A"]}, id="a name that is a list"),
    ],
)
def test_an_item_that_cannot_be_told_from_others_is_refused_with_its_path(item: Any) -> None:
    with pytest.raises(InvalidTemplate) as error:
        overlay({}, {"spec": {"env": [{"name": "A", "value": "1"}, item]}})
    assert error.value.field == "spec.env[1]"


def test_nulls_vanish_from_mappings_at_any_depth() -> None:
    assert without_nulls({"a": None, "b": [{"c": None, "d": 1}]}) == {"b": [{"d": 1}]}
