"""Getting one container of a pod to run: image, configuration, start, and waiting after failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.amounts import amounts
from airflow_spark_k8s.local.container_env import (
    ContainerConfigError,
    PodSurroundings,
    container_env,
    expanded,
)
from airflow_spark_k8s.local.kubelet_context import KubeletContext
from airflow_spark_k8s.local.kubelet_runtime import ContainerPlan, ContainerStartError, Exit, PullResult
from airflow_spark_k8s.local.kubelet_status import ContainerRecord
from airflow_spark_k8s.local.manifests import key_of
from airflow_spark_k8s.local.volumes import Volume, container_mounts

FIRST_BACKOFF_SECONDS = 10.0
LONGEST_BACKOFF_SECONDS = 300.0
"""Source: MaxContainerBackOff of the kubelet; the same for images and for containers that crash."""

CALM_SECONDS = 600.0
"""A container that ran this long starts afresh with its back-off."""


class ContainerOwner(Protocol):
    """The worker of the pod a container belongs to."""

    pod: Manifest
    volumes: dict[str, Volume]

    def surroundings(self) -> PodSurroundings:
        """What the pod's containers may know."""
        ...

    def alive(self) -> bool:
        """Whether containers may still be started."""
        ...

    def publish(self) -> None:
        """Write the pod's status."""
        ...

    def on_started(self, record: ContainerRecord) -> None:
        """A container runs."""
        ...

    def on_exit(self, record: ContainerRecord, exit_: Exit) -> None:
        """A container has ended, or could not be started."""
        ...


@dataclass(slots=True)
class ContainerStarter:
    """Starts the containers of one pod; each attempt goes on by itself until the container runs."""

    context: KubeletContext
    owner: ContainerOwner

    def start(self, record: ContainerRecord) -> None:
        """Pull the image, then run the container; does nothing if that is under way."""
        if record.busy or record.running:
            return
        record.busy = True
        self._pull(record, 0)

    def restart(self, record: ContainerRecord, ran_seconds: float) -> None:
        """
        Run an ended container again: at once the first time, later after a back-off that doubles.

        Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
        """
        if ran_seconds > CALM_SECONDS:
            record.crashes = 0
        delay = _backoff(record.crashes)
        record.crashes += 1
        record.busy = True
        if delay:
            namespace, name = key_of(self.owner.pod)
            uid = self.owner.pod["metadata"]["uid"]
            what = f"restarting failed container={record.name} pod={name}_{namespace}({uid})"
            record.wait("CrashLoopBackOff", f"back-off {delay:.0f}s {what}")
            message = f"Back-off restarting failed container {record.name} in pod {name}_{namespace}({uid})"
            self.context.events.warning(self.owner.pod, "BackOff", message)
        self._later(delay, record, lambda: self._pull(record, 0))

    # image

    def _pull(self, record: ContainerRecord, failures: int) -> None:
        answered = False

        def done(result: PullResult) -> None:
            nonlocal answered
            answered = True
            self._on_pulled(record, result, failures)

        self.context.runtime.pull(self.owner.pod, record.spec, done)
        if not answered:
            message = f'Pulling image "{record.spec["image"]}"'
            self.context.events.normal(self.owner.pod, "Pulling", message)

    def _on_pulled(self, record: ContainerRecord, result: PullResult, failures: int) -> None:
        if not self.owner.alive():
            return
        if result.image_id is None:
            self._image_failed(record, result, failures)
            return
        image = record.spec["image"]
        if result.present:
            message = f'Container image "{image}" already present on machine'
        else:
            message = f'Successfully pulled image "{image}"'
        self.context.events.normal(self.owner.pod, "Pulled", message)
        record.image_id = result.image_id
        self._configure(record)

    def _image_failed(self, record: ContainerRecord, result: PullResult, failures: int) -> None:
        image, events, pod = record.spec["image"], self.context.events, self.owner.pod
        if result.reason == "ErrImagePull":
            events.warning(pod, "Failed", f'Failed to pull image "{image}": {result.message}')
        else:
            events.warning(pod, result.reason, result.message)
        events.warning(pod, "Failed", f"Error: {result.reason}")
        record.wait(result.reason, result.message)
        self.owner.publish()
        pause = self.context.timing.image_retry_seconds
        if result.reason == "ErrImagePull":
            self._later(pause, record, lambda: self._image_backoff(record, result))
        self._later(_backoff(failures + 1), record, lambda: self._pull(record, failures + 1))

    def _image_backoff(self, record: ContainerRecord, result: PullResult) -> None:
        head = f'Back-off pulling image "{record.spec["image"]}"'
        self.context.events.normal(self.owner.pod, "BackOff", head)
        record.wait("ImagePullBackOff", f"{head}: {result.reason}: {result.message}")
        self.owner.publish()

    # configuration and start

    def _configure(self, record: ContainerRecord) -> None:
        try:
            plan = self._plan(record)
        except ContainerConfigError as error:
            record.wait("CreateContainerConfigError", str(error))
            self.context.events.warning(self.owner.pod, "Failed", f"Error: {error}")
            self.owner.publish()
            pause = self.context.timing.config_retry_seconds
            self._later(pause, record, lambda: self._configure(record))
            return
        self._run(record, plan)

    def _run(self, record: ContainerRecord, plan: ContainerPlan) -> None:
        record.plan = plan
        early: list[Exit] = []
        started = False

        def exited(exit_: Exit) -> None:
            if started:
                self.owner.on_exit(record, exit_)
            else:
                early.append(exit_)

        events, pod = self.context.events, self.owner.pod
        events.normal(pod, "Created", "Container created")
        try:
            record.container_id = self.context.runtime.start(pod, plan, exited)
        except ContainerStartError as error:
            now = self.context.wall_clock()
            early.append(Exit(128, None, "StartError", str(error), now, now))
        record.busy = False
        started = True
        if early and early[0].reason == "StartError":
            record.container_id = record.container_id or f"local://{plan.name}-{plan.restart_count}"
            events.warning(pod, "Failed", f"Error: {early[0].message}")
            self.owner.on_exit(record, early[0])
            return
        events.normal(pod, "Started", "Container started")
        record.state = {"running": {"startedAt": self.context.now()}}
        self.owner.on_started(record)
        for exit_ in early:
            # The status tells of the start first, as of any other.
            self.context.timers.call_later(0.0, self.owner.on_exit, record, exit_)

    def _plan(self, record: ContainerRecord) -> ContainerPlan:
        spec, surroundings = record.spec, self.owner.surroundings()
        env = container_env(self.owner.pod, spec, self.context.store, surroundings)
        limits = amounts((spec.get("resources") or {}).get("limits"))
        return ContainerPlan(
            name=record.name,
            image=spec["image"],
            command=expanded(spec.get("command"), env),
            args=expanded(spec.get("args"), env),
            env=env,
            working_dir=spec.get("workingDir"),
            mounts=container_mounts(spec, self.owner.volumes, env),
            memory_limit_bytes=limits.get("memory"),
            cpu_limit_millicores=limits.get("cpu"),
            termination_message_path=spec.get("terminationMessagePath", "/dev/termination-log"),
            termination_message_policy=spec.get("terminationMessagePolicy", "File"),
            init=record.init,
            restart_count=record.restart_count,
            pre_stop=(spec.get("lifecycle") or {}).get("preStop"),
        )

    def _later(self, delay: float, record: ContainerRecord, step: Callable[[], None]) -> None:
        def run() -> None:
            if self.owner.alive() and not record.running:
                step()

        self.context.timers.call_later(delay, run)


def _backoff(failures: int) -> float:
    if failures <= 0:
        return 0.0
    return float(min(FIRST_BACKOFF_SECONDS * 2.0 ** (failures - 1), LONGEST_BACKOFF_SECONDS))
