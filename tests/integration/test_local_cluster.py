"""The local cluster as a whole: its process, its folder, and containers that run in it."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from kubernetes_asyncio import client, config

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.local.cluster import MARKER, LocalCluster, LocalClusterDidNotStart
from airflow_spark_k8s.local.requirements_check import MissingRequirement

pytestmark = pytest.mark.timeout(120)


def marked(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(directory=tmp_path) as cluster:
        yield cluster
    assert os.listdir(tmp_path) == []


def folder_of(cluster: LocalCluster) -> Path:
    return cluster.kubeconfig_path.parent


async def core(cluster: LocalCluster) -> client.CoreV1Api:
    connection = await config.new_client_from_config(
        config_file=str(cluster.kubeconfig_path), context=cluster.context
    )
    return client.CoreV1Api(connection)


def sleeper(name: str, command: list[str]) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": command}
    return {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container]}}


async def run_pod(cluster: LocalCluster, pod: dict[str, Any], phase: str) -> Any:
    api = await core(cluster)
    async with api.api_client:
        await api.create_namespaced_pod(cluster.namespace, pod)
        while True:
            seen = await api.read_namespaced_pod(pod["metadata"]["name"], cluster.namespace)
            if seen.status.phase == phase:
                return seen
            await asyncio.sleep(0.05)


def test_only_the_owner_may_read_the_folder_and_the_kubeconfig(cluster: LocalCluster) -> None:
    assert folder_of(cluster).stat().st_mode & 0o777 == 0o700
    assert cluster.kubeconfig_path.stat().st_mode & 0o777 == 0o600
    kubeconfig = yaml.safe_load(cluster.kubeconfig_path.read_text())
    assert kubeconfig["current-context"] == cluster.context


def test_the_server_listens_on_loopback_and_wants_a_token(cluster: LocalCluster) -> None:
    assert cluster.server.startswith("https://127.")
    trust = ssl._create_unverified_context()
    request = urllib.request.Request(f"{cluster.server}/api/v1/namespaces/default/pods")
    with pytest.raises(urllib.error.HTTPError, match=r"40[13]") as error:
        urllib.request.urlopen(request, context=trust)
    error.value.close()


async def test_a_pod_runs_as_a_process_with_an_address_of_its_own(cluster: LocalCluster) -> None:
    seen = await run_pod(cluster, sleeper("hello", ["sh", "-c", "echo hello from $HOSTNAME"]), "Succeeded")
    assert seen.status.pod_ip.startswith("127.")
    assert seen.status.container_statuses[0].state.terminated.reason == "Completed"
    api = await core(cluster)
    async with api.api_client:
        assert await api.read_namespaced_pod_log("hello", cluster.namespace) == "hello from hello\n"


async def test_stopping_ends_every_process(tmp_path: Path) -> None:
    cluster = LocalCluster(directory=tmp_path).start()
    try:
        folder = folder_of(cluster)
        await run_pod(cluster, sleeper("long", ["sleep", "3000"]), "Running")
        wait_until(lambda: any("sleep" in p.cmdline() for p in marked(folder)))
    finally:
        cluster.stop()
    assert marked(folder) == []
    assert os.listdir(tmp_path) == []
    cluster.stop()


async def test_a_killed_server_leaves_nothing_behind_once_stopped(tmp_path: Path) -> None:
    cluster = LocalCluster(directory=tmp_path).start()
    folder = folder_of(cluster)
    try:
        await run_pod(cluster, sleeper("long", ["sleep", "3000"]), "Running")
        servers = [p for p in marked(folder) if "airflow_spark_k8s.local" in p.cmdline()]
        assert len(servers) == 1
        servers[0].send_signal(signal.SIGKILL)
    finally:
        cluster.stop()
    assert marked(folder) == []
    assert os.listdir(tmp_path) == []


OWNER = """
import sys, time
from pathlib import Path
from airflow_spark_k8s.local.cluster import LocalCluster
cluster = LocalCluster(directory=Path(sys.argv[1])).start()
print("ready", flush=True)
time.sleep(3000)
"""


def test_the_cluster_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"ready\n"
    (folder,) = tmp_path.iterdir()
    assert marked(folder)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    wait_until(lambda: not marked(folder) and not folder.exists())


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    (tmp_path / "clusters").mkdir()
    with pytest.raises(LocalClusterDidNotStart, match=r"server ended:\nno such luck"):
        LocalCluster(directory=tmp_path / "clusters").start()
    assert os.listdir(tmp_path / "clusters") == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        pytest.param({"memory": "plenty"}, "memory='plenty'", id="no quantity"),
        pytest.param({"cpu": ""}, "cpu=''", id="an empty quantity"),
        pytest.param({"nodes": 0}, "nodes=0", id="no node"),
    ],
)
def test_senseless_arguments_are_refused_before_anything_starts(
    tmp_path: Path, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=field):
        LocalCluster(directory=tmp_path, **arguments).start()
    assert os.listdir(tmp_path) == []


def test_an_image_mapped_to_a_folder_without_spark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingRequirement, match="map the image team/spark:1 to the folder"):
        LocalCluster(images={"team/spark:1": str(tmp_path)}).start()


def test_the_environments_proxy_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "https_proxy", "http://127.0.0.1:9")
    with LocalCluster(directory=tmp_path):
        pass
