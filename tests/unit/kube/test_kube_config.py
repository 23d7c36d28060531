from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.kube.config import (
    ClusterSettings,
    cluster_settings,
    context_of,
    namespace_of,
    read_kubeconfig,
    runs_in_cluster,
)


def kubeconfig(name: str = "main", *, namespace: str | None = None) -> dict[str, Any]:
    context = {"cluster": name, "user": name, **({"namespace": namespace} if namespace else {})}
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": context}],
        "clusters": [{"name": name, "cluster": {"server": "https://k8s"}}],
        "users": [{"name": name, "user": {"token": "s3cret-of-" + name}}],
    }


@pytest.fixture(autouse=True)
def _outside_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("t")
    (folder / "namespace").write_text("pods-own\n")
    return folder


def test_empty_extras_of_the_connection_form_count_as_not_given() -> None:
    extras = {
        "in_cluster": False,
        "kube_config_path": "",
        "kube_config": "",
        "cluster_context": None,
        "namespace": " ",
        "disable_verify_ssl": "",
        "disable_tcp_keepalive": "false",
    }
    assert cluster_settings(extras) == ClusterSettings()


def test_all_extras_are_read() -> None:
    extras = {
        "kube_config_path": "/k",
        "cluster_context": "c",
        "namespace": "n",
        "disable_verify_ssl": "True",
        "disable_tcp_keepalive": True,
    }
    assert cluster_settings(extras) == ClusterSettings(
        kube_config_path="/k", cluster_context="c", namespace="n", verify_tls=False, tcp_keepalive=False
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(kubeconfig(), id="an object"),
        pytest.param(json.dumps(kubeconfig()), id="JSON"),
        pytest.param(
            "current-context: main\n"
            "contexts: [{name: main, context: {cluster: main, user: main}}]\n"
            "clusters: [{name: main, cluster: {server: 'https://k8s'}}]\n"
            "users: [{name: main, user: {token: s3cret-of-main}}]\n",
            id="YAML",
        ),
    ],
)
def test_a_kubeconfig_may_be_given_as(content: object) -> None:
    assert cluster_settings({"kube_config": content}).kube_config == kubeconfig()


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        pytest.param({"in_cluster": "perhaps"}, "in_cluster.*true or false", id="no yes or no"),
        pytest.param({"namespace": 5}, "namespace.*must be text", id="a number for a name"),
        pytest.param({"kube_config": 5}, "kube_config.*kubeconfig as JSON or YAML", id="a number"),
        pytest.param({"kube_config": "just text"}, "kube_config.*mapping with clusters", id="just text"),
        pytest.param(
            {"kube_config": "a: [s3cret\nb"}, "kube_config.*neither JSON nor YAML", id="broken YAML"
        ),
        pytest.param({"kube_config": "\x00"}, "kube_config.*neither JSON nor YAML", id="no text at all"),
        pytest.param({"kube_config": {"clusters": []}}, "'contexts'", id="no contexts"),
        pytest.param(
            {"kube_config": {**kubeconfig(), "users": [{"user": {}}]}},
            "'users'",
            id="an entry without a name",
        ),
        pytest.param(
            {"in_cluster": True, "kube_config_path": "/k"},
            "in_cluster.*kube_config_path.*only one",
            id="two sources",
        ),
    ],
)
def test_extras_that_cannot_work_are_refused(extras: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfiguration, match=message) as raised:
        cluster_settings(extras)
    assert "s3cret" not in str(raised.value)


def test_secrets_of_a_kubeconfig_are_not_shown() -> None:
    settings = cluster_settings({"kube_config": kubeconfig()})
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(context_of(kubeconfig(), None))


def test_a_context_may_do_without_a_user() -> None:
    given = kubeconfig()
    del given["contexts"][0]["context"]["user"]
    assert context_of(given, None).user == {}


@pytest.mark.parametrize(
    ("change", "context", "message"),
    [
        pytest.param({}, "other", "cluster_context='other'.*it has: main", id="unknown context"),
        pytest.param({"current-context": ""}, None, "no current-context", id="no current context"),
        pytest.param({"users": []}, None, "context 'main' needs this user", id="user missing"),
        pytest.param({"clusters": []}, None, "context 'main' needs this cluster", id="cluster missing"),
        pytest.param(
            {"clusters": [{"name": "main", "cluster": {"x": 1}}]}, None, "has no server", id="no address"
        ),
    ],
)
def test_a_context_that_leads_nowhere_is_refused(
    change: dict[str, Any], context: str | None, message: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=message):
        context_of({**kubeconfig(), **change}, context)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match=r"kube_config_path='/nowhere'.*no such file"):
        read_kubeconfig(ClusterSettings(kube_config_path="/nowhere"))
    with pytest.raises(InvalidConfiguration, match=rf"KUBECONFIG='{tmp_path}/.kube/config'.*no such file"):
        read_kubeconfig(ClusterSettings())


def test_a_malformed_kubeconfig_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_text("a: b: c")
    with pytest.raises(InvalidConfiguration, match=f"kube_config_path {path}"):
        read_kubeconfig(ClusterSettings(kube_config_path=str(path)))


def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        read_kubeconfig(ClusterSettings(kube_config_path=str(tmp_path)))


def test_of_several_files_the_first_that_has_an_entry_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(json.dumps(kubeconfig("one", namespace="n1")))
    two.write_text(json.dumps(kubeconfig("two", namespace="n2")))
    paths = os.pathsep.join([str(one), str(tmp_path / "missing"), str(two)])
    merged = read_kubeconfig(ClusterSettings(kube_config_path=paths))
    assert context_of(merged, None).name == "one"
    assert context_of(merged, "two").namespace == "n2"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            ClusterSettings(namespace="own", kube_config=kubeconfig()), "own", id="the connection's"
        ),
        pytest.param(ClusterSettings(kube_config=kubeconfig(namespace="ctx")), "ctx", id="the context's"),
        pytest.param(ClusterSettings(kube_config=kubeconfig()), "default", id="else default"),
        pytest.param(ClusterSettings(in_cluster=True), "pods-own", id="the pod's own"),
    ],
)
def test_the_namespace_is(settings: ClusterSettings, expected: str, service_account: Path) -> None:
    assert namespace_of(replace(settings, service_account_folder=service_account)) == expected


def test_a_pod_without_a_namespace_file_uses_default(tmp_path: Path) -> None:
    assert namespace_of(ClusterSettings(in_cluster=True, service_account_folder=tmp_path)) == "default"


def test_without_extras_a_pod_uses_its_service_account_and_others_their_kubeconfig(
    service_account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ClusterSettings(service_account_folder=service_account)
    assert not runs_in_cluster(settings)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert runs_in_cluster(settings)
    assert not runs_in_cluster(replace(settings, cluster_context="main"))
    assert not runs_in_cluster(replace(settings, service_account_folder=service_account / "missing"))
