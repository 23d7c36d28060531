"""
As much of the OpenAPI v3 description as makes `kubectl` leave the checking of fields to the server.

`kubectl create` and `apply` look for the parameter `fieldValidation` of a PATCH. Where they find it they
ask for strict validation instead of downloading every schema.
"""

from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.exchange import Request, Response
from airflow_spark_k8s.local.resources import STORED, Resource

_ROOT = "/openapi/v3"
_PARAMETER = {"name": "fieldValidation", "in": "query", "schema": {"type": "string", "uniqueItems": True}}


def describe_api(request: Request) -> Response | None:
    """The answer for a path below /openapi/v3; None for any other."""
    path = request.path.rstrip("/")
    groups = list(dict.fromkeys(_place(each) for each in STORED))
    if path == _ROOT:
        return Response(body={"paths": {each: {"serverRelativeURL": f"{_ROOT}/{each}"} for each in groups}})
    place = path.removeprefix(f"{_ROOT}/")
    if place == path or place not in groups:
        return None
    paths = {_path(each): _operations(each) for each in STORED if _place(each) == place}
    info = {"title": "airflow-spark-k8s local cluster", "version": "v1.36.0"}
    return Response(body={"openapi": "3.0.0", "info": info, "paths": paths, "components": {}})


def _place(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def _path(resource: Resource) -> str:
    namespaced = "/namespaces/{namespace}" if resource.namespaced else ""
    return f"/{_place(resource)}{namespaced}/{resource.plural}/{{name}}"


def _operations(resource: Resource) -> Manifest:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    patch = {
        "parameters": [_PARAMETER],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": kind,
    }
    return {"patch": patch}
