"""A local cluster in a process of its own, as a context manager."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.local.quantities import is_quantity
from airflow_spark_k8s.local.requirements_check import check_requirements, check_spark_home

MARKER = "AIRFLOW_SPARK_K8S_LOCAL_CLUSTER"
"""Environment variable of every process of a local cluster; its value is the cluster's folder."""

_STOP_SECONDS = 15.0
_KILL_SECONDS = 15.0
_WAIT_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.02
_QUIET_LOOKS = 2


class LocalClusterDidNotStart(RuntimeError):
    """The server of a local cluster ended or did not answer; carries the end of its log."""


@dataclass
class LocalCluster:
    """
    A Kubernetes API server stand-in with nodes that run containers as local processes; a context manager.

    Nothing is left when it stops: no process, no folder. It also ends when the process that started it dies.

    :param nodes: number of nodes.
    :param memory: what each node offers, as a Kubernetes quantity. The scheduler counts requests, so it may
        be more than this machine has: a container's limit is enforced on what it really uses.
    :param cpu: CPUs each node offers; may be more than this machine has, too.
    :param images: image reference, or pattern with `*`, → Spark home (empty: an image without Spark); in
        addition to `apache/spark:<version>` and `spark:<version>`, which stand for the installed pyspark.
    :param oom: what dies when a container exceeds its memory limit: the whole `container` (cgroup v2), or
        only its largest `child` process (cgroup v1).
    :param java_options: options of every driver and executor JVM, before their own. By default JVMs compile
        lightly: they start with half the CPU time, but compute slower in the long run. () changes nothing.
    :param rbac: whether service accounts may do only what roles and bindings allow. The kubeconfig's user may
        do everything all the same.
    :param directory: folder to make the private temporary folder in; None means the system's default.
    :param start_timeout_seconds: how long the server may take to answer.
    """

    nodes: int = 1
    memory: str = "32Gi"
    cpu: str = "16"
    images: Mapping[str, str] = field(default_factory=dict)
    oom: Literal["container", "child"] = "container"
    java_options: tuple[str, ...] = ("-XX:TieredStopAtLevel=1",)
    rbac: bool = False
    directory: Path | None = None
    start_timeout_seconds: float = 60.0
    namespace: str = "default"
    context: str = "airflow-spark-k8s-local"
    spark_image: str = "apache/spark:4.3.0"
    kubeconfig_path: Path = field(init=False)
    server: str = field(init=False)
    token: str = field(init=False, repr=False)
    _folder: Path | None = field(init=False, default=None, repr=False)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None, repr=False)

    def __enter__(self) -> LocalCluster:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> LocalCluster:
        """
        This cluster, once its API server answers.

        :raises MissingRequirement: this machine lacks something; one line says what to do.
        :raises InvalidConfiguration: an argument makes no sense.
        :raises LocalClusterDidNotStart: the server ended or does not answer.
        """
        check_requirements()
        self._check_arguments()
        self._folder = Path(tempfile.mkdtemp(prefix="airflow-spark-k8s-", dir=self.directory))
        try:
            self._launch(self._folder)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process of this cluster and remove its folder; safe to call twice."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        if self._folder is not None:
            end_marked_processes(str(self._folder))
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def connection_extra(self) -> dict[str, Any]:
        """Extras of an Airflow connection of type `spark_kubernetes` to this cluster."""
        return {
            "kube_config_path": str(self.kubeconfig_path),
            "cluster_context": self.context,
            "namespace": self.namespace,
            "image": self.spark_image,
        }

    def log(self) -> str:
        """What the server of this cluster has logged so far."""
        if self._folder is None:
            return ""
        path = self._folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _check_arguments(self) -> None:
        for name in ("memory", "cpu"):
            if not is_quantity(getattr(self, name)):
                remedy = "give a Kubernetes quantity such as 16Gi or 4"
                raise InvalidConfiguration(name, getattr(self, name), remedy)
        if self.nodes < 1:
            raise InvalidConfiguration("nodes", self.nodes, "a cluster needs at least one node")
        for image, home in self.images.items():
            if home:
                check_spark_home(Path(home), f"map the image {image} to the folder of a Spark distribution")

    def _launch(self, folder: Path) -> None:
        options = {
            "nodes": self.nodes,
            "memory": self.memory,
            "cpu": self.cpu,
            "images": dict(self.images),
            "oom": self.oom,
            "rbac": self.rbac,
            "java_options": list(self.java_options),
            "context": self.context,
            "namespace": self.namespace,
            "directory": str(folder),
        }
        command = [sys.executable, "-m", "airflow_spark_k8s.local", "--options", json.dumps(options)]
        with (folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C goes to the whole foreground group: whoever started the cluster decides when it ends.
                start_new_session=True,
                env={**os.environ, MARKER: str(folder)},
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout_seconds
        announced = self._announcement(deadline)
        self.server = announced["server"]
        self.token = announced["token"]
        self.kubeconfig_path = Path(announced["kubeconfig"])
        trust = ssl.create_default_context(cafile=announced["ca"])
        while not _answers(f"{self.server}/readyz", self.token, trust):
            if time.monotonic() > deadline:
                raise self._failure("does not answer /readyz")
            time.sleep(0.05)

    def _announcement(self, deadline: float) -> dict[str, str]:
        if self._process is None or self._process.stdout is None:
            raise LocalClusterDidNotStart("the local cluster was stopped while it started")
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._failure("did not start in time")
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    raise self._failure("ended")
                line += chunk
        return dict(json.loads(line))

    def _failure(self, what: str) -> LocalClusterDidNotStart:
        tail = "\n".join(self.log().splitlines()[-20:])
        return LocalClusterDidNotStart(f"the local cluster's server {what}:\n{tail}")


def end_marked_processes(folder: str) -> None:
    """
    Kill what still carries the marker of the cluster in `folder`, and what that has started.

    A server that is told to end takes its containers along; after a killed server this finds the rest. What
    is being killed may just have started something that was not there yet when it was looked for, and who is
    executing a program has no environment for a moment. So it is looked for until two looks find nothing.
    """
    deadline = time.monotonic() + _KILL_SECONDS
    quiet = 0
    while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
        found = _family(folder)
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=_WAIT_SECONDS)
        quiet = 0 if found else quiet + 1
        time.sleep(_LOOK_AGAIN_SECONDS)


def _family(folder: str) -> set[psutil.Process]:
    """Living processes with the marker and their descendants, who may have put the marker off."""
    marked = [p for p in psutil.process_iter() if p.pid != os.getpid() and _marker(p) == folder]
    found = set(marked)
    for process in marked:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.update(process.children(recursive=True))
    return {process for process in found if _lives(process)}


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _marker(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER)
    except (psutil.Error, OSError):
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _answers(url: str, token: str, trust: ssl.SSLContext) -> bool:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 (always https)
    # A proxy of the environment must not get between us and our own loopback address.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    try:
        with opener.open(request, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
