"""Who may do what: everybody who is authenticated, or what roles and bindings say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.exchange import User
from airflow_spark_k8s.local.manifests import Reader
from airflow_spark_k8s.local.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES

_PUBLIC_PATHS = ("/api", "/apis", "/healthz", "/livez", "/openapi", "/readyz", "/version")


@dataclass(frozen=True, slots=True)
class Action:
    """What a request wants to do."""

    verb: str
    group: str = ""
    resource: str = ""  # plural; "": `path` is meant
    subresource: str = ""
    namespace: str | None = None  # None: cluster-wide
    name: str = ""
    path: str = ""


class Authorizer(Protocol):
    """Decides about every request."""

    def allows(self, user: User, action: Action) -> bool:
        """Whether the user may do it."""
        ...


class AllowAuthenticated:
    """Everybody with a token may do everything; others may ask for versions and health."""

    def allows(self, user: User, action: Action) -> bool:
        """Whether the user has a token, or the path is public."""
        return "system:authenticated" in user.groups or is_public(action)


class RoleAuthorizer:
    """
    Role based access control over the stored Roles, ClusterRoles and their bindings; no aggregation.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def allows(self, user: User, action: Action) -> bool:
        """Whether some role that is bound to the user or one of their groups allows it."""
        if "system:masters" in user.groups or is_public(action) or _is_self_review(user, action):
            return True
        return any(_permits(rule, action) for rule in self._rules(user, action.namespace))

    def _rules(self, user: User, namespace: str | None) -> Iterator[Manifest]:
        bindings = list(self._reader.iterate(CLUSTER_ROLE_BINDINGS))
        if namespace:
            bindings += self._reader.iterate(ROLE_BINDINGS, namespace)
        for binding in bindings:
            if any(_is_subject(user, each, namespace) for each in binding.get("subjects") or []):
                yield from self._role_rules(binding)

    def _role_rules(self, binding: Manifest) -> list[Manifest]:
        reference = binding.get("roleRef") or {}
        resource = ROLES if reference.get("kind") == "Role" else CLUSTER_ROLES
        role = self._reader.peek(resource, binding["metadata"].get("namespace"), reference.get("name", ""))
        return (role or {}).get("rules") or []


def is_public(action: Action) -> bool:
    """Whether the path is open to everybody: versions, discovery, health."""
    return not action.resource and action.path.startswith(_PUBLIC_PATHS)


def _is_self_review(user: User, action: Action) -> bool:
    return action.resource.startswith("selfsubject") and "system:authenticated" in user.groups


def _is_subject(user: User, subject: Manifest, namespace: str | None) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "Group":
        return name in user.groups
    if kind == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return user.name == name


def _permits(rule: Manifest, action: Action) -> bool:
    if not _matches(rule.get("verbs") or [], action.verb):
        return False
    if not action.resource:
        paths = rule.get("nonResourceURLs") or []
        return any(_matches_path(path, action.path) for path in paths)
    names = rule.get("resourceNames") or []
    if names and action.name not in names:
        return False
    full = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
    resources = rule.get("resources") or []
    any_parent = action.subresource and f"*/{action.subresource}" in resources
    return _matches(rule.get("apiGroups") or [], action.group) and bool(
        _matches(resources, full) or any_parent
    )


def _matches(allowed: Sequence[str], wanted: str) -> bool:
    return "*" in allowed or wanted in allowed


def _matches_path(allowed: str, path: str) -> bool:
    return path.startswith(allowed[:-1]) if allowed.endswith("*") else path == allowed
