from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_spark_k8s.exceptions import InvalidTemplate
from airflow_spark_k8s.templates.engine import Engine, to_json
from airflow_spark_k8s.templates.environment import literal

ENGINE = Engine({"shout": str.upper})


def manifest(source: str, **variables: Any) -> dict[str, Any]:
    return ENGINE.manifest(source, variables, field="driver_template")


def test_a_template_becomes_a_manifest() -> None:
    assert manifest("a: {{ x }}\nb: [{{ y | tojson }}]", x=1, y="z") == {"a": 1, "b": ["z"]}


def test_lines_with_statements_only_leave_no_trace() -> None:
    source = "a:\n  {% for x in xs %}\n  - {{ x }}\n  {% endfor %}\n"
    assert ENGINE.text(source, {"xs": [1, 2]}, field="f") == "a:\n  - 1\n  - 2\n"


def test_filters_of_the_caller_can_be_used() -> None:
    assert manifest("a: {{ 'x' | shout }}") == {"a": "X"}


def test_nulls_and_aliases_are_gone() -> None:
    result = manifest("a: &x {b: 1}\nc: *x\nd:\ne: [{f: null}]")
    assert result == {"a": {"b": 1}, "c": {"b": 1}, "e": [{}]}
    assert result["a"] is not result["c"]


@given(st.text())
def test_any_text_survives_json_and_yaml(text: str) -> None:
    assert yaml.safe_load(f"a: {to_json(text)}") == {"a": text}


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.booleans(), st.text(), st.none())))
def test_any_mapping_survives_json_and_yaml(value: dict[str, Any]) -> None:
    assert yaml.safe_load(f"a: {to_json(MappingProxyType(value))}") == {"a": value}


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        pytest.param("a: 1\nb: {{ nobody }}", 2, "'nobody' is undefined", id="an undefined name"),
        pytest.param("a: {{ known.nothing }}", 1, "has no attribute 'nothing'", id="an undefined attribute"),
        pytest.param("a: {{ nobody | tojson }}", 1, "'nobody' is undefined", id="an undefined name as JSON"),
        pytest.param("a: 1\n\nb: {{ 1 + }}", 3, "unexpected 'end of print statement'", id="bad syntax"),
        pytest.param("{% if true %}\na: 1", 2, "Unexpected end of template", id="a block without end"),
        pytest.param("a: {{ 1 / 0 }}", 1, "division by zero", id="an expression that fails"),
        pytest.param("a: {{ known.__class__ }}", 1, "unsafe", id="a way out of the sandbox"),
        pytest.param("a: {{ thing | tojson }}", 1, "cannot be written as JSON", id="no JSON value"),
        pytest.param("a: {{ 1 | nofilter }}", 1, "No filter named 'nofilter'", id="an unknown filter"),
    ],
)
def test_a_template_that_does_not_render_is_refused(source: str, line: int, reason: str) -> None:
    with pytest.raises(InvalidTemplate) as error:
        manifest(source, known="x", thing=object())
    assert error.value.field == "driver_template"
    assert error.value.remedy.startswith(f"line {line} does not render")
    assert reason in error.value.remedy
    assert error.value.value == source.splitlines()[line - 1]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param("a: [1", "no valid YAML", id="a bracket without end"),
        pytest.param("a: 1\na: 2", "the key 'a' stands there twice", id="a key twice"),
        pytest.param("a: 2024-13-45", "no valid YAML", id="an impossible date"),
        pytest.param("a: !!python/object:os.x {}", "no valid YAML", id="a tag of another program"),
        pytest.param("a: 1\n---\nb: 1", "exactly one YAML document", id="two documents"),
        pytest.param("", "exactly one YAML document", id="nothing"),
        pytest.param("# only a comment", "exactly one YAML document", id="a comment only"),
        pytest.param("- a", "a YAML mapping", id="a list"),
        pytest.param("driver.yaml", "a YAML mapping", id="a file name"),
        pytest.param("a: \x00", "no valid YAML", id="a character that YAML does not know"),
        pytest.param("? [a, b]\n: 1", "no valid YAML", id="a list as key"),
    ],
)
def test_what_is_no_single_manifest_is_refused(source: str, reason: str) -> None:
    with pytest.raises(InvalidTemplate, match=reason) as error:
        manifest(source)
    assert error.value.field == "driver_template"


def test_a_document_end_and_empty_documents_do_not_count() -> None:
    assert manifest("---\na: 1\n...\n---\n") == {"a": 1}


def test_merge_keys_may_repeat_what_they_merge() -> None:
    assert manifest("x: &x {a: 1, b: 1}\ny:\n  <<: *x\n  a: 2") == {
        "x": {"a": 1, "b": 1},
        "y": {"a": 2, "b": 1},
    }


def test_a_failure_that_is_not_the_templates_is_not_called_one() -> None:
    class Connection:
        def __str__(self) -> str:
            raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        manifest("a: {{ x }}", x=Connection())


def test_every_text_of_a_patch_is_rendered_and_nothing_else() -> None:
    patch = {"{{ x }}": "{{ x }}", "list": ["{{ x }}", 1, {"deep": "-{{ x }}-"}], "n": 3, "none": None}
    assert ENGINE.values(patch, {"x": "y"}, field="f") == {
        "{{ x }}": "y",
        "list": ["y", 1, {"deep": "-y-"}],
        "n": 3,
        "none": None,
    }


def test_a_text_of_a_patch_that_does_not_render_is_named_by_its_path() -> None:
    with pytest.raises(InvalidTemplate) as error:
        ENGINE.values({"spec": {"args": ["ok", "{{ nobody }}"]}}, {}, field="driver_template")
    assert error.value.field == "driver_template.spec.args[1]"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        pytest.param("plain", "plain", id="nothing to do"),
        pytest.param("$HOME", "$HOME", id="a shell variable is none of Kubernetes' business"),
        pytest.param("$(X)", "$$(X)", id="a reference"),
        pytest.param("a$$b", "a$$$$b", id="a pair would become one"),
        pytest.param("$$(X)", "$$$$(X)", id="a pair before a bracket"),
        pytest.param("$$$(X)", "$$$$$$(X)", id="three before a bracket"),
        pytest.param("cost: 5$", "cost: 5$", id="one at the end"),
        pytest.param("$(open", "$$(open", id="a bracket that never closes"),
    ],
)
def test_literal(text: str, escaped: str) -> None:
    assert literal(text) == escaped
    assert expanded(escaped) == text


@given(st.text(alphabet="$()aX "))
def test_kubernetes_gives_back_any_literal(text: str) -> None:
    assert expanded(literal(text)) == text


def expanded(text: str) -> str:
    """What the kubelet makes of it where X is known, by the rules of third_party/forked/golang/expansion."""
    result, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            result, at = result + text[at], at + 1
        elif text[at + 1] == "$":
            result, at = result + "$", at + 2
        elif text[at + 1] == "(" and ")" in text[at + 2 :]:
            end = text.index(")", at + 2)
            name = text[at + 2 : end]
            result, at = result + ("expanded" if name == "X" else f"$({name})"), end + 1
        else:
            result, at = result + text[at : at + 2], at + 2
    return result
