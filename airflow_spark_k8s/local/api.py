"""The API: one request in, one answer out, without a socket and without waiting."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from airflow_spark_k8s.local import api_reads, api_writes
from airflow_spark_k8s.local.api_pods import PodAccess
from airflow_spark_k8s.local.api_reviews import Reviews, issue_token
from airflow_spark_k8s.local.authentication import Tokens
from airflow_spark_k8s.local.authorization import Action, AllowAuthenticated, Authorizer
from airflow_spark_k8s.local.discovery import discover
from airflow_spark_k8s.local.errors import ApiError, method_not_allowed, unknown_path
from airflow_spark_k8s.local.exchange import Answer, Request, Response, User, failure
from airflow_spark_k8s.local.kubelet_runtime import NodeRuntime
from airflow_spark_k8s.local.openapi import describe_api
from airflow_spark_k8s.local.resources import REVIEWS, SERVICE_ACCOUNTS
from airflow_spark_k8s.local.routing import Target, parse_path
from airflow_spark_k8s.local.store import Store

Handler = Callable[[Target, Request], Answer]


class Api:
    """
    An API server over a store.

    :param store: the objects.
    :param authorizer: who may do what; None allows everything to everybody with a token.
    :param nodes: name of a node → its kubelet, for logs and proxy; nodes may be added later.
    :param tokens: the bearer tokens; None makes new ones (predictable: only without a socket).
    """

    def __init__(
        self,
        store: Store,
        *,
        authorizer: Authorizer | None = None,
        nodes: Mapping[str, NodeRuntime] | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self.store = store
        self.tokens = tokens or Tokens(random.Random(0))  # noqa: S311 (documented)
        self._authorizer = authorizer or AllowAuthenticated()
        self._pods = PodAccess(store, {} if nodes is None else nodes)
        self._reviews = Reviews(self._authorizer, self.tokens)
        self._on_object: dict[str, Handler] = {
            "GET": self._read,
            "PUT": lambda target, request: api_writes.replace_object(store, target, request),
            "PATCH": lambda target, request: api_writes.patch_object(store, target, request),
            "DELETE": lambda target, request: api_writes.delete_object(store, target, request),
        }
        self._on_collection: dict[str, Handler] = {
            "GET": self._read,
            "POST": lambda target, request: api_writes.create_object(store, target, request),
            "DELETE": lambda target, request: api_writes.delete_collection(store, target, request),
        }
        self._on_subresource: dict[tuple[str, str], Handler] = {
            ("GET", "log"): self._pods.logs,
            ("POST", "eviction"): self._pods.evict,
            ("POST", "binding"): self._pods.bind,
            ("GET", "status"): self._read,
            ("PUT", "status"): self._on_object["PUT"],
            ("PATCH", "status"): self._on_object["PATCH"],
            ("PUT", "finalize"): lambda target, request: api_writes.finalize_namespace(
                store, target, request
            ),
            ("POST", "token"): self._issue_token,
        }

    def handle(self, request: Request) -> Answer:
        """The answer; errors are responses, too."""
        try:
            return self._answer(request)
        except ApiError as error:
            return failure(error)

    def _answer(self, request: Request) -> Answer:
        target = parse_path(request.path)
        if target is None:
            return self._other(request)
        action = target.action(request)
        if action is None:
            raise method_not_allowed()
        self._authorize(request.user, action)
        return self._handler(target, request)(target, request)

    def _handler(self, target: Target, request: Request) -> Handler:
        method = "GET" if request.method == "HEAD" else request.method
        found: Handler | None
        if target.resource in REVIEWS:
            found = self._reviews.answer if method == "POST" and target.name is None else None
        elif target.subresource == "proxy":
            found = self._pods.proxy
        elif target.subresource:
            if target.subresource not in target.resource.subresources:
                raise unknown_path()
            found = self._on_subresource.get((method, target.subresource))
        elif target.name is None:
            found = self._on_collection.get(method)
        else:
            found = self._on_object.get(method)
        if found is None:
            raise method_not_allowed()
        return found

    def _read(self, target: Target, request: Request) -> Answer:
        if request.flag("watch"):
            return api_reads.watch_collection(self.store, target, request)
        if target.name is None:
            return api_reads.read_collection(self.store, target, request)
        return api_reads.read_object(self.store, target, request)

    def _issue_token(self, target: Target, request: Request) -> Response:
        if target.resource is not SERVICE_ACCOUNTS:
            raise unknown_path()
        return issue_token(self.store, self.tokens, target, request)

    def _other(self, request: Request) -> Answer:
        self._authorize(request.user, Action(request.method.lower(), path=request.path))
        found = None
        if request.method in ("GET", "HEAD"):
            found = discover(request) or describe_api(request)
        if found is None:
            raise unknown_path()
        return found

    def _authorize(self, user: User, action: Action) -> None:
        if not self._authorizer.allows(user, action):
            raise refusal(user, action)


def refusal(user: User, action: Action) -> ApiError:
    """403: names user, verb, resource, group and namespace."""
    who = f'User "{user.name}" cannot {action.verb}'
    if not action.resource:
        return ApiError(403, "Forbidden", f'forbidden: {who} path "{action.path}"', {})
    qualified = f"{action.resource}.{action.group}" if action.group else action.resource
    subject = f'{qualified} "{action.name}"' if action.name else qualified
    what = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
    scope = f'in the namespace "{action.namespace}"' if action.namespace else "at the cluster scope"
    message = f'{subject} is forbidden: {who} resource "{what}" in API group "{action.group}" {scope}'
    named = {"name": action.name} if action.name else {}
    group = {"group": action.group} if action.group else {}
    return ApiError(403, "Forbidden", message, {**named, **group, "kind": action.resource})
