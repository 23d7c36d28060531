"""From the text of a template to a manifest: Jinja, then YAML, both strict."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jinja2
import yaml
from jinja2.sandbox import SandboxedEnvironment, is_internal_attribute

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import InvalidTemplate
from airflow_spark_k8s.templates.environment import literal
from airflow_spark_k8s.templates.patch import without_nulls

_MISTAKES = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What an expression in a template raises; anything else, such as a lost connection, is not its fault."""

_FILE_NAME = "<template>"  # Jinja's name for a template that came as text
_NO_YAML_TEXT = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_SHOWN_LENGTH = 80


class Engine:
    """Jinja as Airflow sets it up (sandboxed), but strict; one per rendering."""

    def __init__(self, filters: Mapping[str, Callable[..., Any]]) -> None:
        self._jinja = _Sandbox(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        self._jinja.filters.update(filters)
        self._jinja.filters.update(tojson=to_json, literal=literal)

    def manifest(self, source: str, variables: Mapping[str, Any], *, field: str) -> Manifest:
        """
        The one manifest that a template makes.

        :param field: argument to name in an error.
        :raises InvalidTemplate: if it does not render, or makes anything but one YAML mapping.
        """
        return _one_mapping(self.text(source, variables, field=field), field=field)

    def values(self, patch: Any, variables: Mapping[str, Any], *, field: str) -> Any:
        """
        `patch` with every text in it rendered; keys stay as they are.

        :raises InvalidTemplate: if one does not render; names its path.
        """
        if isinstance(patch, Mapping):
            return {
                key: self.values(value, variables, field=f"{field}.{key}") for key, value in patch.items()
            }
        if isinstance(patch, list | tuple):
            return [
                self.values(value, variables, field=f"{field}[{index}]") for index, value in enumerate(patch)
            ]
        return self.text(patch, variables, field=field) if isinstance(patch, str) else patch

    def text(self, source: str, variables: Mapping[str, Any], *, field: str) -> str:
        """
        What a template renders to.

        :raises InvalidTemplate: for bad syntax, an undefined name or a failing expression; names the line.
        """
        try:
            return self._jinja.from_string(source).render(variables)
        except _MISTAKES as error:
            line = _line_of(error)
            raise InvalidTemplate(
                field, _line(source, line), f"line {line} does not render: {_reason(error)}"
            ) from error


class _Sandbox(SandboxedEnvironment):
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may read it: as in Airflow, names with one underscore too."""
        return not is_internal_attribute(obj, attr)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        scalars = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in scalars:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def to_json(value: Any) -> str:
    """`value` as JSON that YAML 1.1 reads back unchanged."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return _NO_YAML_TEXT.sub(lambda character: f"\\u{ord(character[0]):04x}", text)


def _plain(value: Any) -> Any:
    if isinstance(value, jinja2.Undefined):
        return str(value)  # raises and names what is undefined
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _one_mapping(text: str, *, field: str) -> Manifest:
    try:
        documents = [
            document for document in yaml.load_all(text, Loader=_StrictLoader) if document is not None
        ]
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or str(error)
        raise InvalidTemplate(
            field, _line(text, line), f"line {line} of what it renders to is no valid YAML: {problem}"
        ) from error
    if len(documents) != 1:
        raise InvalidTemplate(field, len(documents), "must render to exactly one YAML document")
    if not isinstance(documents[0], dict):
        raise InvalidTemplate(field, type(documents[0]).__name__, "must render to a manifest, a YAML mapping")
    manifest: Manifest = without_nulls(documents[0])
    return manifest


def _line_of(error: BaseException) -> int:
    if isinstance(error, jinja2.TemplateSyntaxError):
        return error.lineno
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == _FILE_NAME and frame.lineno is not None
    ]
    return lines[-1] if lines else 1


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    line = lines[number - 1].strip() if number <= len(lines) else ""
    return line if len(line) <= _SHOWN_LENGTH else line[:_SHOWN_LENGTH] + "…"


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
