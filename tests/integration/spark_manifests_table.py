"""
Every difference between this package's pods and those that Spark makes itself, with its reason.

`docs/reference/manifest-differences.md` is made from it; `python -m tests.integration.spark_manifests_table`
writes it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.integration.spark_manifests import Difference

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reference" / "manifest-differences.md"
COMMAND = "python -m tests.integration.spark_manifests_table"
BEGIN = f"<!-- generated: begin ({COMMAND} writes it anew) -->"
END = "<!-- generated: end -->"

_ARGUMENTS = "container.args."
_ENV = "container.env."
_MOUNTS = "container.volumeMounts."

_IDENTITY = (
    Difference(
        "both",
        "metadata.labels.airflow-spark-k8s/*",
        None,
        "*",
        "By these labels a later try, another trigger and people find the objects of an application.",
    ),
    Difference(
        "both",
        "metadata.annotations.airflow-spark-k8s/*",
        None,
        "*",
        "They tell a reader which task the pod belongs to.",
    ),
    Difference(
        "driver",
        "metadata.labels.spark-app-selector",
        "<application id>",
        None,
        "The application's id is the name of the driver pod, which the Job controller makes up.",
    ),
    Difference(
        "executor",
        "metadata.labels.spark-app-selector",
        "<application id>",
        "<driver>",
        "The driver pod's name is the application's id, so that a driver that is started again is a new "
        "application.",
    ),
    Difference(
        "executor",
        "metadata.name",
        "<executor prefix>-exec-1",
        "<driver>-exec-1",
        "Names of executors follow from their driver: a second attempt to make one finds the first.",
    ),
    Difference(
        "executor",
        "spec.hostname",
        "<executor prefix>-exec-1",
        None,
        "Kubernetes gives a pod its own name as host name.",
    ),
    Difference(
        "executor",
        _ENV + "SPARK_APPLICATION_ID.value",
        "<application id>",
        "<driver>",
        "As for the label `spark-app-selector`.",
    ),
    Difference(
        "executor",
        _ENV + "SPARK_EXECUTOR_DIRS.value",
        "*/<application id>/1",
        "*/<driver>/1",
        "`SPARK_APPLICATION_ID` in it is the application's id, see the label `spark-app-selector`.",
    ),
    Difference(
        "executor",
        _ENV + "SPARK_JAVA_OPT_n.-Dteam.application=<application id>-1",
        "set",
        None,
        "`{{APP_ID}}` is the application's id, see the label `spark-app-selector`.",
    ),
    Difference(
        "executor",
        _ENV + "SPARK_JAVA_OPT_n.-Dteam.application=<driver>-1",
        None,
        "set",
        "`{{APP_ID}}` is the application's id, see the label `spark-app-selector`.",
    ),
)

_COMMAND = (
    Difference(
        "driver",
        _ARGUMENTS + "--master",
        None,
        "k8s://https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)",
        "The address of the API server as every pod knows it, without DNS.",
    ),
    Difference(
        "driver",
        _ARGUMENTS + "--conf spark.*",
        None,
        "$(POD_*)",
        "What only the running pod knows: its name, which is the application's id, and its address.",
    ),
    Difference(
        "driver",
        _ARGUMENTS + "--properties-file",
        "/opt/spark/conf/spark.properties",
        "/opt/airflow-spark-k8s/conf/spark.properties",
        "Properties come from a Secret instead of a ConfigMap: some of them are secret.",
    ),
    Difference(
        "driver",
        _ARGUMENTS + "--class",
        "org.apache.spark.deploy.PythonRunner",
        None,
        "Without a class `spark-submit` runs a Python file with this class.",
    ),
    Difference(
        "driver",
        _ARGUMENTS + "application.0",
        "local:///*",
        "/*",
        "In client mode a Python file in the image is named by its path.",
    ),
)

_ENVIRONMENT = (
    Difference(
        "driver",
        _ENV + "POD_*.valueFrom.fieldRef.*",
        None,
        "*",
        "The pod's name and address, for the arguments and the variables below.",
    ),
    Difference(
        "driver",
        _ENV + "SPARK_DRIVER_BIND_ADDRESS.*",
        "*",
        None,
        "The same address, taken from the variable POD_IP.",
    ),
    Difference(
        "driver",
        _ENV + "SPARK_DRIVER_BIND_ADDRESS.value",
        None,
        "$(POD_IP)",
        "The same address, taken from the variable POD_IP.",
    ),
    Difference(
        "driver",
        _ENV + "SPARK_APPLICATION_ID.value",
        "<application id>",
        None,
        "Nothing in a driver in client mode reads it; the id is `spark.app.id`.",
    ),
    Difference(
        "driver",
        _ENV + "SPARK_SUBMIT_OPTS.value",
        None,
        "-Dspark.executor.instances=0",
        "The trigger makes the executors: the driver itself wants none.",
    ),
    Difference(
        "both",
        _ENV + "SPARK_USER.value",
        "*",
        None,
        "Spark takes the user who submits, which would be the worker's. Without it the container's user "
        "counts; set SPARK_USER in the driver's environment to choose another one.",
    ),
    Difference(
        "both",
        _ENV + "SPARK_CONF_DIR.value",
        "/opt/spark/conf",
        None,
        "There is no ConfigMap with the submitting machine's configuration files; the image's own count.",
    ),
    Difference(
        "executor",
        _ENV + "_SPARK_AUTH_SECRET.valueFrom.secretKeyRef.*",
        None,
        "*",
        "Authentication between driver and executors is on unless it is switched off; the secret is never "
        "part of a manifest.",
    ),
    Difference(
        "executor",
        _ENV + "SPARK_JAVA_OPT_n.-Dspark.authenticate=true",
        None,
        "set",
        "An executor needs it before it can ask the driver for the other properties.",
    ),
    Difference(
        "executor",
        _ENV + "SPARK_JAVA_OPT_n.-Dspark.network.crypto.enabled=false",
        None,
        "set",
        "Driver and executor must agree on encryption before their first connection.",
    ),
    Difference(
        "executor",
        _ENV + "SPARK_JAVA_OPT_n.-Dspark.*port=*",
        "set",
        None,
        "Executors get these ports from the driver; the driver's address is in SPARK_DRIVER_URL.",
    ),
)

_NETWORK = (
    Difference(
        "driver",
        "container.ports.driver-rpc-port.*",
        "*",
        None,
        "The same port under the name `driver-rpc`: names of ports are for readers and Services only.",
    ),
    Difference(
        "driver",
        "container.ports.driver-rpc.*",
        None,
        "*",
        "The same port under another name.",
    ),
    Difference(
        "driver",
        "container.ports.blockmanager.containerPort",
        "7080",
        "7079",
        "`spark.blockManager.port` is for executors; the driver's block manager always listens at 7079.",
    ),
    Difference(
        "driver",
        "container.ports.spark-connect.*",
        "*",
        None,
        "A driver of a task is no Spark Connect server. Ports need not be declared to be reached.",
    ),
    Difference(
        "executor",
        "container.ports.blockmanager.*",
        "*",
        None,
        "Without `spark.blockManager.port` an executor listens at any free port: it has none to declare.",
    ),
    Difference(
        "driver",
        "container.readinessProbe.*",
        None,
        "*",
        "Ready means that executors find a listener.",
    ),
)

_SCRATCH = (
    Difference(
        "both",
        _ENV + "SPARK_LOCAL_DIRS.value",
        "/var/data/spark-<uuid>",
        "/var/data/spark-local-dir",
        "A fixed path: manifests of the same application are the same every time. Below it Spark makes a "
        "folder with a name of its own.",
    ),
    Difference(
        "both",
        _MOUNTS + "/var/data/spark-<uuid>.name",
        "spark-local-dir-1",
        None,
        "As for SPARK_LOCAL_DIRS.",
    ),
    Difference(
        "both",
        _MOUNTS + "/var/data/spark-local-dir.name",
        None,
        "spark-local-dir-1",
        "As for SPARK_LOCAL_DIRS.",
    ),
)

_CONFIGURATION = (
    Difference(
        "both",
        _MOUNTS + "/opt/spark/conf.name",
        "spark-conf-volume-*",
        None,
        "As for SPARK_CONF_DIR.",
    ),
    Difference(
        "both",
        "spec.volumes.spark-conf-volume-*.configMap.*",
        "*",
        None,
        "As for SPARK_CONF_DIR.",
    ),
    Difference(
        "driver",
        _MOUNTS + "/opt/airflow-spark-k8s/*",
        None,
        "*",
        "Properties and authentication secret of the driver.",
    ),
    Difference(
        "driver",
        "spec.volumes.airflow-spark-k8s-*",
        None,
        "*",
        "Properties and authentication secret of the driver, from the application's Secret.",
    ),
)

_CLAIMS = (
    Difference(
        "both",
        "spec.volumes.*.persistentVolumeClaim.claimName",
        "*-pvc-*",
        None,
        "Spark makes claims that are called OnDemand itself. Here they are generic ephemeral volumes: "
        "Kubernetes makes the claim with the pod, and nobody needs rights on claims.",
    ),
    Difference(
        "both",
        "spec.volumes.*.ephemeral",
        None,
        "*",
        "As above: a claim of the pod's own, made by Kubernetes.",
    ),
    Difference(
        "both",
        "claims.*.metadata.name",
        "*-pvc-*",
        "*",
        "Kubernetes names the claim after pod and volume.",
    ),
    Difference(
        "both",
        "claims.*.metadata.ownerReferences.*",
        "*",
        None,
        "Kubernetes makes the pod itself the owner of its claim: it goes with the pod. In Spark the driver "
        "owns the executors' claims, too, and may hand them from one executor to the next.",
    ),
    Difference(
        "both",
        "claims.*.metadata.labels.spark-app-selector",
        "<application id>",
        None,
        "A driver that stops deletes all claims with this label; these go with their pods.",
    ),
    Difference(
        "both",
        "claims.*.metadata.labels.airflow-spark-k8s/*",
        None,
        "*",
        "As for the pods.",
    ),
)

_SECURITY = (
    Difference(
        "both",
        "spec.securityContext.*",
        None,
        "*",
        "Pods pass Pod Security level `restricted`: the image's own user, by number, and the seccomp profile "
        "of the runtime.",
    ),
    Difference(
        "both",
        "container.securityContext.capabilities.drop.0",
        None,
        "ALL",
        "Pod Security level `restricted`.",
    ),
    Difference(
        "driver",
        "spec.automountServiceAccountToken",
        None,
        "true",
        "The driver needs its token even if the service account says that pods get none.",
    ),
    Difference(
        "executor",
        "spec.automountServiceAccountToken",
        None,
        "false",
        "Executors never ask the API server for anything.",
    ),
    Difference(
        "executor",
        _MOUNTS + "/var/run/secrets/kubernetes.io/serviceaccount.*",
        "*",
        None,
        "No token for executors, see automountServiceAccountToken.",
    ),
    Difference(
        "executor",
        "spec.volumes.kube-api-access.*",
        "*",
        None,
        "No token for executors, see automountServiceAccountToken.",
    ),
    Difference(
        "both",
        "spec.enableServiceLinks",
        "true",
        "false",
        "A Service named `spark` would otherwise set variables that look like Spark's own.",
    ),
)

_RESIZING = (
    Difference(
        "executor",
        "container.resizePolicy.*",
        "NotRequired",
        None,
        "The same as Kubernetes does without it: the size of a running container is changed in place.",
    ),
)

SECTIONS: dict[str, tuple[Difference, ...]] = {
    "Who the pod is": _IDENTITY,
    "The driver's command": _COMMAND,
    "Environment": _ENVIRONMENT,
    "Ports and readiness": _NETWORK,
    "Scratch directories": _SCRATCH,
    "Configuration files": _CONFIGURATION,
    "Claims made on demand": _CLAIMS,
    "Security": _SECURITY,
    "Resizing": _RESIZING,
}

TABLE = tuple(row for rows in SECTIONS.values() for row in rows)


def rendered() -> str:
    """The generated part of the document."""
    return "\n".join(_lines())


def document_with(generated: str, document: str) -> str:
    """`document` with its generated part replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{DOCUMENT.name} must have the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{generated}\n\n{END}{after}"


def _lines() -> Iterator[str]:
    for number, (title, rows) in enumerate(SECTIONS.items()):
        yield from ([""] if number else [])
        yield from (
            f"## {title}",
            "",
            "| pod | field | Spark | this package | why |",
            "|---|---|---|---|---|",
        )
        for row in rows:
            pod = "driver, executor" if row.pod == "both" else row.pod
            cells = (pod, f"`{row.path}`", _value(row.spark), _value(row.ours), row.reason)
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _value(value: str | None) -> str:
    if value is None:
        return "–"
    return "any" if value == "*" else f"`{value}`"


if __name__ == "__main__":
    DOCUMENT.write_text(document_with(rendered(), DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
