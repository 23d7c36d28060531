"""A real Airflow on PostgreSQL with two triggerers, and what its runs left behind in the cluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psutil

from airflow_spark_k8s.local.airflow import LocalAirflow
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from tests.e2e.processes import objects_of, wait_until
from tests.faults.postgresql import PostgreSQL

T = TypeVar("T")

PATIENCE_SECONDS = 180.0
TASK_ID = "wait"
COMPONENTS = ("api-server", "dag-processor", "scheduler")
TRIGGERERS = ("first-triggerer", "second-triggerer")

FASTER = {
    # The defaults notice a dead triggerer after 30 s and a dead worker after 300 s.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    # Tasks that are watched on a worker keep it.
    "AIRFLOW__CORE__PARALLELISM": "8",
}


@dataclass(frozen=True, eq=False)
class Deployment:
    """What the scenarios share."""

    airflow: LocalAirflow
    cluster: SparkCluster
    database: PostgreSQL
    records: Path  # one folder for each run of a DAG
    started: dict[str, datetime] = field(default_factory=dict)  # by name of the process: when, the last time

    def begin(self, dag_id: str) -> Run:
        """A new run of the DAG."""
        return Run(self, dag_id, self.airflow.trigger(dag_id))

    @property
    def triggerer_ids(self) -> dict[str, int]:
        """By name: the number, in Airflow's database, of each triggerer that runs and has reported to it."""
        params = {"job_type": "TriggererJob", "limit": 100}
        return {
            job["unixname"]: job["id"]
            for job in self.airflow.api("GET", "/api/v2/jobs", params=params)["jobs"]
            if datetime.fromisoformat(job["start_date"]) >= self.started[job["unixname"]]
            # Until its second heartbeat a process still loads what it needs, and may look dead.
            and job["latest_heartbeat"] > job["start_date"]
        }

    def start(self, *names: str) -> None:
        """Start processes of Airflow, and return when they work."""
        for name in names:
            self.started[name] = datetime.now(UTC)
            if name in TRIGGERERS:
                # Airflow notes the user of a process, which is the only way to give it a name.
                self.airflow.start("triggerer", name, {"LOGNAME": name})
            else:
                self.airflow.start(name)
        self.airflow.wait_for_dag("deferred")
        triggerers = set(names) & set(TRIGGERERS)
        wait_until(
            lambda: triggerers <= set(self.triggerer_ids),
            seconds=PATIENCE_SECONDS,
            what=f"{triggerers} at work",
        )

    def repair(self) -> None:
        """Start what does not run, and return when it works."""
        self.database.resume()
        names = (*COMPONENTS, *TRIGGERERS)
        self.start(*(n for n in names if n not in self.started or self.airflow.process(n).poll() is not None))

    def kill(self, *names: str) -> None:
        """SIGKILL processes of Airflow with all they started, as the end of their machine would."""
        for name in names:
            os.killpg(self.airflow.process(name).pid, signal.SIGKILL)
        for name in names:
            self.airflow.process(name).wait()

    def freeze(self, name: str) -> None:
        """Let a process of Airflow, with all it started, stand still as a paused machine would."""
        os.killpg(self.airflow.process(name).pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        os.killpg(self.airflow.process(name).pid, signal.SIGCONT)

    def gc(self, *options: str) -> str:
        """What `airflow-spark-k8s gc` prints."""
        command = [str(Path(sys.executable).parent / "airflow-spark-k8s"), "gc", "--conn-id"]
        done = subprocess.run(
            [*command, "spark_kubernetes_default", *options],
            env=self.airflow.env(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a DAG whose only task waits for its application."""

    deployment: Deployment
    dag_id: str
    run_id: str

    @property
    def task(self) -> dict[str, Any]:
        """The task instance's latest try, as Airflow shows it."""
        return self.deployment.airflow.task_instance(self.dag_id, self.run_id, TASK_ID)

    @property
    def state(self) -> str | None:
        """State of the task instance."""
        state: str | None = self.task["state"]
        return state

    @property
    def triggerer(self) -> str | None:
        """Name of the triggerer that has the task; None: none of those that were started last."""
        number = (self.task["triggerer_job"] or {}).get("id")
        ids = self.deployment.triggerer_ids
        return next((name for name in ids if ids[name] == number), None)

    @property
    def record(self) -> list[str]:
        """What the run's drivers noted: name of the pod, and what happened."""
        file = self._folder / "record"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def drivers(self) -> list[str]:
        """Names of the driver pods whose drivers ran, in this order; fails if two ran at once."""
        assert not (self._folder / "two-at-once").exists(), self.record
        return [line.split()[0] for line in self.record if line.endswith(" started")]

    @property
    def left(self) -> dict[str, list[dict[str, Any]]]:
        """Objects of the run in the cluster, by kind; empty: nothing."""
        return objects_of(self.deployment.cluster, self.dag_id, self.run_id)

    def log(self, try_number: int = 1) -> list[str]:
        """Lines of the task's log."""
        lines = self.deployment.airflow.task_log(self.dag_id, self.run_id, TASK_ID, try_number)
        return [line.text for line in lines]

    def logs(self, pattern: str, try_number: int = 1) -> bool:
        """Whether a line of the task's log begins as the pattern says."""
        return any(re.match(pattern, line) for line in self.log(try_number))

    def await_that(self, look: Callable[[], T], what: str) -> T:
        """The first truthy thing that `look` returns; fails with what the run is like instead."""
        try:
            return wait_until(look, seconds=PATIENCE_SECONDS, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._described()}") from None

    def await_state(self, *states: str) -> None:
        """Return when the task is in one of the states."""
        self.await_that(lambda: self.state in states, f"{self.dag_id}: {' or '.join(states)}")

    def await_watched(self) -> None:
        """Return when the driver runs and a trigger of a live triggerer has seen that."""
        self.await_state("deferred")
        self.await_that(lambda: self.drivers, "a driver that runs")
        self.await_that(lambda: self.triggerer and self.logs("driver pod .* is running"), "a trigger's look")

    def await_gone(self) -> None:
        """Return when nothing of the run is left in the cluster."""
        self.await_that(lambda: not self.left, "nothing left")
        assert self.drivers  # which fails if two ran at once

    def tell(self, exit_code: int) -> None:
        """Let the run's driver end, and any later one."""
        order = self._folder / "exit-code.new"
        order.write_text(str(exit_code))
        order.rename(order.with_suffix(""))

    def assert_kept(self, driver: str, phase: str) -> None:
        """Fail unless exactly what retention keeps is left: an ended Job and its ended pods."""
        left = self.left
        (job,) = left["jobs"]
        assert job["spec"]["ttlSecondsAfterFinished"] == 600
        pods = {pod["metadata"]["name"]: pod["status"]["phase"] for pod in left["pods"]}
        assert pods.pop(driver) == phase
        assert not [name for name, other in pods.items() if other not in ("Succeeded", "Failed")], pods

    @property
    def _folder(self) -> Path:
        return self.deployment.records / self.dag_id / self.run_id

    def kill_worker(self) -> None:
        """SIGKILL the task's process and the one that supervises it, as the end of their machine would."""
        pid = self.task["pid"]
        for process in (psutil.Process(pid).ppid(), pid):  # first who would tell of the other's end
            os.kill(process, signal.SIGKILL)

    def _described(self) -> str:
        names = {
            kind: [
                item["metadata"]["name"] + f" ({(item.get('status') or {}).get('phase')})" for item in items
            ]
            for kind, items in self.left.items()
        }
        task = self.task
        lines = "\n".join(self.log(max(1, task["try_number"]))[-30:])
        return f"{task}\nrecord: {self.record}\nleft: {names}\nlog:\n{lines}"


def mark(run: Run, state: str) -> None:
    """Mark the run's task as a user does."""
    path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{TASK_ID}"
    run.deployment.airflow.api("PATCH", path, json={"new_state": state})


def clear(run: Run) -> None:
    """Clear the run's task as a user does."""
    body = {"dry_run": False, "only_failed": False, "dag_run_id": run.run_id, "task_ids": [TASK_ID]}
    run.deployment.airflow.api("POST", f"/api/v2/dags/{run.dag_id}/clearTaskInstances", json=body)
