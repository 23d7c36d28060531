from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from airflow_spark_k8s.cli import main
from airflow_spark_k8s.kube.access import RIGHTS, Right
from airflow_spark_k8s.kube.leftovers import LISTING_RIGHTS
from airflow_spark_k8s.kube.roles import CLUSTER_RIGHTS, DRIVER_RIGHTS

Granted = set[tuple[str, str, str]]


def printed(capsys: pytest.CaptureFixture[str], *options: str, namespace: str = "spark") -> str:
    assert main(["rbac", "--namespace", namespace, *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def objects(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(text)}


def of_kind(text: str, kind: str) -> list[dict[str, Any]]:
    return [each for (found, _), each in objects(text).items() if found == kind]


def granted(role: dict[str, Any]) -> Granted:
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def wanted(*rights: Right) -> Granted:
    names = {
        right: f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        for right in rights
    }
    return {(right.verb, right.group, names[right]) for right in rights}


def subject_of(text: str, role: str) -> dict[str, Any]:
    (binding,) = (each for each in of_kind(text, "RoleBinding") if each["roleRef"]["name"] == role)
    (subject,) = binding["subjects"]
    return dict(subject)


def test_roles_hold_what_the_code_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    found = objects(printed(capsys))
    assert granted(found["Role", "airflow-spark-k8s"]) == wanted(*RIGHTS, *LISTING_RIGHTS)
    assert granted(found["Role", "airflow-spark-k8s-driver"]) == wanted(*DRIVER_RIGHTS)
    assert {kind for kind, _ in found} == {"ServiceAccount", "Role", "RoleBinding"}
    assert {each["metadata"]["namespace"] for each in found.values()} == {"spark"}


def test_what_is_not_required_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = objects(printed(capsys, "--no-optional"))
    required = [right for right in RIGHTS if right.required]
    assert granted(found["Role", "airflow-spark-k8s"]) == wanted(*required)


def test_what_is_not_required_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody should have to guess which rules may be taken out."""
    all_rules = re.findall(
        r"(  # Optional.*\n)?  - apiGroups.*\n    resources: \[\"(.*)\"\]", printed(capsys)
    )
    required = re.findall(r"    resources: \[\"(.*)\"\]", printed(capsys, "--no-optional"))
    assert [resource for optional, resource in all_rules if not optional] == required
    assert {resource for optional, resource in all_rules if optional} == {
        "pods/log",
        "pods/proxy",
        "namespaces",
        "events",
        "configmaps",
        "secrets",
    }


def test_rights_outside_the_namespace_only_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--cluster-role")
    found = objects(text)
    assert granted(found["ClusterRole", "airflow-spark-k8s"]) == wanted(*CLUSTER_RIGHTS)
    (binding,) = of_kind(text, "ClusterRoleBinding")
    assert binding["roleRef"]["kind"] == "ClusterRole"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "airflow", "namespace": "airflow"}]
    assert "namespace" not in binding["metadata"]


def test_every_verb_has_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = [line for line in printed(capsys, "--cluster-role").splitlines() if line.startswith("      - ")]
    assert len(verbs) == len((*RIGHTS, *LISTING_RIGHTS, *CLUSTER_RIGHTS, *DRIVER_RIGHTS))
    reasons = [line.partition("  # ")[2] for line in verbs]
    assert all(len(reason) > 10 for reason in reasons)
    assert not {right.purpose for right in RIGHTS if right.required} & set(reasons), "no more than a purpose"


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        pytest.param(
            (), {"kind": "ServiceAccount", "name": "airflow", "namespace": "airflow"}, id="nobody is named"
        ),
        pytest.param(
            ("--airflow-service-account", "data/worker"),
            {"kind": "ServiceAccount", "name": "worker", "namespace": "data"},
            id="a service account",
        ),
        pytest.param(
            ("--airflow-user", 'air flow: é # "x"'),
            {"kind": "User", "name": 'air flow: é # "x"', "apiGroup": "rbac.authorization.k8s.io"},
            id="a user",
        ),
        pytest.param(
            ("--airflow-user", "no"),
            {"kind": "User", "name": "no", "apiGroup": "rbac.authorization.k8s.io"},
            id="a user whose name YAML reads otherwise",
        ),
    ],
)
def test_airflow_is_who_is_said(
    options: tuple[str, ...], subject: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert subject_of(printed(capsys, *options), "airflow-spark-k8s") == subject


def test_the_drivers_service_account(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--service-account", "spark", namespace="123")
    (account,) = of_kind(text, "ServiceAccount")
    assert account["metadata"] == {"name": "spark", "namespace": "123"}
    expected = {"kind": "ServiceAccount", "name": "spark", "namespace": "123"}
    assert subject_of(text, "airflow-spark-k8s-driver") == expected


def test_nobody_takes_the_rights_of_another_away(capsys: pytest.CaptureFixture[str]) -> None:
    """`kubectl apply` replaces the subjects of a binding of the same name."""
    names = [
        binding["metadata"]["name"]
        for options in ((), ("--airflow-service-account", "b/airflow", "--service-account", "other"))
        for binding in of_kind(printed(capsys, *options), "RoleBinding")
    ]
    assert len(set(names)) == 4


@pytest.mark.parametrize(
    ("option", "value"),
    [
        pytest.param("--namespace", "Spark", id="a namespace with a capital letter"),
        pytest.param("--namespace", "a.b", id="a namespace with a dot"),
        pytest.param("--service-account", "spark_driver", id="a service account with an underscore"),
        pytest.param("--service-account", "", id="an empty service account"),
        pytest.param("--airflow-service-account", "airflow", id="a service account without a namespace"),
        pytest.param("--airflow-service-account", "", id="nothing as Airflow's service account"),
        pytest.param("--airflow-service-account", "a/b/c", id="too many parts"),
        pytest.param("--airflow-user", " ", id="a blank user"),
        pytest.param("--airflow-user", "a\nb", id="a user of two lines"),
    ],
)
def test_a_name_that_cannot_be_one_is_told(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--namespace", "spark"] if option != "--namespace" else []
    assert main(["rbac", *options, f"{option}={value}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"{option}={value!r}" in err
