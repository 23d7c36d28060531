"""Spark applications on paper: drivers that answer REST, accept executors and finish their tasks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.kubelet_runtime import ProxyAnswer, ProxyRequest
from airflow_spark_k8s.local.manifests import is_terminal, labels_of
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_runtime import PaperScript
from airflow_spark_k8s.local.resources import PODS
from airflow_spark_k8s.local.timers import TimerHandle

UI_PORT = 4040
TICK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SparkModel:
    """How the applications of a `PaperSpark` behave; times in seconds."""

    port_seconds: float = 2.0  # from the driver's start until executors can connect and probes pass
    application_seconds: float = 6.0  # from the driver's start until REST knows the application
    registration_seconds: float = 4.0  # from an executor's start until it is registered
    lost_registrations: frozenset[str] = frozenset()  # executor ids that run and never register
    tasks: int = 20
    task_seconds: float = 1.0
    exit_code: int = 0  # of the driver after its last task
    term_seconds: float = 0.0  # that driver and executors take to end after SIGTERM
    ui: bool = True  # False: nothing listens on the UI's port
    version: str = "4.3.0"
    remove_reason: str = "lost"  # what the driver says of an executor that it has lost
    properties: Mapping[str, str] = field(default_factory=dict)  # shown by /environment, besides our own


@dataclass(slots=True)
class PaperExecutor:
    """One executor as its driver sees it."""

    executor_id: str
    pod: Manifest
    cores: int
    completed_tasks: float = 0.0
    active: bool = True


@dataclass(slots=True)
class PaperApplication:
    """One driver and what it knows; the application id is the driver pod's name."""

    driver: Manifest
    up: bool = False
    completed_tasks: float = 0.0
    executors: dict[str, PaperExecutor] = field(default_factory=dict)  # by executor id
    timers: list[TimerHandle] = field(default_factory=list)

    @property
    def application_id(self) -> str:
        """Id of the application."""
        return str(self.driver["metadata"]["name"])

    @property
    def registered(self) -> list[PaperExecutor]:
        """The executors that are registered now."""
        return [each for each in self.executors.values() if each.active]


class PaperSpark:
    """
    Plays every driver and executor pod of a paper cluster that carries Spark's labels.

    Executors register some seconds after their container runs if their driver's application is up; with
    registered executors the driver works off its tasks, then it ends and its executors follow.
    """

    def __init__(self, cluster: PaperCluster, model: SparkModel | None = None) -> None:
        self.model = model or SparkModel()
        self.applications: dict[str, PaperApplication] = {}  # by the driver pod's uid
        self._cluster = cluster
        self._seen: set[str] = set()
        for role in ("driver", "executor"):
            cluster.runtime.script(self.script(role), labels={"spark-role": role})
        cluster.store.subscribe(self._on_event)

    def script(self, role: str, *, pull_error: str | None = None) -> PaperScript:
        """What becomes of a `driver` or an `executor`; `pull_error` None: it has its image."""
        return PaperScript(
            pull_error=pull_error,
            ready_seconds=self.model.port_seconds if role == "driver" else 0.0,
            term_seconds=self.model.term_seconds,
            log="Running Spark on paper\n" if role == "driver" else "",
        )

    def application(self, driver_pod: str) -> PaperApplication:
        """The latest application of the driver pod of that name; raises `LookupError`."""
        found = [each for each in self.applications.values() if each.application_id == driver_pod]
        if not found:
            raise LookupError(f"no driver pod {driver_pod} has run")
        return found[-1]

    # what happens to pods

    def _on_event(self, event: Event) -> None:
        if event.resource is not PODS:
            return
        pod = event.object
        role, uid = labels_of(pod).get("spark-role"), pod["metadata"]["uid"]
        if event.type == "DELETED" or is_terminal(pod):
            self._on_end(role, pod)
        elif uid not in self._seen and pod.get("status", {}).get("phase") == "Running":
            self._seen.add(uid)
            if role == "driver":
                self._on_driver(pod)
            elif role == "executor":
                self._later(self.model.registration_seconds, self._register, pod)

    def _later(self, delay: float, step: Callable[..., None], *args: object) -> TimerHandle:
        return self._cluster.timers.call_later(delay, step, *args)

    def _on_driver(self, pod: Manifest) -> None:
        application = self.applications[pod["metadata"]["uid"]] = PaperApplication(pod)
        application.timers.append(
            self._later(self.model.application_seconds, self._on_application_up, application)
        )

    def _on_application_up(self, application: PaperApplication) -> None:
        if not self._cluster.runtime.runs(application.driver):
            return  # its machine is gone
        application.up = True
        if self.model.ui:
            self._cluster.runtime.serve(
                application.driver, lambda request: self._answer(application, request)
            )
        application.timers.append(self._later(TICK_SECONDS, self._tick, application))

    def _register(self, pod: Manifest) -> None:
        labels = labels_of(pod)
        executor_id = labels.get("spark-exec-id", "")
        application = self._application_of(pod)
        if executor_id in self.model.lost_registrations or not self._cluster.runtime.runs(pod):
            return
        if application is None or not application.up or executor_id in application.executors:
            # Nobody to register with, or the id is taken: the executor gives up.
            self._cluster.runtime.end(pod, 1)
            return
        executor = PaperExecutor(executor_id, pod, _cores(pod))
        application.executors[executor_id] = executor

    def _application_of(self, executor: Manifest) -> PaperApplication | None:
        wanted = labels_of(executor).get("spark-app-selector")
        for application in reversed(list(self.applications.values())):
            if application.application_id == wanted and self._cluster.runtime.runs(application.driver):
                return application
        return None

    def _on_end(self, role: str | None, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if role == "driver" and uid in self.applications:
            application = self.applications[uid]
            for timer in application.timers:
                timer.cancel()
            for executor in application.registered:
                executor.active = False
                self._end_executor(executor.pod, 1)
        elif role == "executor":
            for application in self.applications.values():
                for executor in application.registered:
                    if executor.pod["metadata"]["uid"] == uid:
                        executor.active = False

    def _end_executor(self, pod: Manifest, exit_code: int) -> None:
        if self._cluster.runtime.runs(pod):
            self._cluster.runtime.end(pod, exit_code)

    # work

    def _tick(self, application: PaperApplication) -> None:
        left = self.model.tasks - application.completed_tasks
        for executor in application.registered:
            done = min(executor.cores * TICK_SECONDS / self.model.task_seconds, left)
            executor.completed_tasks += done
            application.completed_tasks += done
            left -= done
        if left > 0:
            application.timers.append(self._later(TICK_SECONDS, self._tick, application))
            return
        for executor in application.registered:
            executor.active = False
            self._end_executor(executor.pod, 0)
        if self._cluster.runtime.runs(application.driver):
            self._cluster.runtime.write_log(application.driver, "All tasks are done\n")
            self._cluster.runtime.end(application.driver, self.model.exit_code)

    # REST

    def _answer(self, application: PaperApplication, request: ProxyRequest) -> ProxyAnswer:
        if request.port != UI_PORT:
            return ProxyAnswer(refused=True)
        root = "/api/v1"
        base = f"{root}/applications/{application.application_id}"
        views: dict[str, Callable[[], object]] = {
            f"{root}/version": lambda: {"spark": self.model.version},
            f"{root}/applications": lambda: [self._summary(application)],
            base: lambda: self._summary(application),
            f"{base}/allexecutors": lambda: self._executors(application, active_only=False),
            f"{base}/executors": lambda: self._executors(application, active_only=True),
            f"{base}/stages": lambda: [self._stage(application)],
            f"{base}/jobs": lambda: [self._job(application)],
            f"{base}/environment": lambda: {"sparkProperties": self._properties(application)},
        }
        view = views.get(request.path.rstrip("/"))
        if view is None:
            return ProxyAnswer(404, "text/plain", b"no such app or path")
        return ProxyAnswer(body=json.dumps(view()).encode())

    def _summary(self, application: PaperApplication) -> Manifest:
        attempt = {"completed": False, "appSparkVersion": self.model.version, "sparkUser": "spark"}
        return {"id": application.application_id, "name": "on paper", "attempts": [attempt]}

    def _executors(self, application: PaperApplication, *, active_only: bool) -> list[Manifest]:
        driver: Manifest = {"id": "driver", "isActive": True, "totalCores": 0}
        known = application.registered if active_only else application.executors.values()
        return [driver, *(self._executor(application, each) for each in known)]

    def _executor(self, application: PaperApplication, executor: PaperExecutor) -> Manifest:
        done = int(executor.completed_tasks)
        busy = executor.cores if executor.active and application.completed_tasks < self.model.tasks else 0
        return {
            "id": executor.executor_id,
            "hostPort": f"{executor.pod['status'].get('podIP', '')}:7079",
            "isActive": executor.active,
            "totalCores": executor.cores,
            "maxTasks": executor.cores,
            "activeTasks": busy,
            "completedTasks": done,
            "failedTasks": 0,
            "totalTasks": done + busy,
            "rddBlocks": 0,
            "resourceProfileId": 0,
            "addTime": "2026-01-01T00:00:00.000GMT",
            **({} if executor.active else {"removeReason": self.model.remove_reason}),
        }

    def _stage(self, application: PaperApplication) -> Manifest:
        done = int(application.completed_tasks)
        cores = sum(each.cores for each in application.registered)
        return {
            "status": "COMPLETE" if done >= self.model.tasks else "ACTIVE",
            "stageId": 0,
            "numTasks": self.model.tasks,
            "numActiveTasks": min(cores, self.model.tasks - done),
            "numCompleteTasks": done,
            "numCompletedIndices": done,
            "numFailedTasks": 0,
        }

    def _job(self, application: PaperApplication) -> Manifest:
        done = int(application.completed_tasks)
        return {
            "jobId": 0,
            "status": "SUCCEEDED" if done >= self.model.tasks else "RUNNING",
            "numTasks": self.model.tasks,
            "numCompletedTasks": done,
            "numCompletedIndices": done,
            "numSkippedTasks": 0,
        }

    def _properties(self, application: PaperApplication) -> list[list[str]]:
        own = {
            "spark.app.id": application.application_id,
            "spark.executor.instances": "0",
            "spark.master": "k8s://https://10.96.0.1:443",
            "spark.submit.deployMode": "client",
        }
        return sorted([key, value] for key, value in {**own, **self.model.properties}.items())


def _cores(pod: Manifest) -> int:
    for variable in pod["spec"]["containers"][0].get("env") or ():
        if variable["name"] == "SPARK_EXECUTOR_CORES":
            return int(variable.get("value") or 1)
    return 1
