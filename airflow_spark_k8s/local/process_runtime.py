"""Containers as local processes: no image, no namespace, no privilege; what stands for each is documented."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.addresses import PodAddresses
from airflow_spark_k8s.local.container_layout import Layout, Machine
from airflow_spark_k8s.local.container_log import ContainerLog
from airflow_spark_k8s.local.host_paths import host_path_trouble
from airflow_spark_k8s.local.kubelet_runtime import (
    ContainerPlan,
    ContainerStartError,
    Exit,
    LogOptions,
    ProxyAnswer,
    ProxyRequest,
    PullResult,
)
from airflow_spark_k8s.local.memory_watch import MemoryWatch
from airflow_spark_k8s.local.probes import accepts, answers, port_number
from airflow_spark_k8s.local.process_instance import Instance
from airflow_spark_k8s.local.spark_images import Images

_AFTER_HOOK_SECONDS = 2.0
_REFERENCE = re.compile(
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-f]{32,})?"
)


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How the containers of one cluster run."""

    folder: Path  # everything of the pods is below it
    images: Images
    machine: Machine
    oom: Literal["container", "child"] = "container"


@dataclass
class _Pod:
    """What is known of one pod that has been discarded by nobody yet."""

    folder: Path
    instances: dict[str, Instance] = field(default_factory=dict)  # by container: the latest
    logs: dict[str, list[ContainerLog]] = field(default_factory=dict)  # by container: oldest first


class ProcessRuntime:
    """
    Runs containers as processes of this machine; implements `ContainerRuntime` on one asyncio loop.

    :param wall_clock: time of log lines and exits.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: RuntimeSettings,
        *,
        addresses: PodAddresses,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._addresses = addresses
        self._wall_clock = wall_clock
        self._memory = MemoryWatch(loop)
        self._pods: dict[str, _Pod] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def pull(self, pod: Manifest, container: Manifest, done: Callable[[PullResult], None]) -> None:
        """Tell what stands for the image; nothing is downloaded."""
        done(self._pulled(str(container.get("image", "")), container.get("imagePullPolicy")))

    def pod_address(self, pod: Manifest) -> str:
        """Loopback address that only this pod has."""
        return self._addresses.take(str(pod["metadata"]["uid"]))

    def host_path_trouble(self, path: str, kind: str) -> str | None:
        """What is wrong with a path of this machine; makes it if the type says so."""
        return host_path_trouble(path, kind)

    def start(self, pod: Manifest, container: ContainerPlan, exited: Callable[[Exit], None]) -> str:
        """Id of the started container; a command that cannot be executed is told through `exited`."""
        known = self._pod(pod)
        image = self._settings.images.find(container.image)
        layout = Layout(
            pod=pod,
            plan=container,
            pod_folder=known.folder,
            spark_home=image.spark_home if image else None,
            machine=self._settings.machine,
        )
        log = self._new_log(known, container)
        try:
            instance = self._instance(pod, layout, log, exited)
        except OSError as error:
            log.end(self._wall_clock())
            raise ContainerStartError(f"cannot set up the container: {error}") from error
        known.instances[container.name] = instance
        return instance.id

    def stop(
        self, pod: Manifest, container_name: str, *, grace_seconds: float, pre_stop: Manifest | None
    ) -> None:
        """Hook, SIGTERM, SIGKILL; see `ContainerRuntime.stop`."""
        known = self._pods.get(str(pod["metadata"]["uid"]))
        instance = known.instances.get(container_name) if known else None
        if instance is None or not instance.alive:
            return
        if pre_stop is not None and not instance.stopping and grace_seconds > 0:
            # A hook that uses everything up leaves the process two seconds to end.
            instance.kill_after(grace_seconds + _AFTER_HOOK_SECONDS)
            self._run(self._stop_with_hook(pod, instance, grace_seconds, pre_stop))
            return
        if not instance.stopping and grace_seconds > 0:
            instance.terminate()
        instance.kill_after(grace_seconds)

    def probe(
        self, pod: Manifest, container: ContainerPlan, probe: Manifest, done: Callable[[bool], None]
    ) -> None:
        """One attempt; see `ContainerRuntime.probe`."""

        async def attempt() -> None:
            passed = await self._handler(pod, container.name, probe, float(probe.get("timeoutSeconds", 1)))
            if str(pod["metadata"]["uid"]) in self._pods:
                done(passed)

        self._run(attempt())

    def discard(self, pod: Manifest) -> None:
        """Kill what still runs of a pod and remove its folder and its address."""
        uid = str(pod["metadata"]["uid"])
        known = self._pods.pop(uid, None)
        if known is None:
            self._addresses.release(uid)
            return
        self._run(self._discard(uid, known))

    def logs(self, pod_uid: str, container_name: str, options: LogOptions) -> bytes:
        """Log so far; raises `LookupError` if there is none."""
        return self._log(pod_uid, container_name, options).read(options)

    def follow(
        self,
        pod_uid: str,
        container_name: str,
        options: LogOptions,
        write: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> Callable[[], None]:
        """A function that ends following; see `ContainerRuntime.follow`."""
        return self._log(pod_uid, container_name, options).follow(options, write, ended)

    def answer(self, pod_uid: str, request: ProxyRequest) -> ProxyAnswer | None:
        """None: every pod has an address that can be connected to."""
        return None

    async def close(self) -> None:
        """Kill every container and return when no process and no folder of a pod is left."""
        for uid, known in tuple(self._pods.items()):
            del self._pods[uid]
            self._run(self._discard(uid, known))
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))
        self._memory.close()
        self._addresses.close()

    def _pulled(self, reference: str, policy: str | None) -> PullResult:
        if not _REFERENCE.fullmatch(reference):
            message = f'Failed to apply default image tag "{reference}": couldn\'t parse image name '
            return PullResult(None, "InvalidImageName", f'{message}"{reference}": invalid reference format')
        image = self._settings.images.find(reference)
        if image is not None:
            return PullResult(image.id)
        if policy == "Never":
            message = f'Container image "{reference}" is not present with pull policy of Never'
            return PullResult(None, "ErrImageNeverPull", message)
        message = (
            f'failed to pull image "{reference}": the local cluster pulls nothing and knows only '
            f"{self._settings.images.known()}; give it a Spark home with the option `images`"
        )
        return PullResult(None, "ErrImagePull", message)

    def _instance(
        self, pod: Manifest, layout: Layout, log: ContainerLog, exited: Callable[[Exit], None]
    ) -> Instance:
        paths = layout.paths()
        layout.build(paths)
        return Instance(
            self._loop,
            layout,
            log,
            command=layout.command(paths, self.pod_address(pod)),
            memory=self._memory,
            whole_container=self._settings.oom == "container",
            wall_clock=self._wall_clock,
            exited=exited,
        )

    def _pod(self, pod: Manifest) -> _Pod:
        uid = str(pod["metadata"]["uid"])
        if uid not in self._pods:
            # A number, not the uid: paths of sockets in a container's /tmp may have 107 characters.
            self._count += 1
            folder = self._settings.folder / str(self._count)
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            self._pods[uid] = _Pod(folder)
        return self._pods[uid]

    def _new_log(self, known: _Pod, container: ContainerPlan) -> ContainerLog:
        logs = known.logs.setdefault(container.name, [])
        path = known.folder / "logs" / f"{container.name}-{container.restart_count}.log"
        logs.append(ContainerLog(path))
        return logs[-1]

    def _log(self, pod_uid: str, container_name: str, options: LogOptions) -> ContainerLog:
        known = self._pods.get(pod_uid)
        logs = known.logs.get(container_name, []) if known else []
        index = 2 if options.previous else 1
        if len(logs) < index:
            raise LookupError(f"container {container_name!r} has no such log")
        return logs[-index]

    async def _stop_with_hook(
        self, pod: Manifest, instance: Instance, grace_seconds: float, pre_stop: Manifest
    ) -> None:
        began = self._loop.time()
        await self._handler(pod, instance.name, pre_stop, grace_seconds)
        left = grace_seconds - (self._loop.time() - began)
        instance.terminate()
        instance.kill_after(max(left, _AFTER_HOOK_SECONDS))

    async def _handler(
        self, pod: Manifest, container_name: str, handler: Manifest, timeout_seconds: float
    ) -> bool:
        """True if a probe or hook succeeded within its time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._call(pod, container_name, handler)
        except (TimeoutError, ValueError):
            return False

    async def _call(self, pod: Manifest, container_name: str, handler: Manifest) -> bool:
        if "sleep" in handler:
            await asyncio.sleep(float(handler["sleep"]["seconds"]))
            return True
        if "exec" in handler:
            return await self._execute(pod, container_name, handler["exec"].get("command", [])) == 0
        action = handler.get("httpGet") or handler.get("tcpSocket") or {}
        address, port = self.pod_address(pod), port_number(pod, container_name, action.get("port"))
        if "httpGet" in handler:
            return await answers(address, port, action)
        return await accepts(action.get("host") or address, port)

    async def _execute(self, pod: Manifest, container_name: str, argv: list[str]) -> int:
        known = self._pods.get(str(pod["metadata"]["uid"]))
        instance = known.instances.get(container_name) if known else None
        if instance is None or not instance.alive:
            return 137
        finished: asyncio.Future[int] = self._loop.create_future()
        instance.execute(argv, lambda code: None if finished.done() else finished.set_result(code))
        return await finished

    async def _discard(self, uid: str, known: _Pod) -> None:
        for instance in known.instances.values():
            await instance.discard()
        # Spark's local folders may be large: the loop has other things to do meanwhile.
        await asyncio.to_thread(shutil.rmtree, known.folder, ignore_errors=True)
        self._addresses.release(uid)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
