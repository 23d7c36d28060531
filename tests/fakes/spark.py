"""A Job controller, a kubelet and Spark, simulated just well enough for one application on a FakeCluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.settings import PLAIN_EXECUTOR_KEY, ControllerSettings
from airflow_spark_k8s.core.spec import AllocationSettings, ApplicationReference, RecoverySettings
from airflow_spark_k8s.exceptions import ServerError
from tests.fakes.cluster import JSON, FakeCluster
from tests.fakes.objects import DRIVER, EXECUTOR, RUNNING, status, terminated

LABELS = {"airflow-spark-k8s/application": "app"}
PODS = "/api/v1/namespaces/spark/pods"
JOB = "/apis/batch/v1/namespaces/spark/jobs/app-r0"
CONFIG_MAP = "/api/v1/namespaces/spark/configmaps/app-app"
REFERENCE = ApplicationReference("spark", "app", "app-r0", "uid-of-job", "ti-1")


@dataclass
class Application:
    """One application whose driver ends after all its executors have worked for a while."""

    cluster: FakeCluster
    allocation: AllocationSettings
    max_driver_restarts: int = 3
    work_seconds: float = 5.0  # from the moment when the last executor has registered
    exit_code: int | None = 0  # of the driver; None: it never ends
    fates: dict[int, Mapping[str, Any]] = field(
        default_factory=dict
    )  # executor id -> status, 1 s after start
    rest_up: bool = True  # the REST API can be reached once the driver has started
    registers: Callable[[int], bool] = lambda number: True
    rollout: Rollout | None = None  # None: no executor bursts
    recovery: RecoverySettings | None = None  # None: it is off
    executor_cores: int = 1
    peaks_mib: dict[int, int] = field(default_factory=dict)  # executor id -> what the driver tells of it
    version: str = "4.3.0"
    environment: dict[str, str] = field(
        default_factory=lambda: {"spark.master": "k8s://https://x", "spark.executor.instances": "0"}
    )
    drivers: int = 0
    registered: dict[str, float] = field(default_factory=dict)  # pod name -> when
    most_alive: int = 0
    ids_used: list[str] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def submit(self) -> None:
        """Put the Job and its ConfigMap there and let things happen."""
        settings = ControllerSettings(
            self.allocation,
            spark_version=(4, 3, 0),
            max_driver_restarts=self.max_driver_restarts,
            rollout=self.rollout,
            recovery=self.recovery,
            executor_cores=self.executor_cores,
        )
        manifest = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": EXECUTOR}]}}
        data = {"settings.json": settings.to_json(), "executor.json": json.dumps(manifest)}
        if self.rollout is not None:
            data[PLAIN_EXECUTOR_KEY] = json.dumps(manifest)
        self.cluster.put(CONFIG_MAP, {"metadata": {"name": "app-app"}, "data": data})
        self.cluster.listeners.append(self._changed)
        job = {
            "metadata": {"name": "app-r0", "uid": "uid-of-job", "labels": LABELS},
            "spec": {},
            "status": {},
        }
        self.cluster.put(JOB, job)
        self.start_driver()

    def start_driver(self) -> None:
        """Have the Job controller make a driver pod."""
        self.drivers += 1
        self._later(self._driver(f"app-r0-{self.drivers}"))

    @property
    def driver(self) -> JSON:
        """The newest driver pod."""
        return self.cluster.objects[f"{PODS}/app-r0-{self.drivers}"]

    def executors(self) -> list[JSON]:
        """Executor pods that are there."""
        return [pod for pod in self.cluster.named("pods") if "-exec-" in pod["metadata"]["name"]]

    def evict_driver(self) -> None:
        """Let the cluster take the driver away; the Job controller makes another one a second later."""
        path = f"{PODS}/{self.driver['metadata']['name']}"
        ended = status(
            "Failed", DRIVER, terminated(143), conditions={"DisruptionTarget": "EvictionByEvictionAPI"}
        )
        self._set(path, ended)
        self.cluster.remove(path)
        self._later(self._restart())

    async def stop(self) -> None:
        """End everything that still happens."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _later(self, happening: Any) -> None:
        task = asyncio.get_running_loop().create_task(happening)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _set(self, path: str, new_status: Mapping[str, Any], **spec: Any) -> None:
        pod = self.cluster.objects.get(path)
        if pod is not None and pod["status"].get("phase") not in ("Succeeded", "Failed"):
            self.cluster.put(
                path, {**pod, "status": dict(new_status), "spec": {**pod.get("spec", {}), **spec}}
            )

    async def _restart(self) -> None:
        await asyncio.sleep(1)
        job = self.cluster.objects.get(JOB)
        if job is not None and not job["status"].get("conditions"):
            self.start_driver()

    async def _driver(self, name: str) -> None:
        await asyncio.sleep(1)
        owner = {"kind": "Job", "name": "app-r0", "uid": "uid-of-job", "controller": True}
        labels = {**LABELS, "spark-role": "driver"}
        path = f"{PODS}/{name}"
        metadata = {"name": name, "labels": labels, "ownerReferences": [owner]}
        self.cluster.put(path, {"metadata": metadata, "spec": {}, "status": {"phase": "Pending"}})
        await asyncio.sleep(1)
        self._set(path, status("Running", DRIVER, RUNNING, podIP="10.0.0.1"), nodeName="node-1")
        await asyncio.sleep(4)
        self._set(path, status("Running", DRIVER, RUNNING, podIP="10.0.0.1", conditions={"Ready": ""}))
        await asyncio.sleep(4)
        self._serve_rest(name)
        while len(self._working(name)) < self.allocation.target or self.exit_code is None:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        await asyncio.sleep(self.work_seconds)
        if self.exit_code is not None and self._phase(name) == "Running":
            self.end_driver(
                name,
                status("Succeeded" if self.exit_code == 0 else "Failed", DRIVER, terminated(self.exit_code)),
            )

    def end_driver(self, name: str, ended: Mapping[str, Any]) -> None:
        """Let the driver end by itself, its executors follow, and the Job notice."""
        self._set(f"{PODS}/{name}", ended)
        for pod in self.executors():
            self._set(f"{PODS}/{pod['metadata']['name']}", status("Succeeded", EXECUTOR, terminated(0)))
        kind = "Complete" if ended["phase"] == "Succeeded" else "Failed"
        self._later(self._end_job(kind, "BackoffLimitExceeded" if kind == "Failed" else "CompletionsReached"))

    async def _end_job(self, kind: str, reason: str) -> None:
        await asyncio.sleep(1)
        job = self.cluster.objects.get(JOB)
        if job is not None:
            condition = {"type": kind, "status": "True", "reason": reason, "message": "as the Job says"}
            self.cluster.put(JOB, {**job, "status": {"conditions": [condition]}})

    def _working(self, driver: str) -> list[int]:
        return [
            number for number in self._known(driver) if self._phase(f"{driver}-exec-{number}") == "Running"
        ]

    def _known(self, driver: str) -> list[int]:
        names = [name.rpartition("-exec-") for name in self.registered]
        return [int(number) for owner, _, number in names if owner == driver]

    def _phase(self, name: str) -> str | None:
        pod = self.cluster.objects.get(f"{PODS}/{name}")
        return pod["status"].get("phase") if pod else None

    def _serve_rest(self, name: str) -> None:
        root = f"{PODS}/{name}:4040/proxy/api/v1/applications/{name}"
        app = {"id": name, "name": "x", "attempts": [{"appSparkVersion": self.version}]}
        answers: dict[str, Callable[[], Any]] = {
            "": lambda: app,
            "/environment": lambda: {"sparkProperties": list(self.environment.items())},
            "/allexecutors": lambda: [self._told(name, number) for number in self._known(name)],
            "/stages": lambda: [],
        }
        for path, answer in answers.items():
            self.cluster.texts[root + path] = self._answering(name, answer)

    def _answering(self, name: str, answer: Callable[[], Any]) -> Callable[[Mapping[str, str]], str]:
        def text(_: Mapping[str, str]) -> str:
            if not self.rest_up or self._phase(name) != "Running":
                raise ServerError("error trying to reach service: connection refused", status=503)
            return json.dumps(answer())

        return text

    def _told(self, driver: str, number: int) -> JSON:
        peaks = {"ProcessTreeJVMRSSMemory": self.peaks_mib.get(number, 0) * 2**20}
        active = number in self._working(driver)
        return {"id": str(number), "isActive": active, "totalCores": 1, "peakMemoryMetrics": peaks}

    # What follows from changes in the cluster.

    def _changed(self, kind: str, path: str, obj: JSON) -> None:
        if path == JOB:
            self._job_changed(kind, obj)
        elif "-exec-" in path and kind == "ADDED":
            self.ids_used.append(obj["metadata"]["name"])
            self._later(self._executor(path))
        elif path.startswith(PODS) and kind == "MODIFIED" and obj["metadata"].get("deletionTimestamp"):
            self._later(self._leave(path))
        elif path.startswith(PODS) and kind == "DELETED" and "-exec-" not in path:
            self._collect(obj["metadata"]["uid"])
        alive = [p for p in self.executors() if p["status"]["phase"] in ("Pending", "Running")]
        self.most_alive = max(self.most_alive, len(alive))

    def _job_changed(self, kind: str, job: JSON) -> None:
        if kind == "DELETED":
            for pod in self.cluster.named("pods"):
                if "-exec-" not in pod["metadata"]["name"]:
                    self.cluster.remove(f"{PODS}/{pod['metadata']['name']}")
        elif job["spec"].get("activeDeadlineSeconds") == 1 and not job["status"].get("conditions"):
            self.cluster.remove(f"{PODS}/app-r0-{self.drivers}")
            self._later(self._end_job("Failed", "DeadlineExceeded"))

    def _collect(self, driver_uid: str) -> None:
        for pod in self.executors():
            if pod["metadata"]["ownerReferences"][0]["uid"] == driver_uid:
                self.cluster.remove(f"{PODS}/{pod['metadata']['name']}")

    async def _executor(self, path: str) -> None:
        pod = self.cluster.objects[path]
        self.cluster.put(path, {**pod, "status": {"phase": "Pending"}})
        await asyncio.sleep(1)
        if f"{PODS}/{path.rpartition('/')[2].rpartition('-exec-')[0]}" not in self.cluster.objects:
            self.cluster.remove(path)  # the garbage collector finds no owner
        self._set(path, status("Running", EXECUTOR, RUNNING, conditions={"Ready": ""}), nodeName="node-2")
        await asyncio.sleep(1)
        number = path.rpartition("-exec-")[2]
        fate = self.fates.get(int(number))
        if fate is not None:
            self._set(path, fate)
        elif self.registers(int(number)) and path in self.cluster.objects:
            self.registered[path.rpartition("/")[2]] = asyncio.get_running_loop().time()

    async def _leave(self, path: str) -> None:
        await asyncio.sleep(1)
        self.cluster.remove(path)
