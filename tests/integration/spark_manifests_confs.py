"""Confs that go through Spark's own submission and through this package's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = "apache/spark:4.3.0"
CLAIM = "input"
SECRET = "database"
HADOOP = "hadoop-conf"
KERBEROS = "kerberos-conf"
DRIVER_ACCOUNT = "spark-driver"
EXECUTOR_ACCOUNT = "spark-executor"
NODE_LABELS = {"example.com/pool": "spark"}
NODE_DEVICES = {"nvidia.com/gpu": "8"}

# The driver runs it. A container of the local cluster sees this machine's folders, but has a /tmp of its own,
# and there the tests themselves may be.
DISCOVERY_SCRIPT = Path(f"/var/tmp/airflow-spark-k8s-{os.getpid()}/gpus.sh")


@dataclass(frozen=True, slots=True)
class Case:
    """One application."""

    application: str
    conf: Mapping[str, str]  # goes to Spark and to this package
    main_class: str | None = None
    arguments: tuple[str, ...] = ()


def _both(pattern: str, driver: str, executor: str) -> dict[str, str]:
    return {pattern.format("driver"): driver, pattern.format("executor"): executor}


def _volume(role: str, kind: str, name: str, path: str, **options: str) -> dict[str, str]:
    prefix = f"spark.kubernetes.{role}.volumes.{kind}.{name}."
    mount = {f"{prefix}mount.path": path}
    return mount | {f"{prefix}{key.replace('__', '.')}": value for key, value in options.items()}


# Drivers and executors never mount the same path: the local cluster rewrites the paths of a driver's volumes
# in all files that it mounts, also where its properties speak of the executors.
_VOLUMES: dict[str, str] = {
    **_volume(
        "driver", "hostPath", "cache", "/driver/cache", options__path="/usr", options__type="Directory"
    ),
    **_volume("driver", "emptyDir", "work", "/driver/work", options__sizeLimit="1Gi"),
    **_volume(
        "driver",
        "persistentVolumeClaim",
        "input",
        "/driver/input",
        mount__readOnly="true",
        mount__subPath="part",
        options__claimName=CLAIM,
    ),
    **_volume(
        "driver",
        "persistentVolumeClaim",
        "state",
        "/driver/state",
        options__claimName="OnDemand",
        options__storageClass="standard",
        options__sizeLimit="2Gi",
    ),
    **_volume("executor", "hostPath", "cache", "/executor/cache", options__path="/srv/executors"),
    **_volume(
        "executor",
        "emptyDir",
        "work",
        "/executor/work",
        options__medium="Memory",
        options__sizeLimit="64Mi",
        mount__subPathExpr="$(SPARK_EXECUTOR_ID)",
    ),
    **_volume(
        "executor",
        "nfs",
        "share",
        "/executor/share",
        options__server="files.example.com",
        options__path="/exports/spark",
        mount__readOnly="true",
    ),
    **_volume(
        "executor",
        "persistentVolumeClaim",
        "input",
        "/executor/input",
        mount__readOnly="true",
        options__claimName="input-SPARK_EXECUTOR_ID",
    ),
    **_volume(
        "executor",
        "persistentVolumeClaim",
        "state",
        "/executor/state",
        options__claimName="OnDemand",
        options__storageClass="standard",
        options__sizeLimit="3Gi",
        label__team="red",
        annotation__note="shuffle",
    ),
    **_volume("executor", "emptyDir", "spark-local-dir-1", "/executor/scratch", options__sizeLimit="5Gi"),
}

_RICH: dict[str, str] = {
    "spark.app.name": "PythonPi",  # as the application's own code says, which wins for the executors
    "spark.executor.instances": "1",
    "spark.kubernetes.container.image.pullPolicy": "IfNotPresent",
    "spark.kubernetes.container.image.pullSecrets": "registry, mirror",
    **_both("spark.{}.memory", "600m", "1g"),
    **_both("spark.{}.memoryOverhead", "424m", "500m"),
    **_both("spark.{}.cores", "1", "2"),
    **_both("spark.kubernetes.{}.request.cores", "500m", "1500m"),
    **_both("spark.kubernetes.{}.limit.cores", "2", "3"),
    "spark.memory.offHeap.enabled": "true",
    "spark.memory.offHeap.size": "256m",
    "spark.executor.pyspark.memory": "200m",
    **_both("spark.{}.resource.gpu.amount", "1", "2"),
    **_both("spark.{}.resource.gpu.vendor", "nvidia.com", "nvidia.com"),
    **_both("spark.{}.resource.gpu.discoveryScript", str(DISCOVERY_SCRIPT), "/opt/gpus.sh"),
    "spark.task.resource.gpu.amount": "1",
    **_both("spark.kubernetes.{}.label.team", "blue", "red"),
    **_both("spark.kubernetes.{}.label.example.com/cost", "12", "13"),
    **_both("spark.kubernetes.{}.annotation.example.com/note", "a driver's note", "an executor's note"),
    "spark.kubernetes.driverEnv.REGION": "north",
    "spark.executorEnv.REGION": "south",
    "spark.executorEnv.SPARK_EXECUTOR_DIRS": "/executor/scratch/SPARK_APPLICATION_ID/SPARK_EXECUTOR_ID",
    **_both("spark.kubernetes.{}.secretKeyRef.DB_PASSWORD", f"{SECRET}:password", f"{SECRET}:password"),
    **_both("spark.kubernetes.{}.secrets." + SECRET, "/driver/secrets", "/executor/secrets"),
    "spark.kubernetes.hadoop.configMapName": HADOOP,
    "spark.kubernetes.kerberos.krb5.configMapName": KERBEROS,
    "spark.kubernetes.node.selector.kubernetes.io/os": "linux",
    **_both("spark.kubernetes.{}.node.selector.example.com/pool", "spark", "spark"),
    **_both("spark.kubernetes.authenticate.{}.serviceAccountName", DRIVER_ACCOUNT, EXECUTOR_ACCOUNT),
    # There is no such scheduler: the executor stays pending.
    "spark.kubernetes.executor.scheduler.name": "volcano",
    "spark.kubernetes.executor.terminationGracePeriodSeconds": "75s",
    "spark.decommission.enabled": "true",
    "spark.executor.defaultJavaOptions": "-Dteam.name=spark -Dteam.executor={{EXECUTOR_ID}}",
    "spark.executor.extraJavaOptions": "-Dteam.application={{APP_ID}}-{{EXECUTOR_ID}} -Dteam.color=red",
    "spark.executor.extraClassPath": "/opt/extra/classes",
    "spark.executor.extraLibraryPath": "/opt/extra/lib",
    "spark.blockManager.port": "7080",
    "spark.network.timeout": "300s",
    **_VOLUMES,
}

# Without an executor that can run it waits until it is ended. It is in every image, wherever the tests are.
RICH = Case(
    application="local:///opt/spark/examples/src/main/python/pi.py", conf=_RICH, arguments=("1", "two words")
)

JVM = Case(
    application="local:///opt/spark/jars/spark-connect_2.13-4.3.0.jar",
    main_class="org.apache.spark.sql.connect.SimpleSparkConnectService",
    conf={
        "spark.app.name": "Manifest check",
        "spark.executor.instances": "1",
        "spark.executor.memory": "8g",
        "spark.kubernetes.executor.scheduler.name": "volcano",
        "spark.kubernetes.local.dirs.tmpfs": "true",
    },
)


def objects(namespace: str) -> list[tuple[str, dict[str, Any]]]:
    """What the pods refer to, with the collections that it goes into."""
    core = f"/api/v1/namespaces/{namespace}"
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return [
        (f"{core}/serviceaccounts", _named("ServiceAccount", DRIVER_ACCOUNT)),
        (f"{core}/serviceaccounts", _named("ServiceAccount", EXECUTOR_ACCOUNT)),
        (f"{core}/secrets", _named("Secret", SECRET, stringData={"password": "s3cret"})),
        (f"{core}/configmaps", _named("ConfigMap", HADOOP, data={"core-site.xml": "<configuration/>"})),
        (f"{core}/configmaps", _named("ConfigMap", KERBEROS, data={"krb5.conf": "[libdefaults]"})),
        (f"{core}/persistentvolumeclaims", _named("PersistentVolumeClaim", CLAIM, spec=claim)),
    ]


def _named(kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **content}
