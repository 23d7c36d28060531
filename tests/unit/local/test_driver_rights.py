from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.exceptions import AlreadyExists, Conflict, Forbidden, NotFound
from airflow_spark_k8s.local.driver_rights import NAME, make_rights
from airflow_spark_k8s.local.timers import VirtualTimeLoop

NAMESPACES = "/api/v1/namespaces"
TEAM = f"{NAMESPACES}/team"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/team"
ALL = [
    f"{TEAM}/serviceaccounts/{NAME}",
    f"{RBAC}/roles/{NAME}",
    f"{RBAC}/rolebindings/{NAME}",
]


class Server:
    """A server that keeps paths; `answers` come before what it would say, one for each such call."""

    def __init__(self, *paths: str) -> None:
        self.paths = set(paths)
        self.answers: dict[tuple[str, str], list[Any]] = {}

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> dict[str, Any]:
        told = self.answers.get((method, path))
        answer = told.pop(0) if told else None
        if isinstance(answer, BaseException):
            raise answer
        full = f"{path}/{body['metadata']['name']}" if method == "POST" else path
        if method == "POST" and full in self.paths:
            raise AlreadyExists(f"{full} already exists", status=409)
        if method == "GET" and answer is None and full not in self.paths:
            raise NotFound(f"{full} not found", status=404)
        if method == "POST":
            self.paths.add(full)
        return answer or {"metadata": {}}


def made_on(server: Any) -> list[str]:
    made: list[str] = []
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(make_rights(server, "team", made))
    finally:
        loop.close()
    return made


def test_a_user_of_one_namespace_gets_a_service_account_in_it() -> None:
    server = Server(TEAM)
    server.answers["POST", NAMESPACES] = [Forbidden("namespaces is forbidden", status=403)]
    assert made_on(server) == ALL


def test_what_is_there_is_left_as_it_is() -> None:
    assert made_on(Server(TEAM, *ALL)) == []


def test_a_new_namespace_is_usable_once_it_has_its_default_service_account() -> None:
    server, account = Server(), f"{TEAM}/serviceaccounts/default"
    missing = NotFound("serviceaccounts not found", status=404)
    server.answers["GET", account] = [missing, missing, {"metadata": {}}]
    assert made_on(server) == [TEAM, *ALL]
    assert server.answers["GET", account] == []


def test_a_namespace_that_is_being_deleted_is_made_anew() -> None:
    server = Server(f"{TEAM}/serviceaccounts/default")
    taken = AlreadyExists("namespaces already exists", status=409)
    going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    server.answers["POST", NAMESPACES] = [taken, taken]
    server.answers["GET", TEAM] = [going, NotFound("namespaces not found", status=404)]
    assert made_on(server) == [TEAM, *ALL]


def test_a_namespace_that_never_goes_is_an_error() -> None:
    server = Server(TEAM)
    server.answers["GET", TEAM] = [{"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}] * 1000
    with pytest.raises(Conflict, match="team is being deleted"):
        made_on(server)
