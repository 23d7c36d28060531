"""What the API server says when it refuses: a status code and a Status object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.resources import Resource


@dataclass(frozen=True, slots=True)
class Cause:
    """One wrong field of an object that was refused."""

    reason: str  # FieldValueInvalid, FieldValueRequired, …
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class ApiError(Exception):
    """An answer that is no success; `reason` and `details` are those of the Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details  # None: the Status has none
        self.headers = dict(headers or {})

    def status(self) -> Manifest:
        """The Status object that is sent as body."""
        body: Manifest = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = dict(self.details)
        return body | {"code": self.code}


def _of(resource: Resource, name: str, **more: Any) -> dict[str, Any]:
    named = {"name": name} if name else {}
    group = {"group": resource.group} if resource.group else {}
    return {**named, **group, "kind": resource.plural, **more}


def not_found(resource: Resource, name: str) -> ApiError:
    """404: there is no object of that name."""
    return ApiError(404, "NotFound", f'{resource.qualified_name} "{name}" not found', _of(resource, name))


def unknown_path() -> ApiError:
    """404: there is no such resource or path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> ApiError:
    """409: the name is taken."""
    message = f'{resource.qualified_name} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _of(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    """409: a precondition does not hold."""
    message = f'Operation cannot be fulfilled on {resource.qualified_name} "{name}": {why}'
    return ApiError(409, "Conflict", message, _of(resource, name))


def modified(resource: Resource, name: str) -> ApiError:
    """409: the resourceVersion that was sent is no longer the object's."""
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[Cause] = ()) -> ApiError:
    """403: admission refuses the object."""
    subject = f'{resource.qualified_name} "{name}"' if name else resource.qualified_name
    more = {"causes": [_cause(each) for each in causes]} if causes else {}
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", _of(resource, name, **more))


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: fields of the object are wrong; one cause each."""
    listed = [str(each) for each in causes]
    text = listed[0] if len(listed) == 1 else "[" + ", ".join(listed) + "]"
    details: dict[str, Any] = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    details |= {"kind": resource.kind, "causes": [_cause(each) for each in causes]}
    subject = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return ApiError(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details)


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def undecodable(resource: Resource, why: str) -> ApiError:
    """400: the body is no object of that kind."""
    prefix = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    return bad_request(f"{prefix}: {why}")


def unauthorized() -> ApiError:
    """401: the token is not known."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiError:
    """405: the path does not support the method."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def too_large_version(asked: int, current: int) -> ApiError:
    """504: a list at a resourceVersion that does not exist yet."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, details, {"Retry-After": "1"})


def expired(asked: int, oldest: int) -> ApiError:
    """410: the history no longer reaches back to that resourceVersion."""
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def _cause(cause: Cause) -> dict[str, str]:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}
