"""The process of a local cluster: API server, controllers, scheduler and kubelets on one event loop."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml

from airflow_spark_k8s.local.addresses import PodAddresses
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.authentication import Tokens
from airflow_spark_k8s.local.authorization import RoleAuthorizer
from airflow_spark_k8s.local.certificates import make_certificates
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.cluster import MARKER
from airflow_spark_k8s.local.container_layout import Machine
from airflow_spark_k8s.local.control_plane import ControlPlane
from airflow_spark_k8s.local.kubelet import Kubelet
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.process_runtime import ProcessRuntime, RuntimeSettings
from airflow_spark_k8s.local.requirements_check import check_java, check_pyspark
from airflow_spark_k8s.local.resources import NAMESPACES, PERSISTENT_VOLUMES
from airflow_spark_k8s.local.server import HttpsServer
from airflow_spark_k8s.local.spark_images import images_of
from airflow_spark_k8s.local.store import Store

_OWNER_CHECK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the process of a local cluster is told; see `LocalCluster` for the meaning."""

    directory: str
    nodes: int
    memory: str
    cpu: str
    context: str
    namespace: str
    oom: Literal["container", "child"]
    images: Mapping[str, str] = field(default_factory=dict)
    java_options: tuple[str, ...] = ()
    rbac: bool = False


def wall_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


async def serve(options: ServeOptions) -> None:
    """Return once the cluster was told to end, or its owner has gone; nothing is left then."""
    owner = os.getppid()
    folder = Path(options.directory)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(_remove_if_abandoned, folder, owner)
        announcement = await _start(options, stack)
        # One line for the owner, who reads it from the other end of a pipe.
        os.write(1, json.dumps(announcement).encode() + b"\n")
        while not over.is_set() and os.getppid() == owner:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _OWNER_CHECK_SECONDS)


async def _start(options: ServeOptions, stack: contextlib.AsyncExitStack) -> dict[str, str]:
    """What the owner needs to know of the running cluster; `stack` gets everything that ends it."""
    chance = random.SystemRandom()
    certificates = make_certificates(wall_clock())
    tokens = Tokens(chance)
    store = Store(wall_clock=wall_clock, chance=chance, root_ca=certificates.authority)
    if store.peek(NAMESPACES, None, options.namespace) is None:
        store.create(NAMESPACES, {"metadata": {"name": options.namespace}})
    kubelets: dict[str, Kubelet] = {}
    authorizer = RoleAuthorizer(store) if options.rbac else None
    server = HttpsServer(Api(store, authorizer=authorizer, nodes=kubelets, tokens=tokens), certificates)
    url = await server.start()
    stack.push_async_callback(server.stop)
    runtime = _runtime(options, chance)
    stack.push_async_callback(runtime.close)
    ControlPlane(store, asyncio.get_running_loop())
    store.subscribe(partial(_remove_folder, _claims_folder(options)))
    for number in range(1, options.nodes + 1):
        kubelet = _kubelet(f"node-{number}", options, store, runtime, tokens, url)
        kubelets[kubelet.name] = kubelet
        kubelet.start()
        stack.callback(kubelet.stop)
    folder = Path(options.directory)
    (folder / "ca.crt").write_text(certificates.authority)
    authority = base64.b64encode(certificates.authority.encode()).decode()
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(kubeconfig(options.context, url, authority, tokens.admin, options.namespace))
    return {"server": url, "token": tokens.admin, "kubeconfig": str(path), "ca": str(folder / "ca.crt")}


def _runtime(options: ServeOptions, chance: random.Random) -> ProcessRuntime:
    folder = Path(options.directory)
    machine = Machine(
        java_home=check_java(),
        java_options=tuple(options.java_options),
        claims_folder=_claims_folder(options),
        base_env={MARKER: options.directory},
    )
    settings = RuntimeSettings(
        folder=folder / "pods",
        images=images_of(options.images, check_pyspark(), version("pyspark")),
        machine=machine,
        oom=options.oom,
    )
    return ProcessRuntime(
        asyncio.get_running_loop(), settings, addresses=PodAddresses(chance), wall_clock=wall_clock
    )


def _claims_folder(options: ServeOptions) -> Path:
    return Path(options.directory) / "claims"


def _remove_folder(claims: Path, event: Event) -> None:
    """Take away what a persistent volume held, with the volume."""
    if event.resource is PERSISTENT_VOLUMES and event.type == "DELETED":
        folder = claims / event.object["metadata"]["name"]
        asyncio.get_running_loop().run_in_executor(None, partial(shutil.rmtree, folder, ignore_errors=True))


def _kubelet(
    name: str, options: ServeOptions, store: Store, runtime: ProcessRuntime, tokens: Tokens, url: str
) -> Kubelet:
    where = urlsplit(url)
    return Kubelet(
        store,
        asyncio.get_running_loop(),
        NodeOffer(name=name, cpu=options.cpu, memory=options.memory),
        runtime,
        wall_clock,
        random.SystemRandom(),
        api_host=where.hostname or "",
        api_port=where.port or 0,
        token=tokens.for_service_account,
    )


def options_from(text: str) -> ServeOptions:
    """The options as `LocalCluster` passes them on the command line: one JSON object."""
    return ServeOptions(**json.loads(text))


def kubeconfig(context: str, server: str, certificate: str, token: str, namespace: str) -> str:
    """YAML of a kubeconfig with one context."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": certificate}}
        ],
        "users": [{"name": context, "user": {"token": token}}],
        "contexts": [
            {"name": context, "context": {"cluster": context, "user": context, "namespace": namespace}}
        ],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _remove_if_abandoned(folder: Path, owner: int) -> None:
    if os.getppid() != owner:
        shutil.rmtree(folder, ignore_errors=True)
