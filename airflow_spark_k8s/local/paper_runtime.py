"""Containers on paper: no process, only what a script says of them. For tests with thousands of pods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.kubelet_runtime import (
    ContainerPlan,
    ContainerStartError,
    Exit,
    LogOptions,
    ProxyAnswer,
    ProxyRequest,
    PullResult,
)
from airflow_spark_k8s.local.manifests import labels_of
from airflow_spark_k8s.local.paper_log import PaperLog
from airflow_spark_k8s.local.timers import TimerHandle, Timers

Server = Callable[[ProxyRequest], ProxyAnswer]
"""Answers HTTP requests to one pod."""


@dataclass(frozen=True, slots=True)
class PaperScript:
    """What becomes of a container; the default runs until it is stopped."""

    pull_seconds: float | None = 0.0  # None: the pull never ends
    pull_error: str | None = None  # message; None: the image is there
    pull_reason: str = "ErrImagePull"  # or ErrImageNeverPull, InvalidImageName
    start_error: str | None = None  # message of a StartError; None: the command can be executed
    run_seconds: float | None = None  # None: until it is stopped
    exit_code: int = 0  # of an end by itself
    reason: str | None = None  # None: Completed or Error; for example OOMKilled
    message: str = ""  # termination message
    ready_seconds: float = 0.0  # from the start until probes pass
    term_seconds: float | None = 0.0  # from SIGTERM to the exit; None: it ignores SIGTERM
    term_exit_code: int = 143
    pre_stop_seconds: float = 0.0  # how long a preStop hook takes
    log: str = ""  # written at the start

    @property
    def kills_at_end(self) -> bool:
        """Whether the end is a kill for memory of the whole container."""
        return self.reason == "OOMKilled" and self.exit_code == 137


@dataclass(slots=True)
class _Container:
    script: PaperScript
    started_at: datetime
    started: float
    exited: Callable[[Exit], None]
    log: PaperLog = field(default_factory=PaperLog)
    timers: list[TimerHandle] = field(default_factory=list)
    kill: TimerHandle | None = None
    ended: bool = False


@dataclass(slots=True)
class _Pod:
    address: str
    containers: dict[str, _Container] = field(default_factory=dict)
    previous: dict[str, PaperLog] = field(default_factory=dict)
    server: Server | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    image: str | None
    name: str | None
    labels: Mapping[str, str]
    container: str | None
    script: PaperScript

    def matches(self, pod: Manifest, container: Manifest) -> bool:
        metadata = pod["metadata"]
        return (
            self.image in (None, container["image"])
            and self.container in (None, container["name"])
            and (self.name is None or self.name in (metadata["name"], metadata.get("generateName")))
            and self.labels.items() <= labels_of(pod).items()
        )


class PaperRuntime:
    """A `ContainerRuntime` whose containers do what scripts say; one may serve all nodes of a cluster."""

    def __init__(self, timers: Timers, wall_clock: Callable[[], datetime]) -> None:
        self._timers = timers
        self._wall_clock = wall_clock
        self._rules: list[_Rule] = []
        self._pods: dict[str, _Pod] = {}
        self._addresses = 0
        self._started = 0

    # what tests say

    def script(
        self,
        script: PaperScript,
        *,
        image: str | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        container: str | None = None,
    ) -> None:
        """
        Use the script for containers that match everything given; the latest call that matches counts.

        `name` is the pod's name or generateName, `container` the container's name. A container keeps the
        script it was started with.
        """
        self._rules.append(_Rule(image, name, dict(labels or {}), container, script))

    def serve(self, pod: Manifest, server: Server | None) -> None:
        """Answer HTTP requests to the pod, on any port, until it ends; None: refuse them again."""
        self._pods[pod["metadata"]["uid"]].server = server

    def write_log(self, pod: Manifest, text: str, container: str | None = None) -> None:
        """Add lines to a container's log; `container` None: the pod's first."""
        self._find(pod, container).log.write(text, self._wall_clock())

    def end(
        self,
        pod: Manifest,
        exit_code: int = 0,
        *,
        container: str | None = None,
        reason: str | None = None,
        message: str = "",
    ) -> None:
        """Let a running container end by itself now; raises `LookupError` if it does not run."""
        self._exit(self._find(pod, container), exit_code, None, reason, message)

    def kill(self, pod: Manifest, *, container: str | None = None, reason: str | None = None) -> None:
        """End a running container by SIGKILL, for example with reason OOMKilled."""
        self._exit(self._find(pod, container), 137, 9, reason, "")

    def runs(self, pod: Manifest) -> bool:
        """Whether a container of the pod runs."""
        known = self._pods.get(pod["metadata"]["uid"])
        return known is not None and any(not each.ended for each in known.containers.values())

    def _find(self, pod: Manifest, container: str | None) -> _Container:
        known = self._pods.get(pod["metadata"]["uid"])
        running = {n: c for n, c in known.containers.items() if not c.ended} if known else {}
        name = container or next((c["name"] for c in pod["spec"]["containers"] if c["name"] in running), "")
        if name not in running:
            raise LookupError(f"pod {pod['metadata']['name']} has no running container {container or ''}")
        return running[name]

    def _script_for(self, pod: Manifest, container: Manifest) -> PaperScript:
        for rule in reversed(self._rules):
            if rule.matches(pod, container):
                return rule.script
        return PaperScript()

    # what a kubelet asks

    def pull(self, pod: Manifest, container: Manifest, done: Callable[[PullResult], None]) -> None:
        """See `ContainerRuntime.pull`."""
        script = self._script_for(pod, container)
        if script.pull_seconds is None:
            return
        if script.pull_error is not None:
            result = PullResult(None, script.pull_reason, script.pull_error)
        else:
            result = PullResult(f"paper://{container['image']}", present=script.pull_seconds == 0)
        if script.pull_seconds == 0:
            done(result)
        else:
            self._timers.call_later(script.pull_seconds, done, result)

    def pod_address(self, pod: Manifest) -> str:
        """See `ContainerRuntime.pod_address`."""
        uid = pod["metadata"]["uid"]
        if uid not in self._pods:
            self._addresses += 1
            high, low = divmod(self._addresses, 256)
            self._pods[uid] = _Pod(f"10.{(high // 256) % 128 + 128}.{high % 256}.{low}")
        return self._pods[uid].address

    def host_path_trouble(self, path: str, kind: str) -> str | None:
        """None: nodes on paper have every path."""
        return None

    def start(self, pod: Manifest, container: ContainerPlan, exited: Callable[[Exit], None]) -> str:
        """See `ContainerRuntime.start`."""
        self.pod_address(pod)
        known = self._pods[pod["metadata"]["uid"]]
        script = self._script_for(pod, {"name": container.name, "image": container.image})
        if script.start_error is not None:
            raise ContainerStartError(script.start_error)
        if container.name in known.containers:
            known.previous[container.name] = known.containers[container.name].log
        running = _Container(script, self._wall_clock(), self._timers.time(), exited)
        known.containers[container.name] = running
        running.log.write(script.log, self._wall_clock())
        if script.run_seconds is not None:
            signal = 9 if script.kills_at_end else None
            end = partial(self._exit, running, script.exit_code, signal, script.reason, script.message)
            running.timers.append(self._timers.call_later(script.run_seconds, end))
        self._started += 1
        return f"paper://{self._started:064x}"

    def stop(
        self, pod: Manifest, container_name: str, *, grace_seconds: float, pre_stop: Manifest | None
    ) -> None:
        """See `ContainerRuntime.stop`."""
        known = self._pods.get(pod["metadata"]["uid"])
        container = known.containers.get(container_name) if known else None
        if container is None or container.ended:
            return
        script = container.script
        hook = script.pre_stop_seconds if pre_stop is not None else 0.0
        kill_after = max(grace_seconds, hook + 2.0 if hook >= grace_seconds else 0.0)
        if container.kill is None and script.term_seconds is not None:
            term = partial(self._exit, container, script.term_exit_code, 15, None, "")
            container.timers.append(
                self._timers.call_later(min(hook, grace_seconds) + script.term_seconds, term)
            )
        if container.kill is not None:
            container.kill.cancel()
        container.kill = self._timers.call_later(kill_after, partial(self._exit, container, 137, 9, None, ""))

    def probe(
        self, pod: Manifest, container: ContainerPlan, probe: Manifest, done: Callable[[bool], None]
    ) -> None:
        """See `ContainerRuntime.probe`."""
        known = self._pods.get(pod["metadata"]["uid"])
        running = known.containers.get(container.name) if known else None
        if running is not None:
            done(self._timers.time() - running.started >= running.script.ready_seconds)

    def discard(self, pod: Manifest) -> None:
        """See `ContainerRuntime.discard`."""
        known = self._pods.pop(pod["metadata"]["uid"], None)
        for container in known.containers.values() if known else ():
            self._silence(container)
            container.log.end()

    def logs(self, pod_uid: str, container_name: str, options: LogOptions) -> bytes:
        """See `ContainerRuntime.logs`."""
        return self._log(pod_uid, container_name, options).read(options)

    def follow(
        self,
        pod_uid: str,
        container_name: str,
        options: LogOptions,
        write: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> Callable[[], None]:
        """See `ContainerRuntime.follow`."""
        return self._log(pod_uid, container_name, options).follow(options, write, ended)

    def answer(self, pod_uid: str, request: ProxyRequest) -> ProxyAnswer | None:
        """Answer of the server given to `serve`; connections to all other pods are refused."""
        known = self._pods.get(pod_uid)
        alive = known is not None and any(not each.ended for each in known.containers.values())
        if known is None or known.server is None or not alive:
            return ProxyAnswer(refused=True)
        return known.server(request)

    def _log(self, pod_uid: str, container_name: str, options: LogOptions) -> PaperLog:
        known = self._pods.get(pod_uid, _Pod(""))
        if options.previous:
            return known.previous[container_name]
        return known.containers[container_name].log

    def _exit(
        self, container: _Container, code: int, signal: int | None, reason: str | None, message: str
    ) -> None:
        if container.ended:
            return
        self._silence(container)
        container.log.end()
        why = reason or ("Completed" if code == 0 else "Error")
        container.exited(Exit(code, signal, why, message, container.started_at, self._wall_clock()))

    def _silence(self, container: _Container) -> None:
        container.ended = True
        for timer in (*container.timers, *([container.kill] if container.kill else [])):
            timer.cancel()
