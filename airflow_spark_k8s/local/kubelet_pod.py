"""The life of one pod on its node."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.conditions import is_deleting
from airflow_spark_k8s.local.container_env import PodSurroundings
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.kubelet_container import ContainerStarter
from airflow_spark_k8s.local.kubelet_context import KubeletContext
from airflow_spark_k8s.local.kubelet_probes import Prober
from airflow_spark_k8s.local.kubelet_runtime import Exit
from airflow_spark_k8s.local.kubelet_status import ContainerRecord, Ending, PodView, build_status
from airflow_spark_k8s.local.manifests import is_terminal, key_of, parse_timestamp
from airflow_spark_k8s.local.resources import PODS
from airflow_spark_k8s.local.volumes import Volume, VolumeError, pod_volumes

SHORTEST_GRACE_SECONDS = 2.0
"""Even a forced end leaves this long between SIGTERM and SIGKILL. Source: minimumGracePeriodInSeconds."""

_FIRST_MOUNT_RETRY_SECONDS = 0.5
_LONGEST_MOUNT_RETRY_SECONDS = 122.0
_LOST = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
    "startedAt": None,
    "finishedAt": None,
}


class PodWorker:
    """Brings one pod up, keeps its status, and takes it down again."""

    def __init__(self, context: KubeletContext, pod: Manifest) -> None:
        self.pod = pod
        self.volumes: dict[str, Volume] = {}
        self._context = context
        self._stopping = False  # containers are being ended; none is started any more
        self._gone = False  # the pod is no longer stored
        self._starter = ContainerStarter(context, self)
        self._probers: dict[str, Prober] = {}
        spec = pod["spec"]
        waiting = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        self.view = PodView(
            containers=[_record(each, waiting) for each in spec["containers"]],
            init_containers=[_record(each, waiting, True) for each in spec.get("initContainers") or ()],
            host_address=context.offer.address,
            start_time=context.now(),
        )
        self._address: str | None = None
        self._done = False  # the final phase has been told

    # towards running

    def start(self) -> None:
        """Take the pod on, or end it if it was deleted before."""
        self.publish()
        if is_deleting(self.pod):
            self._stop(0.0)
            return
        deadline = self.pod["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            begun = parse_timestamp(self.view.start_time)
            passed = (self._context.wall_clock() - begun).total_seconds()
            message = "Pod was active on the node longer than the specified deadline"
            ending = Ending("DeadlineExceeded", message)
            self._context.timers.call_later(deadline - passed, self._end_early, ending)
        self._context.timers.call_later(self._context.timing.sandbox_seconds, self._mount, 0)

    def _mount(self, failures: int) -> None:
        if not self.alive():
            return
        try:
            self.volumes = pod_volumes(
                self.pod,
                self._context.store,
                self.surroundings(),
                self._context.token,
                self._context.runtime.host_path_trouble,
            )
        except VolumeError as error:
            self._context.events.warning(self.pod, "FailedMount", str(error))
            delay = min(_FIRST_MOUNT_RETRY_SECONDS * 2.0**failures, _LONGEST_MOUNT_RETRY_SECONDS)
            self._context.timers.call_later(delay, self._mount, failures + 1)
            return
        self._address = self._context.runtime.pod_address(self.pod)
        self.view.sandbox = True
        self.publish()
        # The address is told with the first news of a container, not before.
        self.view.pod_address = self._address
        self._advance()

    def surroundings(self) -> PodSurroundings:
        """What the pod's containers may know of the node and the cluster."""
        host, address = self._context.offer.address, self._address or ""
        return PodSurroundings(
            addresses={
                "status.podIP": address,
                "status.podIPs": address,
                "status.hostIP": host,
                "status.hostIPs": host,
            },
            allocatable=self._context.offer.resources,
            api_host=self._context.api_host,
            api_port=self._context.api_port,
        )

    def alive(self) -> bool:
        """Whether containers may still be started."""
        return not (self._stopping or self._gone or self._done)

    def _advance(self) -> None:
        """Start whatever may run now: init containers one by one, then all others."""
        if not self.alive() or not self.view.sandbox:
            return
        for record in self.view.init_containers:
            if record.exit_code == 0 or (record.is_sidecar and record.started):
                continue
            if record.exit_code is None:
                self._starter.start(record)
            return
        for record in self.view.containers:
            if "waiting" in record.state and not record.busy:
                self._starter.start(record)

    def on_started(self, record: ContainerRecord) -> None:
        """A container runs: tell, and begin to probe it."""
        record.started = "startupProbe" not in record.spec
        record.ready = record.started and "readinessProbe" not in record.spec
        self.publish()
        prober = Prober(
            self._context.timers,
            record.spec,
            partial(self._probe, record),
            partial(self._on_probe, record),
            partial(self._on_probe_failed, record),
        )
        self._probers[record.name] = prober
        prober.start()
        if record.is_sidecar:
            self._advance()

    def _probe(self, record: ContainerRecord, probe: Manifest, done: Callable[[bool], None]) -> None:
        if record.plan is not None and record.running and not self._gone:
            self._context.runtime.probe(self.pod, record.plan, probe, done)

    def _on_probe(self, record: ContainerRecord, kind: str, passed: bool) -> None:
        if not record.running:
            return
        if kind == "readiness":
            record.ready = passed
        elif passed:
            record.started = True
            record.ready = record.ready or "readinessProbe" not in record.spec
        else:
            self._probers[record.name].stop()
            message = f"Container {record.name} failed {kind} probe, will be restarted"
            self._context.events.normal(self.pod, "Killing", message)
            grace = float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))
            self._stop_container(record, grace)
        self.publish()
        self._advance()

    def _on_probe_failed(self, record: ContainerRecord, kind: str) -> None:
        self._context.events.warning(self.pod, "Unhealthy", f"{kind.capitalize()} probe failed")

    # towards the end

    def on_exit(self, record: ContainerRecord, exit_: Exit) -> None:
        """A container has ended: run it again, go on to the next one, or end the pod."""
        if "terminated" in record.state:
            return
        prober = self._probers.pop(record.name, None)
        if prober is not None:
            prober.stop()
        record.end(exit_)
        if self.alive() and self._restarts(record, exit_):
            self._restart(record, exit_)
            return
        if record.init and exit_.exit_code == 0 and self.alive():
            self.publish()
            self._advance()
            return
        self._settle()

    def _restart(self, record: ContainerRecord, exit_: Exit) -> None:
        ran = (exit_.finished_at - exit_.started_at).total_seconds()
        record.restart_count += 1
        record.last_state = record.state
        self._starter.restart(record, ran)
        self.publish()

    def _restarts(self, record: ContainerRecord, exit_: Exit) -> bool:
        policy = self.pod["spec"].get("restartPolicy", "Always")
        if record.is_sidecar:
            return True
        if policy == "Never" or (record.init and exit_.exit_code == 0):
            return False
        return bool(policy == "Always" or exit_.exit_code != 0)

    def _settle(self) -> None:
        """Tell of an exit, and of the pod's end if it was the last one."""
        if not self._over():
            self.publish()
            return
        running = [r for r in self._records() if r.running]
        if running:
            # Sidecars end when the others have.
            self.publish()
            self._stop(float(self.pod["spec"].get("terminationGracePeriodSeconds", 30)))
            return
        if self._stopping:
            self._finish()
            return
        self.publish()
        self._context.timers.call_later(self._context.timing.teardown_seconds, self._finish)

    def _over(self) -> bool:
        """Whether no container will do anything any more, but sidecars."""
        mains = [record for record in self._records() if not record.is_sidecar]
        if self._stopping:
            return not any(record.running for record in mains)
        failed_init = any(r.exit_code not in (None, 0) for r in self.view.init_containers if not r.is_sidecar)
        ended = all(record.exit_code is not None and not record.busy for record in self.view.containers)
        return (failed_init and not any(r.running for r in mains)) or ended

    def _records(self) -> list[ContainerRecord]:
        return [*self.view.init_containers, *self.view.containers]

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        if self._gone:
            self._context.runtime.discard(self.pod)
            return
        if self._stopping and self._may_have_run():
            for record in self.view.containers:
                if "terminated" not in record.state:
                    record.state = {"terminated": dict(_LOST)}
        self.view.torn_down = True
        self.publish()
        self._confirm_later()

    def _may_have_run(self) -> bool:
        return not self.view.init_containers or any(r.last_state or r.plan for r in self.view.containers)

    # being ended by others

    def on_update(self, pod: Manifest) -> None:
        """The stored pod has changed."""
        if self._gone:
            return
        before, self.pod = self.pod, pod
        if not is_deleting(pod):
            return
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        if is_deleting(before):
            known = float(before["metadata"].get("deletionGracePeriodSeconds") or 0)
            if grace < known and not self._done:
                self._stop(grace)
            return
        if self._done:
            self._confirm_later()
            return
        self.publish()
        self._stop(grace)

    def on_removed(self, pod: Manifest) -> None:
        """The pod is no longer stored: end what still runs, then forget everything."""
        self._gone = True
        self.pod = pod
        if not any(record.running for record in self._records()):
            self._done = True
            self._context.runtime.discard(pod)
            return
        self._stop(SHORTEST_GRACE_SECONDS)

    def abandon(self) -> None:
        """Do nothing any more: the machine is gone."""
        self._gone = True

    def evict(self, message: str) -> None:
        """End the pod because the node is short of something."""
        self._end_early(Ending("Evicted", message, "TerminationByKubelet"), grace_seconds=0.0)

    def exceed(self, message: str) -> None:
        """End the pod because it has gone beyond a limit of its own, which is no disruption."""
        self._end_early(Ending("Evicted", message, None), grace_seconds=0.0)

    def _end_early(self, ending: Ending, grace_seconds: float | None = None) -> None:
        if not self.alive():
            return
        self.view.ending = ending
        self._context.events.warning(self.pod, ending.reason, ending.message)
        if grace_seconds is None:
            grace_seconds = float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))
        self._stop(grace_seconds)

    def _stop(self, grace_seconds: float) -> None:
        self._stopping = True
        for prober in self._probers.values():
            prober.stop()
        running = [record for record in self._records() if record.running]
        for record in running:
            self._context.events.normal(self.pod, "Killing", f"Stopping container {record.name}")
            self._stop_container(record, grace_seconds)
        if not running:
            self._context.timers.call_later(self._context.timing.teardown_seconds, self._finish)

    def _stop_container(self, record: ContainerRecord, grace_seconds: float) -> None:
        pre_stop = record.plan.pre_stop if record.plan is not None else None
        grace = max(grace_seconds, SHORTEST_GRACE_SECONDS)
        self._context.runtime.stop(self.pod, record.name, grace_seconds=grace, pre_stop=pre_stop)

    # telling

    def publish(self) -> None:
        """Write the status if it has changed."""
        stored = None if self._gone or self._context.silent else self._context.stored(self.pod)
        if stored is None or is_terminal(stored):
            return
        status = build_status(stored, self.view, self._context.now())
        if status != stored.get("status"):
            self._context.store.update(PODS, {**stored, "status": status}, subresource="status")

    def resume(self) -> None:
        """The node is back: tell what has happened meanwhile."""
        self.publish()
        if self._done:
            self._confirm_later()

    def _confirm_later(self) -> None:
        self._context.timers.call_later(self._context.timing.cleanup_seconds, self._confirm)

    def _confirm(self) -> None:
        """Let a deleted pod go: nothing of it runs any more."""
        stored = None if self._gone or self._context.silent else self._context.stored(self.pod)
        if stored is None or not is_deleting(stored):
            return
        try:
            uid = stored["metadata"]["uid"]
            self._context.store.delete(PODS, *key_of(stored), grace_seconds=0, uid=uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _record(spec: Manifest, waiting: str, init: bool = False) -> ContainerRecord:
    return ContainerRecord(spec=spec, init=init, state={"waiting": {"reason": waiting}})
