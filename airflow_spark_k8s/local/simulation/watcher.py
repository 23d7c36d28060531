"""Watches every change of the cluster: whether a promise was broken, and what drivers really did."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from airflow_spark_k8s.core.job_state import job_state
from airflow_spark_k8s.core.labels import (
    LABEL_APPLICATION,
    LABEL_TASK_INSTANCE,
    ROLE_DRIVER,
    SPARK_EXECUTOR_ID,
    SPARK_ROLE,
)
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.core.snapshot import owner_uid
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.conditions import is_deleting
from airflow_spark_k8s.local.manifests import is_terminal, labels_of, parse_timestamp
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.resources import JOBS, LEASES, PODS, SECRETS
from airflow_spark_k8s.local.simulation.trace import Trace

LEAVING_MARGIN_SECONDS = 30.0
"""A pod whose deletion takes this much longer than its grace period is on a dead node."""


@dataclass(slots=True)
class Driver:
    """What happened to one driver pod."""

    pod: Manifest
    job_uid: str
    exit_code: int | None = None  # None: it has not ended, or nobody saw how
    reason: str = ""
    succeeded_at: float | None = None
    waiting: dict[str, float] = field(default_factory=dict)  # reasons for not having started -> since when
    taken_away: bool = False

    @property
    def uid(self) -> str:
        """Uid of the pod."""
        return str(self.pod["metadata"]["uid"])

    @property
    def name(self) -> str:
        """Name of the pod."""
        return str(self.pod["metadata"]["name"])


@dataclass(slots=True)
class JobRecord:
    """What happened to one Job."""

    name: str
    earlier_uids: tuple[str, ...] = ()  # of the Jobs that it continues
    deleted: bool = False
    outcome: Outcome | None = None  # recorded on it


class Watcher:
    """
    Sees every change of the store.

    :param targets: number of executors that an application (by its label) asks for.
    :param secrets: texts that must not appear anywhere but in Secrets.
    :param broken: called with a message when a promise is broken.
    """

    def __init__(
        self,
        cluster: PaperCluster,
        trace: Trace,
        targets: Mapping[str, int],
        secrets: tuple[str, ...],
        broken: Callable[[str], None],
    ) -> None:
        self.drivers: dict[str, Driver] = {}  # by uid
        self.jobs: dict[str, JobRecord] = {}  # by uid
        self.executors: dict[str, dict[str, Manifest]] = {}  # driver uid -> name -> pod, present ones
        self.short_of_memory: set[str] = set()  # uids of drivers that lost an executor to a lack of memory
        self._used: set[tuple[str, str]] = set()  # driver uid, executor id
        self._cluster = cluster
        self._trace = trace
        self._targets = targets
        self._secrets = secrets
        self._broken = broken
        cluster.store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.resource is LEASES:
            return
        self._record(event)
        if event.resource is JOBS:
            self._on_job(event)
        elif event.resource is PODS:
            if labels_of(event.object).get(SPARK_ROLE) == ROLE_DRIVER:
                self._on_driver(event)
            else:
                self._on_executor(event)

    def _record(self, event: Event) -> None:
        metadata = event.object["metadata"]
        content = json.dumps(event.object if event.type == "ADDED" else _changing(event.object))
        self._trace.witness(content.encode())
        if event.resource is not SECRETS:
            for secret in self._secrets:
                if secret in content:
                    self._broken(f"a secret is in {event.resource.kind} {metadata['name']}")
        if event.resource in (PODS, JOBS):
            text = f"{event.resource.kind} {metadata['name']} {_state(event.object)}"
            self._trace.say("cluster", f"{event.type} {text}")

    @property
    def executors_created(self) -> int:
        """Executor pods that were ever created."""
        return len(self._used)

    # jobs

    def _on_job(self, event: Event) -> None:
        state = job_state(event.object)
        record = self.jobs.setdefault(state.uid, JobRecord(state.name, state.earlier_uids))
        record.deleted = record.deleted or event.type == "DELETED" or is_deleting(event.object)
        outcome = state.outcome
        if outcome is None or event.type == "DELETED":
            return
        if record.outcome is None:
            record.outcome = outcome
        elif outcome.verdict is not record.outcome.verdict:
            self._broken(
                f"the verdict on Job {record.name} changed from {record.outcome.verdict} to {outcome.verdict}"
            )

    # drivers

    def _on_driver(self, event: Event) -> None:
        pod = event.object
        uid = pod["metadata"]["uid"]
        driver = self.drivers.setdefault(uid, Driver(pod, owner_uid(pod) or ""))
        driver.pod = pod
        self._note_end(driver)
        if event.type == "DELETED" or is_deleting(pod) or _disrupted(pod):
            driver.taken_away = True
        live = [each for each in self.drivers.values() if self._cluster.runtime.runs(each.pod)]
        of_task = labels_of(pod).get(LABEL_TASK_INSTANCE)
        names = [each.name for each in live if labels_of(each.pod).get(LABEL_TASK_INSTANCE) == of_task]
        if len(names) > 1:
            self._broken(f"{len(names)} drivers run at once: {', '.join(names)}")

    def _note_end(self, driver: Driver) -> None:
        status = driver.pod.get("status") or {}
        for container in status.get("containerStatuses") or ():
            ended = container["state"].get("terminated")
            if ended is not None and driver.exit_code is None:
                driver.exit_code, driver.reason = int(ended["exitCode"]), ended.get("reason") or ""
            waiting = container["state"].get("waiting") or {}
            driver.waiting.setdefault(str(waiting.get("reason")), self._cluster.timers.time())
        # A node that shuts down reports a pod as failed even if its driver succeeded at that moment.
        if (status.get("phase") == "Succeeded" or driver.exit_code == 0) and driver.succeeded_at is None:
            driver.succeeded_at = self._cluster.timers.time()

    # executors

    def _on_executor(self, event: Event) -> None:
        pod, driver_uid = event.object, owner_uid(event.object)
        executor_id = labels_of(pod).get(SPARK_EXECUTOR_ID)
        if driver_uid is None or executor_id is None:
            return
        present = self.executors.setdefault(driver_uid, {})
        name = str(pod["metadata"]["name"])
        if event.type == "DELETED":
            present.pop(name, None)
            return
        present[name] = pod
        if _lacked_memory(pod):
            self.short_of_memory.add(driver_uid)
        if event.type != "ADDED":
            return
        if (driver_uid, executor_id) in self._used:
            self._broken(f"executor id {executor_id} of the driver of {name} is used twice")
        self._used.add((driver_uid, executor_id))
        live = [each for each in present.values() if self._counts(each)]
        target = self._targets[labels_of(pod)[LABEL_APPLICATION]]
        if len(live) > target:
            names = ", ".join(each["metadata"]["name"] for each in live)
            self._broken(f"{len(live)} executors, but {target} were asked for: {names}")

    def _counts(self, pod: Manifest) -> bool:
        """Whether the executor runs, as far as a controller can know."""
        if is_terminal(pod) or _has_ended(pod):
            return False
        gone_at = pod["metadata"].get("deletionTimestamp")
        if gone_at is None:
            return True
        late = self._cluster.wall_clock() - parse_timestamp(gone_at)
        return late.total_seconds() < LEAVING_MARGIN_SECONDS


def _changing(obj: Manifest) -> list[object]:
    """The parts of an object that may change, so that a secret might appear in them later."""
    return [obj["metadata"].get("annotations"), obj.get("status"), obj.get("data")]


def _state(obj: Manifest) -> str:
    metadata, status = obj["metadata"], obj.get("status") or {}
    conditions = [
        f"{each['type']}" + (f" ({each['reason']})" if each.get("reason") else "")
        for each in status.get("conditions") or ()
        if each["status"] == "True" and each["type"] not in _USUAL
    ]
    states = [
        f"{kind} {state.get('reason', '')}{state.get('exitCode', '')}".strip()
        for each in status.get("containerStatuses") or ()
        for kind, state in each["state"].items()
    ]
    leaving = ["being deleted"] if "deletionTimestamp" in metadata else []
    marks = [
        value
        for key, value in sorted((metadata.get("annotations") or {}).items())
        if key.endswith(("/executor-ids", "/outcome"))
    ]
    words = [str(status.get("phase", "")), *states, *conditions, *leaving, *(text[:140] for text in marks)]
    return f"@{metadata['resourceVersion']} " + "; ".join(word for word in words if word)


_USUAL = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled")


def _disrupted(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "DisruptionTarget" and each["status"] == "True" for each in conditions)


def _lacked_memory(pod: Manifest) -> bool:
    """Whether the executor was killed for memory, ran out of heap or was ended by SIGKILL."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [each["state"].get("terminated") or {} for each in statuses]
    return any(end.get("reason") == "OOMKilled" or end.get("exitCode") in (52, 137) for end in ends)


def _has_ended(pod: Manifest) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any("terminated" in each["state"] for each in statuses)
