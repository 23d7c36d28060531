from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.patch import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, apply_patch

DOCUMENT = {"a": {"b": [1, 2, 3], "c": "x"}, "d~/e": 1}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        pytest.param(
            [{"op": "add", "path": "/a/f", "value": 1}], {"b": [1, 2, 3], "c": "x", "f": 1}, id="add"
        ),
        pytest.param(
            [{"op": "add", "path": "/a/b/1", "value": 9}], {"b": [1, 9, 2, 3], "c": "x"}, id="insert"
        ),
        pytest.param(
            [{"op": "add", "path": "/a/b/-", "value": 9}], {"b": [1, 2, 3, 9], "c": "x"}, id="append"
        ),
        pytest.param([{"op": "remove", "path": "/a/b/0"}], {"b": [2, 3], "c": "x"}, id="remove"),
        pytest.param(
            [{"op": "replace", "path": "/a/b/0", "value": 7}], {"b": [7, 2, 3], "c": "x"}, id="replace"
        ),
        pytest.param(
            [{"op": "copy", "from": "/a/c", "path": "/a/g"}], {"b": [1, 2, 3], "c": "x", "g": "x"}, id="copy"
        ),
        pytest.param([{"op": "move", "from": "/a/c", "path": "/a/g"}], {"b": [1, 2, 3], "g": "x"}, id="move"),
        pytest.param(
            [{"op": "test", "path": "/d~0~1e", "value": 1}, {"op": "remove", "path": "/a/c"}],
            {"b": [1, 2, 3]},
            id="a passed test with escapes",
        ),
    ],
)
def test_json_patch(operations: list[dict[str, Any]], expected: object) -> None:
    assert apply_patch(JSON_PATCH, DOCUMENT, operations)["a"] == expected
    assert DOCUMENT["a"] == {"b": [1, 2, 3], "c": "x"}


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "test", "path": "/a/c", "value": "y"}, id="a test that fails"),
        pytest.param({"op": "remove", "path": "/none"}, id="nothing to remove"),
        pytest.param({"op": "replace", "path": "/a/none", "value": 1}, id="nothing to replace"),
        pytest.param({"op": "add", "path": "/a/b/9", "value": 1}, id="an index behind the end"),
        pytest.param({"op": "fly", "path": "/a"}, id="an unknown operation"),
        pytest.param({"path": "/a"}, id="no operation"),
    ],
)
def test_a_json_patch_that_does_not_apply(operation: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        apply_patch(JSON_PATCH, DOCUMENT, [operation])
    assert refused.value.code == 422


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": None, "c": 3}, {"b": 2, "c": 3}, id="null deletes"),
        pytest.param({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}, id="objects merge"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="lists are replaced"),
        pytest.param({"a": 1}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}, id="an object replaces a scalar"),
    ],
)
def test_merge_patch(target: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    assert apply_patch(MERGE_PATCH, target, patch) == expected


def env(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "value": name} for name in names]


@pytest.mark.parametrize(
    ("target", "patch", "expected"),
    [
        pytest.param(
            {"env": env("a", "b")},
            {"env": [{"name": "b", "value": "new"}]},
            {"env": [{"name": "a", "value": "a"}, {"name": "b", "value": "new"}]},
            id="an element is found by its name",
        ),
        pytest.param(
            {"env": env("a")}, {"env": env("z")}, {"env": env("z", "a")}, id="a new element comes first"
        ),
        pytest.param(
            {"env": env("a", "b")},
            {"env": [{"name": "a", "$patch": "delete"}]},
            {"env": env("b")},
            id="an element is deleted",
        ),
        pytest.param(
            {"env": env("a")},
            {"env": [{"$patch": "replace"}, *env("b")]},
            {"env": env("b")},
            id="a list is replaced",
        ),
        pytest.param(
            {"m": {"x": 1}}, {"m": {"$patch": "replace", "y": 2}}, {"m": {"y": 2}}, id="an object is replaced"
        ),
        pytest.param(
            {"finalizers": ["a"]}, {"finalizers": ["b"]}, {"finalizers": ["a", "b"]}, id="a set is merged"
        ),
        pytest.param(
            {"finalizers": ["a", "b"]},
            {"$deleteFromPrimitiveList/finalizers": ["a"]},
            {"finalizers": ["b"]},
            id="a member of a set is deleted",
        ),
        pytest.param(
            {"command": ["a"]}, {"command": ["b"]}, {"command": ["b"]}, id="other lists are replaced"
        ),
        pytest.param(
            {"env": env("a", "b")},
            {"$setElementOrder/env": [{"name": "b"}, {"name": "a"}]},
            {"env": env("b", "a")},
            id="the order is given",
        ),
    ],
)
def test_strategic_merge_patch(
    target: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert apply_patch(STRATEGIC_MERGE_PATCH, target, patch) == expected


def test_server_side_apply_is_not_offered() -> None:
    with pytest.raises(ApiError) as refused:
        apply_patch("application/apply-patch+yaml", {}, {})
    assert refused.value.code == 415
