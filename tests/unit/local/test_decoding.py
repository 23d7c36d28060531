from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_spark_k8s.local.decoding import check_fields, decode, parse_body, parse_json
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, PODS, SECRETS, Resource
from airflow_spark_k8s.local.schema import build_schema, load_schema


def pod(**container: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "m", **container}]}}


def test_the_schema_is_that_of_the_client_library() -> None:
    assert load_schema() == build_schema()


@pytest.mark.parametrize(
    ("value", "unknown"),
    [
        pytest.param(pod(imagee="x"), ("spec.containers[0].imagee",), id="in a list"),
        pytest.param({"metadata": {"nname": "x"}, "spek": 1}, ("metadata.nname", "spek"), id="at the top"),
        pytest.param(pod(env=[{"name": "a", "value": "b"}]), (), id="nothing is unknown"),
    ],
)
def test_unknown_fields_are_dropped_and_named(value: dict[str, Any], unknown: tuple[str, ...]) -> None:
    decoded = decode(PODS, value)
    assert decoded.unknown_fields == unknown
    assert "imagee" not in json.dumps(decoded.object)


@pytest.mark.parametrize(
    ("validation", "warnings"),
    [
        pytest.param(None, ('unknown field "spek"',), id="warned of by default"),
        pytest.param("Ignore", (), id="ignored"),
    ],
)
def test_unknown_fields_are_warned_of_as_asked(validation: str | None, warnings: tuple[str, ...]) -> None:
    assert check_fields(PODS, decode(PODS, {"spek": 1}), validation) == warnings


@pytest.mark.parametrize(
    ("resource", "value", "message"),
    [
        pytest.param(
            PODS,
            pod(env=[{"name": "a", "value": 1}]),
            "cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
            id="a number for a text",
        ),
        pytest.param(
            JOBS,
            {"spec": {"backoffLimit": "3"}},
            "json: cannot unmarshal string into Go struct field JobSpec.spec.backoffLimit of type int32",
            id="a text for a number",
        ),
        pytest.param(
            JOBS,
            {"spec": {"parallelism": True}},
            "cannot unmarshal bool into Go struct field JobSpec.spec.parallelism of type int32",
            id="a truth value for a number",
        ),
        pytest.param(
            CONFIG_MAPS,
            {"data": {"k": 1}},
            "cannot unmarshal number into Go struct field ConfigMap.data.k of type string",
            id="a number in a map",
        ),
        pytest.param(
            PODS, pod(resources={"limits": {"cpu": "much"}}), "quantities must match", id="no quantity"
        ),
        pytest.param(SECRETS, {"data": {"k": "a"}}, "illegal base64 data at input byte", id="no base64"),
        pytest.param(
            PODS, {"apiVersion": "v2"}, "does not match the expected API version (v1)", id="other version"
        ),
        pytest.param(PODS, [], "cannot unmarshal array", id="no object"),
    ],
)
def test_wrong_types_are_refused_in_go_words(resource: Resource, value: Any, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        decode(resource, value)
    assert refused.value.code == 400
    assert message in refused.value.message


def test_null_is_the_same_as_absent() -> None:
    assert decode(CONFIG_MAPS, {"metadata": {"name": "a", "labels": None}, "data": None}).object == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
    }


def test_a_quantity_may_be_a_number() -> None:
    decoded = decode(PODS, pod(resources={"requests": {"cpu": 1}})).object
    assert decoded["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "{nope", "invalid character 'n' looking for beginning of object key string", id="no key"
        ),
        pytest.param('{"a":}', "invalid character '}' looking for beginning of value", id="no value"),
        pytest.param('{"a":1', "unexpected end of JSON input", id="the end is missing"),
        pytest.param('{"a" 1}', "invalid character '1' after object key", id="no colon"),
    ],
)
def test_syntax_errors_are_told_in_go_words(text: str, complaint: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_json(text.encode(), "Pod")
    assert complaint in refused.value.message


def test_yaml_is_read_like_json() -> None:
    assert parse_body(b"kind: Pod\n", "application/yaml", "Pod") == {"kind": "Pod"}


def test_an_oversized_body_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        parse_json(b" " * (3 * 1024 * 1024 + 1))
    assert refused.value.code == 413


# SelfSubjectAccessReview for `create pods` in `ns`, as kubectl writes it.
ATTRIBUTES = b"\x0a\x02ns\x12\x06create\x1a\x00\x22\x00\x2a\x04pods\x32\x00\x3a\x00"
SPEC = b"\x0a" + bytes([len(ATTRIBUTES)]) + ATTRIBUTES
RAW = b"\x0a\x00\x12" + bytes([len(SPEC)]) + SPEC
TYPE = b"\x0a\x17authorization.k8s.io/v1\x12\x17SelfSubjectAccessReview"
REVIEW = b"k8s\x00\x0a" + bytes([len(TYPE)]) + TYPE + b"\x12" + bytes([len(RAW)]) + RAW
PROTOBUF = "application/vnd.kubernetes.protobuf"


def test_kubectls_protobuf_is_understood() -> None:
    assert parse_body(REVIEW, PROTOBUF, "SelfSubjectAccessReview") == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": "ns", "verb": "create", "resource": "pods"}},
    }


@pytest.mark.parametrize(
    "body", [b"k8s\x00", REVIEW[:40], REVIEW.replace(b"SelfSubjectAccess", b"SelfSubjectExcess"), b"{}"]
)
def test_other_protobuf_is_refused_as_a_media_type(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        parse_body(body, PROTOBUF, "Pod")
    assert refused.value.code == 415
