from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_spark_k8s import exceptions
from airflow_spark_k8s.kube.errors import error_from_answer, error_from_status, unreachable


def status(code: int, reason: str, message: str, **details: Any) -> bytes:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details or None}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("code", "reason", "message", "expected"),
    [
        pytest.param(401, "Unauthorized", "Unauthorized", exceptions.Unauthorized, id="401"),
        pytest.param(403, "Forbidden", "pods is forbidden: User", exceptions.Forbidden, id="no right"),
        pytest.param(
            403,
            "Forbidden",
            'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0',
            exceptions.QuotaExceeded,
            id="403 for a quota is a QuotaExceeded",
        ),
        pytest.param(404, "NotFound", "gone", exceptions.NotFound, id="404"),
        pytest.param(
            409, "AlreadyExists", "taken", exceptions.AlreadyExists, id="409 for a name that is taken"
        ),
        pytest.param(409, "Conflict", "modified", exceptions.Conflict, id="409 for a changed object"),
        pytest.param(410, "Expired", "too old", exceptions.Gone, id="410"),
        pytest.param(400, "BadRequest", "unknown field", exceptions.Invalid, id="400"),
        pytest.param(422, "Invalid", "spec: Required", exceptions.Invalid, id="422"),
        pytest.param(415, "UnsupportedMediaType", "415", exceptions.Invalid, id="other 4xx"),
        pytest.param(429, "TooManyRequests", "slow down", exceptions.TooManyRequests, id="429"),
        pytest.param(500, "InternalError", "etcd", exceptions.ServerError, id="500"),
        pytest.param(504, "Timeout", "too large version", exceptions.ServerError, id="504"),
    ],
)
def test_a_status_becomes_the_exception_of_its_kind(
    code: int, reason: str, message: str, expected: type[exceptions.ClusterError]
) -> None:
    error = error_from_answer("POST", "/api/v1/namespaces/a/pods", code, status(code, reason, message))
    assert type(error) is expected
    assert (error.status, error.reason) == (code, reason)
    assert message in str(error)
    assert "POST /api/v1/namespaces/a/pods" in str(error)


def test_an_answer_that_is_no_status_is_quoted_in_part() -> None:
    error = error_from_answer("GET", "/x", 502, b"<html>" + b"y" * 5000)
    assert isinstance(error, exceptions.ServerError)
    assert "<html>yyy" in str(error)
    assert len(str(error)) < 500


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        pytest.param({"RETRY-after": "7"}, {}, 7.0, id="from the header, in any case"),
        pytest.param({}, {"retryAfterSeconds": 3}, 3.0, id="from the details"),
        pytest.param({"Retry-After": "2"}, {"retryAfterSeconds": 3}, 2.0, id="the header goes first"),
        pytest.param(
            {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None, id="a date is not understood"
        ),
        pytest.param({"Retry-After": "86400"}, {}, 300.0, id="not more than five minutes"),
        pytest.param({}, {}, None, id="not said"),
    ],
)
@pytest.mark.parametrize(("code", "kind"), [(429, exceptions.TooManyRequests), (503, exceptions.ServerError)])
def test_how_long_to_wait_is_told(
    headers: dict[str, str], details: Any, seconds: float | None, code: int, kind: type[Exception]
) -> None:
    error = error_from_answer("GET", "/x", code, status(code, "Reason", "m", **details), headers)
    assert isinstance(error, kind)
    assert error.retry_after_seconds == seconds


def test_the_error_event_of_a_watch_has_its_own_code() -> None:
    event = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 5 (9)"}
    assert isinstance(error_from_status(event), exceptions.Gone)


@pytest.mark.parametrize(
    ("cause", "hint"),
    [
        pytest.param(ConnectionRefusedError("refused"), "address in the kubeconfig", id="refused"),
        pytest.param(TimeoutError(), "firewalls", id="timed out"),
        pytest.param(OSError("CERTIFICATE_VERIFY_FAILED"), "certificate-authority-data", id="untrusted"),
    ],
)
def test_no_answer_names_the_host_and_says_what_to_check(cause: OSError, hint: str) -> None:
    error = unreachable("https://k8s:6443", "GET /version", cause)
    assert "https://k8s:6443 does not answer" in str(error)
    assert hint in str(error)
    assert type(cause).__name__ == error.reason


def test_a_page_of_a_load_balancer_does_not_say_that_an_object_is_gone() -> None:
    page = b"default backend - 404"
    error = error_from_answer("DELETE", "/api/v1/namespaces/a/pods/p", 404, page)
    assert isinstance(error, exceptions.ClusterUnreachable)
    assert "default backend" in str(error)
    behind_the_proxy = "/api/v1/namespaces/a/pods/p:4040/proxy/api/v1/applications/x"
    assert isinstance(error_from_answer("GET", behind_the_proxy, 404, b"no such app"), exceptions.NotFound)
