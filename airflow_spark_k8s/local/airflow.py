"""A real Airflow on this machine, for demos and tests: SQLite, LocalExecutor, loopback only."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from airflow_spark_k8s.local.descendants import adopt_orphans, end_processes
from airflow_spark_k8s.local.kubeconfig import connection_json

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server", "--host", "127.0.0.1", "--workers", "1"),
    "dag-processor": ("dag-processor",),
    # Serving logs binds every interface; on one machine the files are read directly.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


class AirflowDidNotStart(RuntimeError):
    """A component of the local Airflow ended or did not answer; carries the end of its log."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a task's log."""

    text: str
    logger: str = ""  # name of the Python logger; empty: not told


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class LocalAirflow:
    """
    Real Airflow processes on a temporary AIRFLOW_HOME; a context manager.

    :param dags: folder with the DAG files.
    :param kubeconfig: file that the connection `spark_kubernetes_default` names; None makes no connection.
    :param extra: further extras of that connection, such as `image`.
    :param environment: more environment variables for every component.
    :param components: what to start at once; the rest, and seconds of a kind, with `start`.
    """

    dags: Path
    kubeconfig: Path | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    components: tuple[str, ...] = tuple(COMPONENTS)
    username: str = "admin"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    port: int = field(default_factory=free_port)
    home: Path = field(init=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(init=False, default_factory=dict)
    _token: str | None = field(init=False, default=None, repr=False)

    @property
    def url(self) -> str:
        """Address of the UI and of the REST API."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LocalAirflow:
        adopt_orphans()
        self.home = Path(tempfile.mkdtemp(prefix="airflow-spark-k8s-airflow-"))
        try:
            self._prepare()
            for component in self.components:
                self.start(component)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def env(self) -> dict[str, str]:
        """Environment of every component, and of `airflow` commands against this deployment."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": self._keys["fernet"],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.username}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": self._keys["api"],
            "AIRFLOW__API_AUTH__JWT_SECRET": self._keys["jwt"],
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
        }
        if self.kubeconfig is not None:
            own["AIRFLOW_CONN_SPARK_KUBERNETES_DEFAULT"] = connection_json(self.kubeconfig, self.extra)
        return {**inherited, **own, **self.environment}

    def start(
        self, component: str, name: str | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """
        Start one component (again); its output goes to `<home>/<name>.log`.

        :param name: tells several of one component apart; None: the component's name.
        :param environment: more environment variables for this process.
        """
        name = name or component
        argv = [str(Path(sys.executable).parent / "airflow"), *COMPONENTS[component]]
        with (self.home / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                argv,
                env={**self.env(), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        return process

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """The process that was last started under this name."""
        return self._processes[name]

    def stop(self) -> None:
        """End every process of this Airflow and remove its folder; safe to call twice."""
        end_processes([p.pid for p in self._processes.values()], grace_seconds=10.0)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()
        shutil.rmtree(self.home, ignore_errors=True)

    def log_tail(self, name: str, lines: int = 20) -> str:
        """Last lines that the component of this name printed."""
        path = self.home / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def wait_for_dag(self, dag_id: str, timeout_seconds: float = 120.0) -> None:
        """Return once the API server knows the DAG; raises `AirflowDidNotStart` with the reason otherwise."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise AirflowDidNotStart(f"airflow {name} ended:\n{self.log_tail(name)}")
            with contextlib.suppress(httpx.HTTPError):
                if self._call("GET", f"/api/v2/dags/{dag_id}").status_code == httpx.codes.OK:
                    return
            time.sleep(0.5)
        raise AirflowDidNotStart(
            f"DAG {dag_id!r} did not appear in {timeout_seconds:.0f} s:\n{self.log_tail('dag-processor')}"
        )

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of the DAG; returns its run id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        answer = self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def api(self, method: str, path: str, **kwargs: Any) -> Any:
        """JSON answer of one call to Airflow's REST API; `path` begins with `/api/v2`."""
        answer = self._call(method, path, **kwargs)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def run_state(self, dag_id: str, run_id: str) -> str:
        """State of a DAG run: queued, running, success or failed."""
        return str(self.api("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instance(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """One task instance as the REST API shows it."""
        return dict(self.api("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"))

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> Iterator[LogLine]:
        """Lines of a task's log, worker's and trigger's together, in the order the UI shows them."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        for entry in self.api("GET", path, params={"full_content": "true"})["content"]:
            if isinstance(entry, str):
                yield LogLine(entry)
            else:
                yield LogLine(str(entry.get("event", "")), str(entry.get("logger") or ""))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Value of one XCom of a task."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.api("GET", path, params={"deserialize": "false", "stringify": "false"})["value"]

    def _prepare(self) -> None:
        self.home.chmod(0o700)
        self._keys = {name: secrets.token_urlsafe(32) for name in ("api", "jwt")}
        self._keys["fernet"] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({self.username: self.password}))
        airflow = str(Path(sys.executable).parent / "airflow")
        done = subprocess.run(
            [airflow, "db", "migrate"], env=self.env(), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise AirflowDidNotStart(
                f"airflow db migrate failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )

    def _call(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        if self._token is None:
            login = {"username": self.username, "password": self.password}
            answer = httpx.post(f"{self.url}/auth/token", json=login, timeout=10.0)
            answer.raise_for_status()
            self._token = str(answer.json()["access_token"])
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=30.0, **kwargs)
