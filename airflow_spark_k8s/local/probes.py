"""One attempt of a probe or hook that speaks to a pod over the network."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from airflow_spark_k8s.core.spec import Manifest


def port_number(pod: Manifest, container_name: str, port: object) -> int:
    """
    Number of a port that a probe names.

    :raises ValueError: the container declares no port of that name.
    """
    if isinstance(port, int):
        return port
    if str(port).isdigit():
        return int(str(port))
    for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
        for declared in container.get("ports", []) if container["name"] == container_name else []:
            if declared.get("name") == port:
                return int(declared["containerPort"])
    raise ValueError(f"container {container_name!r} declares no port named {port!r}")


async def accepts(address: str, port: int) -> bool:
    """True if something accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    await _close(writer)
    return True


async def answers(address: str, port: int, request: Manifest) -> bool:
    """
    True if one `httpGet` is answered with a status from 200 to 399.

    :param request: the probe's `httpGet`: path, scheme, host and httpHeaders count.
    """
    trust = None
    if request.get("scheme") == "HTTPS":
        # As the kubelet does: a probe asks whether somebody is there, not who.
        trust = ssl._create_unverified_context()  # noqa: S323
    try:
        reader, writer = await asyncio.open_connection(request.get("host") or address, port, ssl=trust)
    except OSError:
        return False
    try:
        writer.write(_request(address, port, request))
        await writer.drain()
        status = (await reader.readline()).split()
        return len(status) > 1 and status[1].isdigit() and 200 <= int(status[1]) < 400
    except OSError:
        return False
    finally:
        await _close(writer)


def _request(address: str, port: int, request: Manifest) -> bytes:
    headers = {"Host": f"{address}:{port}", "User-Agent": "kube-probe/1.36", "Connection": "close"}
    headers |= {header["name"]: header["value"] for header in request.get("httpHeaders", [])}
    lines = [f"GET {request.get('path') or '/'} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
