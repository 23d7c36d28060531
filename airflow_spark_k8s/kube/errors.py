"""Error answers of an API server, as exceptions of this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_spark_k8s.exceptions import (
    AlreadyExists,
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    QuotaExceeded,
    ServerError,
    TooManyRequests,
    Unauthorized,
)

LONGEST_RETRY_AFTER_SECONDS = 300.0

MAX_BODY_IN_MESSAGE = 300
"""Characters of an answer that is no Status object: proxies and applications answer with whole HTML pages."""


def error_from_answer(
    method: str, path: str, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> ClusterError:
    """
    The exception for one answer with an HTTP status of 300 or more.

    `body` is a Status object where the API server itself answers; behind the pod proxy and in front of load
    balancers it is anything. `headers` gives Retry-After, looked up without regard to case.
    """
    answer = _status_object(body)
    if status == 404 and answer.get("kind") != "Status" and "/proxy/" not in path:
        # A 404 of a load balancer without a backend must not be mistaken for an object that is gone.
        return ClusterUnreachable(
            f"HTTP 404, but not from a Kubernetes API server: {answer['message']} ({method} {path})",
            status=404,
        )
    return error_from_status(
        answer, http_status=status, call=f"{method} {path}", retry_after=_retry_after(headers)
    )


def error_from_status(
    status: Mapping[str, Any],
    *,
    http_status: int | None = None,
    call: str = "watch",
    retry_after: float | None = None,
) -> ClusterError:
    """
    The exception for a Status object, also for the `object` of a watch's ERROR event.

    `http_status` None takes `status["code"]`; `retry_after` is in seconds and goes before
    `details.retryAfterSeconds`; `call` names the request in the message.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
    """
    code = int(http_status or status.get("code") or 500)
    reason = status.get("reason") or None
    message = f"{status.get('message') or reason or 'no message'} ({call}: HTTP {code})"
    details = status.get("details") or {}
    patience = _first(retry_after, details.get("retryAfterSeconds"))
    if code == 429:
        return TooManyRequests(message, retry_after_seconds=patience)
    if code == 401:
        message += (
            "; the connection's credentials are not accepted, or not any more: renew them at their source"
        )
    error = _class_of(code, reason, message)
    return error(message, status=code, reason=reason, retry_after_seconds=patience)


def unreachable(host: str, call: str, error: BaseException) -> ClusterUnreachable:
    """The exception for a call that got no answer: `error` is what the network or TLS said."""
    return ClusterUnreachable(
        f"{host} does not answer ({call}: {_cause(error)}); {_hint(error)}", reason=type(error).__name__
    )


_CLASSES: dict[int, type[ClusterError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: ClusterUnreachable,
    409: Conflict,
    410: Gone,
}


def _class_of(code: int, reason: str | None, message: str) -> type[ClusterError]:
    if code == 403 and "exceeded quota" in message:
        return QuotaExceeded
    if code == 409 and reason == "AlreadyExists":
        return AlreadyExists
    if code in _CLASSES:
        return _CLASSES[code]
    if code >= 500:
        return ServerError
    return Invalid if code >= 400 else ClusterError


def _status_object(body: bytes) -> Mapping[str, Any]:
    text = body.decode("utf-8", errors="replace").strip()
    try:
        decoded = json.loads(text)
    except ValueError:
        decoded = None
    if isinstance(decoded, dict) and decoded.get("kind") == "Status":
        return decoded
    return {"message": text[:MAX_BODY_IN_MESSAGE]}


def _retry_after(headers: Mapping[str, str] | None) -> float | None:
    for name, value in (headers or {}).items():
        # The header may also be a date; API servers send seconds only.
        if name.lower() == "retry-after" and value.strip().isdigit():
            return float(value)
    return None


def _first(header: float | None, field: object) -> float | None:
    """What the server asks for, within limits: a proxy in maintenance may ask for a day."""
    asked = header if header is not None else float(field) if isinstance(field, int | float) else None
    return None if asked is None else min(asked, LONGEST_RETRY_AFTER_SECONDS)


def _cause(error: BaseException) -> str:
    text = str(error).strip()
    return text if text else type(error).__name__


def _hint(error: BaseException) -> str:
    text = f"{type(error).__name__} {error}"
    if "CERTIFICATE" in text.upper() or "Certificate" in text:
        return (
            "check certificate-authority-data of the kubeconfig, or set disable_verify_ssl in the connection"
        )
    if isinstance(error, TimeoutError):
        return "check firewalls and whether the address can be reached from this machine"
    return "check the server's address in the kubeconfig and whether it can be reached from this machine"
