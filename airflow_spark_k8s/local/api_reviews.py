"""Questions about rights and identity, answered at once: access reviews, who am I, tokens."""

from __future__ import annotations

from datetime import timedelta

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.authentication import Tokens
from airflow_spark_k8s.local.authorization import Action, Authorizer
from airflow_spark_k8s.local.decoding import parse_body
from airflow_spark_k8s.local.errors import ApiError, not_found
from airflow_spark_k8s.local.exchange import Request, Response, User
from airflow_spark_k8s.local.manifests import timestamp
from airflow_spark_k8s.local.resources import (
    SELF_SUBJECT_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SERVICE_ACCOUNTS,
    TOKEN_REVIEWS,
    Resource,
)
from airflow_spark_k8s.local.routing import Target
from airflow_spark_k8s.local.store import Store

_EVERYTHING = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]


class Reviews:
    """Answers reviews with the authorizer and the tokens of the API."""

    def __init__(self, authorizer: Authorizer, tokens: Tokens) -> None:
        self._authorizer = authorizer
        self._tokens = tokens

    def answer(self, target: Target, request: Request) -> Response:
        """201 with the review and its status."""
        resource = target.resource
        body = parse_body(request.body, request.headers.get("content-type", ""), resource.kind)
        review = dict(body) if isinstance(body, dict) else {}
        spec: Manifest = review.get("spec") or {}
        review |= {"kind": resource.kind, "apiVersion": resource.api_version}
        review["metadata"] = review.get("metadata") or {}
        review["status"] = self._status(resource, spec, request.user)
        return Response(201, review)

    def _status(self, resource: Resource, spec: Manifest, user: User) -> Manifest:
        if resource is SELF_SUBJECT_REVIEWS:
            return {"userInfo": _user_info(user)}
        if resource is SELF_SUBJECT_RULES_REVIEWS:
            return {"resourceRules": _EVERYTHING, "nonResourceRules": [], "incomplete": True}
        if resource is TOKEN_REVIEWS:
            return self._token_status(spec)
        subject = user
        if "user" in spec or "groups" in spec:
            subject = User(spec.get("user", ""), tuple(spec.get("groups") or ("system:authenticated",)))
        return {"allowed": self._authorizer.allows(subject, _action(spec))}

    def _token_status(self, spec: Manifest) -> Manifest:
        try:
            user = self._tokens.user(f"Bearer {spec.get('token', '')}")
        except ApiError:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": _user_info(user)}


def issue_token(store: Store, tokens: Tokens, target: Target, request: Request) -> Response:
    """201 with a TokenRequest whose status holds a token of the service account; raises ApiError 404."""
    namespace, name = target.namespace or "", target.name or ""
    if store.peek(SERVICE_ACCOUNTS, namespace, name) is None:
        raise not_found(SERVICE_ACCOUNTS, name)
    body = parse_body(request.body or b"{}", request.headers.get("content-type", ""), "TokenRequest")
    spec = (body.get("spec") or {}) if isinstance(body, dict) else {}
    expires = store.now() + timedelta(seconds=spec.get("expirationSeconds") or 3600)
    status = {"token": tokens.for_service_account(namespace, name), "expirationTimestamp": timestamp(expires)}
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": timestamp(store.now())}
    answer = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": metadata}
    return Response(201, answer | {"spec": spec, "status": status})


def _user_info(user: User) -> Manifest:
    return {"username": user.name, "groups": list(user.groups)}


def _action(spec: Manifest) -> Action:
    attributes = spec.get("resourceAttributes")
    if attributes is None:
        other = spec.get("nonResourceAttributes") or {}
        return Action(other.get("verb", ""), path=other.get("path", ""))
    return Action(
        attributes.get("verb", ""),
        attributes.get("group", ""),
        attributes.get("resource", ""),
        attributes.get("subresource", ""),
        attributes.get("namespace") or None,
        attributes.get("name", ""),
    )
