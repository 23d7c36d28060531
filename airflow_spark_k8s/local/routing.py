"""Which object or collection a path means, and what a request wants of it."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_spark_k8s.local.authorization import Action
from airflow_spark_k8s.local.exchange import Request
from airflow_spark_k8s.local.resources import NAMESPACES, Resource, by_plural

_ON_OBJECT = {
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "POST": "create",
}
_ON_COLLECTION = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points at."""

    resource: Resource
    namespace: str | None  # None: cluster-wide, or all namespaces
    name: str | None  # None: the collection
    subresource: str = ""
    rest: str = ""  # what follows `proxy`, without the leading slash

    def action(self, request: Request) -> Action | None:
        """What is to be authorized; None if the method makes no sense here."""
        verbs = _ON_COLLECTION if self.name is None else _ON_OBJECT
        verb = verbs.get(request.method)
        if self.subresource == "proxy":
            verb = {"POST": "create"}.get(request.method, verb)
        if verb is None:
            return None
        if verb == "list" and request.flag("watch"):
            verb = "watch"
        return Action(
            verb,
            self.resource.group,
            self.resource.plural,
            self.subresource,
            self.namespace,
            self.name or "",
            request.path,
        )


def parse_path(path: str) -> Target | None:
    """The target of a resource path; None for paths of anything else."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) > 2 and not _is_namespace_itself(group, rest):
        namespace, rest = rest[1], rest[2:]
    resource = by_plural(group, version, rest[0])
    if resource is None or (namespace is not None and not resource.namespaced):
        return None
    name = rest[1] if len(rest) > 1 and rest[1] else None
    if resource is NAMESPACES:
        namespace = name
    tail = path.split(f"/{name}/proxy/", 1)[1] if name and f"/{name}/proxy/" in path else ""
    return Target(resource, namespace, name, rest[2] if len(rest) > 2 else "", tail)


def _is_namespace_itself(group: str, rest: list[str]) -> bool:
    return not group and len(rest) == 3 and rest[2] in NAMESPACES.subresources
