"""What may be left in the cluster when everything is over."""

from __future__ import annotations

from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.manifests import is_terminal
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, PODS, SECRETS
from airflow_spark_k8s.local.simulation.stage import NAMESPACE, Stage

_OWNERS = {"Job": JOBS, "Pod": PODS}


def check_leftovers(stage: Stage, killed: str | None) -> None:
    """
    Report to the stage what still runs, and what nobody will ever remove.

    :param killed: the application that was killed; None: none was.
    """
    _check_pods(stage)
    _check_jobs(stage)
    for resource in (JOBS, PODS, CONFIG_MAPS, SECRETS) if killed is not None else ():
        for left in stage.cluster.store.list(resource, NAMESPACE, labels=f"{LABEL_APPLICATION}={killed}"):
            stage.broken(f"after the kill there is {resource.kind} {left['metadata']['name']}")


def _check_pods(stage: Stage) -> None:
    for pod in stage.cluster.pods(NAMESPACE):
        if not is_terminal(pod):
            stage.broken(f"pod {pod['metadata']['name']} is left behind and lives")
        if not _has_owner(stage, pod):
            stage.broken(f"pod {pod['metadata']['name']} is left behind without an owner")


def _has_owner(stage: Stage, pod: Manifest) -> bool:
    """Whether the owner of the pod, a Job or a driver pod, is there."""
    owners = [(_OWNERS[each["kind"]], each) for each in pod["metadata"].get("ownerReferences") or ()]
    found = [
        (stage.cluster.store.peek(resource, NAMESPACE, each["name"]), each["uid"])
        for resource, each in owners
    ]
    return any(owner is not None and owner["metadata"]["uid"] == uid for owner, uid in found)


def _check_jobs(stage: Stage) -> None:
    for job in stage.cluster.store.list(JOBS, NAMESPACE):
        if job["spec"].get("suspend"):
            stage.broken(f"Job {job['metadata']['name']} is left suspended for ever")
        if job["metadata"]["uid"] in stage.retained:
            stage.broken(f"Job {job['metadata']['name']} is left longer than its retention")
