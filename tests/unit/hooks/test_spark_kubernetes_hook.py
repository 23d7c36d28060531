from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from fake_server import TestServer

from airflow_spark_k8s.core.request import RecoveryRequest, Shaping
from airflow_spark_k8s.exceptions import InvalidConfiguration, Unauthorized, UnknownConnection
from airflow_spark_k8s.hooks.spark_kubernetes import (
    RECOVERY_EXTRAS,
    SHAPING_EXTRAS,
    SparkKubernetesHook,
    connection_settings,
)
from airflow_spark_k8s.kube.config import ClusterSettings

MakeConnection = Callable[..., str]

KUBECONFIG = {
    "current-context": "a",
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a", "namespace": "spark"}}],
    "clusters": [{"name": "a", "cluster": {"server": "https://k8s"}}],
    "users": [{"name": "a", "user": {"token": "tok3n-of-the-kubeconfig"}}],
}


def test_defaults_of_applications_are_read() -> None:
    settings = connection_settings(
        {
            "kube_config": KUBECONFIG,
            "image": "apache/spark:4.3.0",
            "spark_version": "4.3.0",
            "driver_service_account": "driver",
            "executor_service_account": "",
            "conf": {"spark.a": True, "spark.b": 2, "spark.c": "x", "spark.d": 0.5},
        }
    )
    assert settings.namespace == "spark"
    assert settings.image == "apache/spark:4.3.0"
    assert settings.spark_version == "4.3.0"
    assert settings.driver_service_account == "driver"
    assert settings.executor_service_account is None
    assert settings.conf == {"spark.a": "true", "spark.b": "2", "spark.c": "x", "spark.d": "0.5"}


def test_defaults_of_how_pods_are_shaped_are_read() -> None:
    extras: dict[str, Any] = {
        "burst_factor": '{"factor": 1.2, "fraction": 0.25}',
        "min_guaranteed_ratio": 0.2,
        "burst_offheap": None,
        "driver_priority_class": "drivers",
        "executor_qos_class": "Burstable",
    }
    assert connection_settings({"in_cluster": True, **extras}).shaping == Shaping(**extras)


def test_fields_of_the_form_that_were_left_empty_say_nothing() -> None:
    extras = dict.fromkeys(SHAPING_EXTRAS | RECOVERY_EXTRAS, "")
    settings = connection_settings({"in_cluster": True, **extras})
    assert (settings.shaping, settings.recovery) == (Shaping(), RecoveryRequest())


def test_defaults_of_how_executors_recover_are_read() -> None:
    extras: dict[str, Any] = {
        "memory_step_factor": "2",
        "max_executor_memory": "16g",
        "drain_fraction": 0,
        "sticky_recovery": False,
        "recovery_node_selector": '{"pool": "steady"}',
        "recovery_tolerations": [{"key": "spot", "operator": "Exists"}],
    }
    assert connection_settings({"in_cluster": True, **extras}).recovery == RecoveryRequest(**extras)


def test_conf_may_be_json_in_a_string() -> None:
    assert connection_settings({"in_cluster": True, "conf": '{"spark.a": "b"}'}).conf == {"spark.a": "b"}


@pytest.mark.parametrize("prefix", ["extra__kubernetes__", "extra__spark_kubernetes__"])
def test_names_with_the_forms_prefix_are_understood(prefix: str) -> None:
    settings = connection_settings({f"{prefix}in_cluster": True, f"{prefix}namespace": "n"})
    assert settings.cluster == ClusterSettings(in_cluster=True, namespace="n")


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        pytest.param(
            {"imagee": "x", "nmae": "y"}, r"\['imagee', 'nmae'\].*not known.*image", id="unknown extras"
        ),
        pytest.param({"conf": "{"}, "conf.*not JSON", id="conf is broken JSON"),
        pytest.param({"conf": [1]}, "conf.*object of Spark properties", id="conf is a list"),
        pytest.param({"conf": {"spark.a": {"b": 1}}}, "conf spark.a.*text, a number", id="a nested value"),
        pytest.param({"image": ["x"]}, "image.*must be text", id="an image that is no text"),
        pytest.param(
            {"burst_factor": 0.5}, r"^burst_factor \(from the connection\)=0.5", id="a factor below 1"
        ),
        pytest.param(
            {"executor_qos_class": "Good"},
            r"executor_qos_class \(from the connection\)='Good'",
            id="an unknown class",
        ),
        pytest.param(
            {"memory_step_factor": "1"},
            r"^memory_step_factor \(from the connection\)='1'",
            id="memory that does not grow",
        ),
        pytest.param(
            {"recovery_tolerations": "{"},
            r"^recovery_tolerations \(from the connection\)='{'.*JSON",
            id="tolerations that are no JSON",
        ),
        pytest.param({"learn": "runs"}, "not known", id="learning is a matter of each task"),
        pytest.param({"xcom_sidecar_container_image": "x"}, "not known", id="an extra of another type"),
    ],
)
def test_extras_that_cannot_work_are_refused(extras: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfiguration, match=message):
        connection_settings({"in_cluster": True, **extras})


def test_a_connection_of_the_type_kubernetes_may_be_used_as_it_is(connection: MakeConnection) -> None:
    extra = {"kube_config": json.dumps(KUBECONFIG), "xcom_sidecar_container_image": "alpine"}
    settings = SparkKubernetesHook(connection(extra, conn_type="kubernetes")).settings
    assert settings.namespace == "spark"


def test_a_connection_without_extras_means_the_default_kubeconfig(
    connection: MakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(InvalidConfiguration, match="KUBECONFIG='/nowhere'"):
        _ = SparkKubernetesHook(connection("")).settings


@pytest.mark.parametrize("extra", [pytest.param("{", id="broken"), pytest.param("[1]", id="a list")])
def test_extras_that_are_no_json_object_are_refused(connection: MakeConnection, extra: str) -> None:
    with pytest.raises(InvalidConfiguration, match="extra="):
        _ = SparkKubernetesHook(connection(extra)).settings


def test_an_unknown_connection_is_named() -> None:
    with pytest.raises(UnknownConnection, match=r"conn_id='nope': no such connection.*spark_kubernetes"):
        _ = SparkKubernetesHook("nope").settings


async def test_an_unknown_connection_is_named_on_an_event_loop() -> None:
    with pytest.raises(UnknownConnection, match="conn_id='nope'"):
        await SparkKubernetesHook("nope").cluster()


async def test_a_cluster_is_opened_on_an_event_loop(connection: MakeConnection, server: TestServer) -> None:
    server.answers({"gitVersion": "v1.36.0"})
    hook = SparkKubernetesHook(connection({"kube_config": server.kubeconfig()}))
    async with await hook.cluster() as cluster:
        assert await cluster.request("GET", "/version") == {"gitVersion": "v1.36.0"}
    assert (await hook.load_settings()).namespace == "spark"


@pytest.mark.parametrize("lasting", [True, False])
async def test_a_lasting_client_follows_its_connection(
    connection: MakeConnection, server: TestServer, lasting: bool
) -> None:
    async def answer(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer new-t0ken"
        return web.json_response({}, status=200 if good else 401)

    server.answer = answer
    hook = SparkKubernetesHook(connection({"kube_config": server.kubeconfig(token="old-t0ken")}))
    async with await hook.cluster(lasting=lasting) as cluster:
        connection({"kube_config": server.kubeconfig(token="new-t0ken")})
        if lasting:
            assert await cluster.request("GET", "/version") == {}
        else:
            with pytest.raises(Unauthorized):
                await cluster.request("GET", "/version")


def test_credentials_of_a_kubeconfig_are_masked(connection: MakeConnection) -> None:
    from airflow.sdk._shared.secrets_masker import redact

    _ = SparkKubernetesHook(connection({"kube_config": json.dumps(KUBECONFIG)})).settings
    assert "tok3n-of-the-kubeconfig" not in str(redact("a line with tok3n-of-the-kubeconfig"))


def answering(denied: tuple[str, ...]) -> Any:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/version":
            return web.json_response({"gitVersion": "v1.36.0"})
        attributes = (await request.json())["spec"]["resourceAttributes"]
        name = "/".join(filter(None, (attributes["resource"], attributes.get("subresource"))))
        return web.json_response({"status": {"allowed": f"{attributes['verb']} {name}" not in denied}})

    return answer


@pytest.mark.parametrize(
    ("denied", "works", "message"),
    [
        pytest.param((), True, "v1.36.0, namespace spark: everything needed is allowed", id="all is well"),
        pytest.param(
            ("create pods",), False, "not allowed: create pods (driver and executors)", id="not enough"
        ),
        pytest.param(("get pods/log",), True, "works, but not allowed: get pods/log", id="enough"),
    ],
)
async def test_the_connection_test_says_what_is_allowed(
    connection: MakeConnection, server: TestServer, denied: tuple[str, ...], works: bool, message: str
) -> None:
    server.answer = answering(denied)
    hook = SparkKubernetesHook(connection({"kube_config": server.kubeconfig()}))
    status, text = await asyncio.to_thread(hook.test_connection)
    assert status is works
    assert message in text


async def test_the_connection_test_tells_what_is_wrong(connection: MakeConnection) -> None:
    hook = SparkKubernetesHook(connection({"in_cluster": True}))
    status, text = await asyncio.to_thread(hook.test_connection)
    assert status is False
    assert "does not run in a pod" in text


def test_importing_the_hook_brings_no_client_library() -> None:
    script = (
        "import sys, airflow.sdk; from airflow.sdk import BaseHook; before = set(sys.modules)\n"
        "import airflow_spark_k8s.hooks.spark_kubernetes\n"
        "heavy = {'kubernetes', 'kubernetes_asyncio', 'yaml', 'aiohttp'}\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
