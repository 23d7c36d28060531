"""A worker that submits an application and is killed after some calls: run as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Identity, Manifests, UserFile
from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings, connection_settings
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.submit import submit
from airflow_spark_k8s.templates.render import render

SCRIPT = b'print("the driver has run")\n'


def manifests_of(settings: ConnectionSettings, identity: Identity) -> Manifests:
    """The real manifests of an application that needs no executor to end well."""
    request = ApplicationRequest(
        application="hello.py",
        user_file=UserFile("hello.py", SCRIPT),
        conf={
            "spark.executor.instances": "1",
            "spark.driver.memory": "512m",
            "spark.kubernetes.driver.request.cores": "100m",
        },
        default_image=settings.image,
        default_spark_version=settings.spark_version,
        default_namespace=settings.namespace,
        default_driver_service_account=settings.driver_service_account,
    )
    return render(resolve(request), identity, context={}, auth_secret=os.urandom(32))


def identity_of(run_id: str, try_number: int) -> Identity:
    return identify("tests", "dying", "worker", run_id, -1, try_number, f"{run_id}-{try_number}")


class Dying:
    """A client whose process is killed once it has made some calls."""

    def __init__(self, server: ApiServer, calls: int) -> None:
        self._server = server
        self._calls = calls

    async def request(self, method: str, path: str, **options: Any) -> Any:
        answer = await self._server.request(method, path, **options)
        if method != "GET":
            self._calls -= 1
        if self._calls == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


async def main(extra: dict[str, Any], run_id: str, calls: int) -> None:
    settings, identity = connection_settings(extra), identity_of(run_id, 1)
    async with await ApiServer.open(settings.cluster) as server:
        dying: Any = Dying(server, calls)
        await submit(dying, manifests_of(settings, identity), identity)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
