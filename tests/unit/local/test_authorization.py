from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_spark_k8s.local.authentication import Tokens, service_account
from airflow_spark_k8s.local.authorization import Action, AllowAuthenticated, RoleAuthorizer
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.exchange import ADMIN, ANONYMOUS, User
from airflow_spark_k8s.local.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from airflow_spark_k8s.local.store import Store

ROBOT = service_account("default", "robot")


def authorizer(rules: list[dict[str, Any]], *, cluster: bool, subject: dict[str, Any]) -> RoleAuthorizer:
    store = Store(wall_clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), chance=random.Random(1))
    namespace = {} if cluster else {"namespace": "default"}
    kind = "ClusterRole" if cluster else "Role"
    store.create(
        CLUSTER_ROLES if cluster else ROLES, {"metadata": {"name": "r", **namespace}, "rules": rules}
    )
    binding = {
        "metadata": {"name": "b", **namespace},
        "subjects": [subject],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "r"},
    }
    store.create(CLUSTER_ROLE_BINDINGS if cluster else ROLE_BINDINGS, binding)
    return RoleAuthorizer(store)


PODS_RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
ACCOUNT = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}


@pytest.mark.parametrize(
    ("rule", "action", "allowed"),
    [
        pytest.param(
            PODS_RULE, Action("get", "", "pods", namespace="default"), True, id="what the rule says"
        ),
        pytest.param(PODS_RULE, Action("delete", "", "pods", namespace="default"), False, id="another verb"),
        pytest.param(
            PODS_RULE, Action("get", "", "pods", "log", "default"), False, id="a subresource is another"
        ),
        pytest.param(
            PODS_RULE, Action("get", "batch", "pods", namespace="default"), False, id="another group"
        ),
        pytest.param(PODS_RULE, Action("get", "", "pods", namespace="other"), False, id="another namespace"),
        pytest.param(PODS_RULE, Action("list", "", "pods"), False, id="all namespaces"),
        pytest.param(
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            Action("create", "batch", "jobs", namespace="default"),
            True,
            id="everything",
        ),
        pytest.param(
            {**PODS_RULE, "resources": ["pods/proxy"]},
            Action("get", "", "pods", "proxy", "default"),
            True,
            id="a subresource by name",
        ),
        pytest.param(
            {**PODS_RULE, "resourceNames": ["a"]},
            Action("get", "", "pods", namespace="default", name="b"),
            False,
            id="another object",
        ),
    ],
)
def test_a_role_in_a_namespace(rule: dict[str, Any], action: Action, allowed: bool) -> None:
    assert authorizer([rule], cluster=False, subject=ACCOUNT).allows(ROBOT, action) is allowed


@pytest.mark.parametrize(
    ("subject", "allowed"),
    [
        pytest.param(ACCOUNT, True, id="the account"),
        pytest.param({"kind": "Group", "name": "system:serviceaccounts"}, True, id="its group"),
        pytest.param(
            {"kind": "User", "name": "system:serviceaccount:default:robot"}, True, id="its user name"
        ),
        pytest.param({**ACCOUNT, "namespace": "other"}, False, id="a namesake elsewhere"),
    ],
)
def test_a_cluster_role_reaches_all_namespaces(subject: dict[str, Any], allowed: bool) -> None:
    bound = authorizer([PODS_RULE], cluster=True, subject=subject)
    assert bound.allows(ROBOT, Action("list", "", "pods")) is allowed
    assert bound.allows(ROBOT, Action("list", "", "pods", namespace="other")) is allowed


@pytest.mark.parametrize(
    ("user", "action", "allowed"),
    [
        pytest.param(ADMIN, Action("delete", "", "nodes"), True, id="an administrator"),
        pytest.param(ROBOT, Action("delete", "", "nodes"), True, id="anybody with a token"),
        pytest.param(ANONYMOUS, Action("list", "", "pods"), False, id="nobody"),
        pytest.param(ANONYMOUS, Action("get", path="/version"), True, id="nobody asks for the version"),
    ],
)
def test_without_roles_a_token_is_enough(user: User, action: Action, allowed: bool) -> None:
    assert AllowAuthenticated().allows(user, action) is allowed


def test_tokens_name_their_users() -> None:
    tokens = Tokens(random.Random(1))
    robot = tokens.for_service_account("default", "robot")
    assert tokens.for_service_account("default", "robot") == robot != tokens.admin
    assert tokens.user(f"Bearer {robot}") == ROBOT
    assert tokens.user(f"bearer {tokens.admin}") == ADMIN
    assert tokens.user(None) == ANONYMOUS
    for wrong in ("Bearer x", "Basic eDp5", "Bearer"):
        with pytest.raises(ApiError, match="Unauthorized"):
            tokens.user(wrong)


def test_only_an_administrator_may_act_as_somebody_else() -> None:
    tokens = Tokens(random.Random(1))
    headers = {"impersonate-user": "system:serviceaccount:default:robot"}
    assert tokens.acting_as(ADMIN, headers) == ROBOT
    assert tokens.acting_as(ROBOT, {}) == ROBOT
    with pytest.raises(ApiError, match="cannot impersonate"):
        tokens.acting_as(ROBOT, headers)
