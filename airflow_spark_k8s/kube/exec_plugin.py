"""Credential plug-ins of a kubeconfig: programs that print a token or a client certificate."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from airflow_spark_k8s.exceptions import Unauthorized

PLUGIN_SECONDS = 60.0
"""A plug-in that takes longer is given up: it may be waiting for somebody to log in."""

_MAX_WORDS_OF_PLUGIN = 500


async def credential(
    plugin: Mapping[str, Any],
    *,
    cluster: Mapping[str, Any],
    kubeconfig_path: str | None,
    timeout_seconds: float = PLUGIN_SECONDS,
) -> Mapping[str, Any]:
    """
    The `status` of the ExecCredential that the plug-in prints: a `token`, or a client certificate and key.

    The program runs beside the event loop, without a terminal, and does not outlive this call.

    :param plugin: `exec` of a kubeconfig's user.
    :param cluster: the kubeconfig's cluster, for plug-ins that ask for it.
    :param kubeconfig_path: relative paths of the program start at this file; None: at the working directory.
    :raises Unauthorized: the program is missing, fails, hangs or prints something else.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
    """
    name = f"credential plug-in {plugin.get('command')!r} of the kubeconfig"
    if plugin.get("interactiveMode") == "Always":
        raise Unauthorized(f"{name} wants a terminal, and there is none")
    try:
        process = await asyncio.create_subprocess_exec(
            _program(plugin, kubeconfig_path),
            *(str(argument) for argument in plugin.get("args") or ()),
            env=_environment(plugin, cluster),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that what it starts can be ended with it
        )
    except OSError as error:
        hint = plugin.get("installHint") or "install it on this machine"
        raise Unauthorized(f"{name} cannot be started: {error}; {hint}") from error
    try:
        async with asyncio.timeout(timeout_seconds):
            printed, said = await process.communicate()
    except TimeoutError as error:
        raise Unauthorized(f"{name} gave no credentials in {timeout_seconds:g} s") from error
    finally:
        await _end(process)
    if process.returncode != 0:
        words = said.decode(errors="replace").strip()[-_MAX_WORDS_OF_PLUGIN:]
        raise Unauthorized(f"{name} ended with exit code {process.returncode}: {words}")
    return _status(printed, name)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _program(plugin: Mapping[str, Any], kubeconfig_path: str | None) -> str:
    command = str(plugin.get("command") or "")
    if kubeconfig_path and os.sep in command:
        return str(Path(kubeconfig_path).resolve().parent / command)
    return command


def _environment(plugin: Mapping[str, Any], cluster: Mapping[str, Any]) -> dict[str, str]:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = {key: value for key, value in cluster.items() if key != "extensions"}
    request = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": spec}
    own = {str(item["name"]): str(item["value"]) for item in plugin.get("env") or ()}
    return {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(request)}


def _status(printed: bytes, name: str) -> Mapping[str, Any]:
    try:
        status = json.loads(printed)["status"]
        complete = "token" in status or {"clientCertificateData", "clientKeyData"} <= status.keys()
    except (ValueError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        # What it did print may be a secret.
        raise Unauthorized(f"{name} printed no ExecCredential with a token or a client certificate")
    credential_status: Mapping[str, Any] = status
    return credential_status
