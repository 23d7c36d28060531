"""The pods of one application on a cluster: as Spark makes them, and as this package does."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pyspark

from airflow_spark_k8s.core.executor_pod import executor_pod
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import NotFound
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.local.cluster import LocalCluster
from airflow_spark_k8s.templates.render import render
from tests.integration.spark_manifests import Fields, fields_of
from tests.integration.spark_manifests_confs import IMAGE, Case

SPARK_HOME = Path(pyspark.__file__).parent
DRIVER_IP = "10.0.0.7"
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UID = "00000000-0000-4000-8000-000000000001"

Pods = dict[str, Fields]
"""driver and executor → the fields of its pod."""


async def pods_of_spark(cluster: LocalCluster, server: ApiServer, case: Case) -> Pods:
    """The pods that Spark makes itself: a submission in cluster mode, and its driver's first executor."""
    await _submit(cluster, case)
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    driver = await _pod(server, path, f"spark-role=driver,spark-app-name={_label(case)}")
    labels = driver["metadata"]["labels"]
    application, name = labels["spark-app-selector"], driver["metadata"]["name"]
    executor = await _pod(server, path, f"spark-role=executor,spark-app-selector={application}", name)
    pods = {"driver": driver, "executor": executor}
    claims = {role: await _claims(server, cluster.namespace, pod) for role, pod in pods.items()}
    current = await server.request("GET", f"{path}/{name}")
    await server.request("DELETE", f"{path}/{name}", params={"gracePeriodSeconds": "0"})
    ip = current["status"]["podIP"]
    prefix = executor["metadata"]["name"].removesuffix("-exec-1")
    names = {
        **_mounted(cluster, driver),
        application: "<application id>",
        driver["metadata"]["uid"]: "<driver uid>",
        name: "<driver>",
        name.removesuffix("-driver"): "<submission>",
        prefix: "<executor prefix>",
        ip: "<driver ip>",
    }
    return {role: fields_of(pod, claims[role], names) for role, pod in pods.items()}


async def pods_of_ours(cluster: LocalCluster, server: ApiServer, case: Case) -> Pods:
    """The pods that this package would make, as the same API server completes them."""
    request = ApplicationRequest(
        application=case.application,
        application_args=case.arguments,
        main_class=case.main_class,
        conf=case.conf,
        default_namespace=cluster.namespace,
        image=IMAGE,
    )
    identity = identify("tests", "dag", "task", "run", -1, 1, "ti-1")
    manifests = render(resolve(request), identity, context={}, auth_secret=b"0123456789abcdef")
    template = manifests.job["spec"]["template"]
    name = f"{identity.job_name()}-abcde"
    metadata = {**template["metadata"], "name": name, "namespace": cluster.namespace}
    driver = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    executor = executor_pod(
        manifests.executor, driver_name=name, driver_uid=UID, driver_ip=DRIVER_IP, executor_id=1
    )
    names = {
        UID: "<driver uid>",
        name: "<driver>",
        identity.application: "<name>",
        identity.task_instance_key: "<task instance>",
        DRIVER_IP: "<driver ip>",
    }
    pods = {"driver": driver, "executor": executor}
    claims = {role: await _templates(server, cluster.namespace, pod) for role, pod in pods.items()}
    return {
        role: fields_of(await _completed(server, cluster.namespace, "pods", pod), claims[role], names)
        for role, pod in pods.items()
    }


async def _claims(server: ApiServer, namespace: str, pod: Manifest) -> dict[str, Manifest]:
    """Volume → the claim that Spark has made for it."""
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    named = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"]["volumes"]
        if "-pvc-" in (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
    }
    return {volume: await _present(server, f"{path}/{name}") for volume, name in named.items()}


async def _present(server: ApiServer, path: str) -> Manifest:
    """An object that Spark makes after the pod that names it."""
    while True:
        try:
            return await server.request("GET", path)
        except NotFound:
            await asyncio.sleep(0.2)


async def _templates(server: ApiServer, namespace: str, pod: Manifest) -> dict[str, Manifest]:
    """Volume → the claim that Kubernetes would make for it."""
    found = {}
    for volume in pod["spec"]["volumes"]:
        if "ephemeral" in volume:
            template = volume["ephemeral"]["volumeClaimTemplate"]
            name = f"{pod['metadata']['name']}-{volume['name']}"
            claim = {**template, "metadata": {**template["metadata"], "name": name}}
            claim |= {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
            found[volume["name"]] = await _completed(server, namespace, "persistentvolumeclaims", claim)
    return found


async def _submit(cluster: LocalCluster, case: Case) -> None:
    conf = {
        **case.conf,
        "spark.kubernetes.container.image": IMAGE,
        "spark.kubernetes.namespace": cluster.namespace,
        # There is no DNS here that knows kubernetes.default.svc.
        "spark.kubernetes.driver.master": cluster.server,
        "spark.kubernetes.submission.waitAppCompletion": "false",
    }
    settings = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    main_class = ["--class", case.main_class] if case.main_class else []
    command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", f"k8s://{cluster.server}"]
    command += ["--deploy-mode", "cluster", *main_class, *settings, case.application, *case.arguments]
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig_path),
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_SUBMIT_OPTS": "-XX:TieredStopAtLevel=1",
    }
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"spark-submit failed:\n{output.decode()[-6000:]}")


async def _pod(server: ApiServer, path: str, labels: str, driver: str = "") -> Manifest:
    """The first pod with these labels, once it is there."""
    while True:
        found = (await server.request("GET", path, params={"labelSelector": labels}))["items"]
        if found:
            return dict(found[0])
        if driver:
            current = await server.request("GET", f"{path}/{driver}")
            if current["status"]["phase"] in ("Succeeded", "Failed"):
                log = await server.text(f"{path}/{driver}/log")
                raise RuntimeError(f"the driver has ended without executor:\n{log[-6000:]}")
        await asyncio.sleep(0.2)


def _label(case: Case) -> str:
    return case.conf["spark.app.name"].lower().replace(" ", "-")


def _mounted(cluster: LocalCluster, driver: Manifest) -> dict[str, str]:
    """Folders of this machine that stand for the driver's volumes → where its container mounts them."""
    (container,) = driver["spec"]["containers"]
    paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    folders = (cluster.kubeconfig_path.parent / "pods").glob("*/volumes/*")
    names = {str(folder): paths[folder.name] for folder in folders if folder.name in paths}
    return names | {uuid: "<uuid>" for path in paths.values() for uuid in _UUID.findall(path)}


async def _completed(server: ApiServer, namespace: str, plural: str, obj: Manifest) -> Manifest:
    path = f"/api/v1/namespaces/{namespace}/{plural}"
    return await server.request("POST", path, body=obj, params={"dryRun": "All"})
