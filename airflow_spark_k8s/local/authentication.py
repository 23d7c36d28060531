"""Bearer tokens: one for the administrator, one for every service account that asks."""

from __future__ import annotations

import random
from collections.abc import Mapping

from airflow_spark_k8s.local.errors import ApiError, unauthorized
from airflow_spark_k8s.local.exchange import ADMIN, ANONYMOUS, User

_TOKEN_BITS = 256
_ACCOUNT_PREFIX = "system:serviceaccount:"


class Tokens:
    """The tokens of one cluster; pass a `random.SystemRandom` as `chance` wherever a socket is open."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._users: dict[str, User] = {}
        self._by_account: dict[tuple[str, str], str] = {}
        self.admin = self._issue(ADMIN)

    def for_service_account(self, namespace: str, name: str) -> str:
        """Token of a service account; the same one every time."""
        key = (namespace, name)
        if key not in self._by_account:
            self._by_account[key] = self._issue(service_account(namespace, name))
        return self._by_account[key]

    def user(self, authorization: str | None) -> User:
        """
        Who sends the Authorization header; None is anonymous.

        Raises ApiError 401 for a token that was not issued here.
        """
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        found = self._users.get(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise unauthorized()
        return found

    def acting_as(self, user: User, headers: Mapping[str, str]) -> User:
        """
        The user whom the Impersonate-User header names, or `user` if there is none.

        `headers` have lower-case names. Raises ApiError 403 unless `user` is an administrator.
        """
        name = headers.get("impersonate-user")
        if not name:
            return user
        if "system:masters" not in user.groups:
            raise ApiError(
                403, "Forbidden", f'users "{name}" is forbidden: User "{user.name}" cannot impersonate', {}
            )
        if name.startswith(_ACCOUNT_PREFIX) and name.count(":") == 3:
            return service_account(*name.removeprefix(_ACCOUNT_PREFIX).split(":"))
        groups = [each.strip() for each in headers.get("impersonate-group", "").split(",") if each.strip()]
        return User(name, (*groups, "system:authenticated"))

    def _issue(self, user: User) -> str:
        token = f"{self._chance.getrandbits(_TOKEN_BITS):064x}"
        self._users[token] = user
        return token


def service_account(namespace: str, name: str) -> User:
    """The user behind a service account."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"{_ACCOUNT_PREFIX}{namespace}:{name}", groups)
