"""What a kubelet asks of the thing that runs its containers, and what the API asks of a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from airflow_spark_k8s.core.spec import Manifest


@dataclass(frozen=True, slots=True)
class PullResult:
    """How pulling one image ended."""

    image_id: str | None  # None: there is no image to run
    reason: str = ""  # if image_id is None: ErrImagePull, ErrImageNeverPull or InvalidImageName
    message: str = ""
    present: bool = True  # the image was on the node already: nothing was pulled


@dataclass(frozen=True, slots=True)
class Exit:
    """How one container ended."""

    exit_code: int  # 128 + n if signal n killed it
    signal: int | None  # None: it ended by itself
    reason: str  # Completed, Error, OOMKilled or StartError
    message: str  # content of the termination message file; "": none
    started_at: datetime
    finished_at: datetime


class ContainerStartError(RuntimeError):
    """A container whose command cannot be executed at all; the text is the kubelet's message."""


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """One file of a projected volume."""

    path: str  # relative to the volume's root, with `/`
    data: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Mount:
    """One path of a container and what is found there."""

    path: str  # absolute, in the container
    volume: str  # name of the volume: two mounts of one name in one pod share their content
    kind: str  # files, emptyDir, hostPath or persistentVolumeClaim
    files: tuple[
        VolumeFile, ...
    ] = ()  # kind files: the whole content (config map, secret, projected, downward API)
    source: str = ""  # kind hostPath: path on the node; kind persistentVolumeClaim: name of the volume
    in_memory: bool = False  # kind emptyDir: what is in it counts as the container's memory
    sub_path: str = ""  # only this file or folder of the volume is mounted; "": all of it
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """One container, with every reference resolved: plain values only."""

    name: str
    image: str
    command: tuple[str, ...]  # empty: the image's entry point
    args: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)  # in the order of definition; may hold secrets
    working_dir: str | None  # None: the image's
    mounts: tuple[Mount, ...]
    memory_limit_bytes: int | None  # None: no limit
    cpu_limit_millicores: int | None  # None: no limit
    termination_message_path: str
    termination_message_policy: str  # File or FallbackToLogsOnError
    init: bool  # an init container: runs to its end before the next one
    restart_count: int  # 0: first start in this pod
    pre_stop: Manifest | None  # the container's lifecycle.preStop handler


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a container's log is wanted."""

    tail_lines: int | None = None  # None: from the beginning
    since: datetime | None = None  # None: no limit
    limit_bytes: int | None = None  # None: no limit
    timestamps: bool = False
    previous: bool = False  # of the instance before the last restart


class ContainerRuntime(Protocol):
    """
    Runs the containers of one node's pods.

    `pod` is always the pod as stored when the call was made. No method blocks. Every callback comes on the
    thread that drives the kubelet, at most once, possibly before the call returns, and not after `discard`.
    """

    def pull(self, pod: Manifest, container: Manifest, done: Callable[[PullResult], None]) -> None:
        """Make the image of a container available, respecting its imagePullPolicy, then call `done`."""
        ...

    def pod_address(self, pod: Manifest) -> str:
        """IP address of a pod; the same one until `discard`."""
        ...

    def host_path_trouble(self, path: str, kind: str) -> str | None:
        """What keeps a path of the node from being mounted as a hostPath of that type; None: nothing."""
        ...

    def start(self, pod: Manifest, container: ContainerPlan, exited: Callable[[Exit], None]) -> str:
        """
        Id of a started container (with scheme, as in `containerID`); `exited` is called when it ends.

        Raises `ContainerStartError` if the command cannot be executed; an `Exit` with reason StartError and
        exit code 128 says the same later.
        """
        ...

    def stop(
        self, pod: Manifest, container_name: str, *, grace_seconds: float, pre_stop: Manifest | None
    ) -> None:
        """
        Run `pre_stop`, then SIGTERM, then SIGKILL once `grace_seconds` have passed since this call.

        After a preStop hook that used up the grace period the process still gets two seconds. A second call
        with a shorter grace period shortens the wait. Returns at once; `exited` of the container follows.

        Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-flow
        """
        ...

    def probe(
        self, pod: Manifest, container: ContainerPlan, probe: Manifest, done: Callable[[bool], None]
    ) -> None:
        """Try a tcpSocket, httpGet or exec probe once, within its timeoutSeconds; `done(True)`: passed."""
        ...

    def discard(self, pod: Manifest) -> None:
        """Kill what still runs of a pod, free its address, volumes and logs; an unknown pod is no error."""
        ...

    def logs(self, pod_uid: str, container_name: str, options: LogOptions) -> bytes:
        """Log of a container so far; raises `LookupError` if it never started or has no previous instance."""
        ...

    def follow(
        self,
        pod_uid: str,
        container_name: str,
        options: LogOptions,
        write: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> Callable[[], None]:
        """
        A function that ends following; until then `write` gets the log so far and whatever comes.

        `ended` is called once the container has ended and everything is written.
        Raises `LookupError` as `logs` does.
        """
        ...

    def answer(self, pod_uid: str, request: ProxyRequest) -> ProxyAnswer | None:
        """Answer of a server that lives inside this runtime; None: connect to the pod's address instead."""
        ...


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """One HTTP request through the pod proxy."""

    method: str
    port: int
    path: str  # absolute
    query: str = ""  # as sent, without `?`
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class ProxyAnswer:
    """Answer of a server in a pod; `refused` if nothing listens on the port."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes = b""
    refused: bool = False  # True: the connection was refused; the other fields mean nothing


class NodeRuntime(Protocol):
    """What the API server asks of a node's kubelet; pods are named, the kubelet finds them."""

    def logs(self, namespace: str, pod: str, container: str, options: LogOptions) -> bytes:
        """Log of a container so far; raises `LookupError` if it never started or has no previous instance."""
        ...

    def follow(
        self,
        namespace: str,
        pod: str,
        container: str,
        options: LogOptions,
        write: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> Callable[[], None]:
        """A function that ends following; see `ContainerRuntime.follow`."""
        ...

    def address(self, namespace: str, pod: str) -> str | None:
        """IP address of a pod for the proxy; None if it has none (yet)."""
        ...

    def answer(self, namespace: str, pod: str, request: ProxyRequest) -> ProxyAnswer | None:
        """Answer of a server that lives inside the runtime; None: connect to the pod's address instead."""
        ...
