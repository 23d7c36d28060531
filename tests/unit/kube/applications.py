"""A small application's manifests, as the templates would render them."""

from __future__ import annotations

from typing import Any

from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import ANNOTATION_SPEC_HASH, labels_of
from airflow_spark_k8s.core.spec import Identity, Manifests

JOBS = "/apis/batch/v1/namespaces/spark/jobs"
PODS = "/api/v1/namespaces/spark/pods"


def identity_of(try_number: int = 1, *, ti_id: str = "", deployment: str = "prod") -> Identity:
    return identify(deployment, "dag", "task", "run", -1, try_number, ti_id or f"ti-{try_number}")


def manifests_of(identity: Identity, *, spec_hash: str = "hash-1") -> Manifests:
    labels = labels_of(identity)

    def metadata(suffix: str) -> dict[str, Any]:
        return {"name": f"{identity.application}-{suffix}", "namespace": "spark", "labels": dict(labels)}

    driver = {"containers": [{"name": "spark-kubernetes-driver", "image": "spark"}], "restartPolicy": "Never"}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **metadata("r0"),
            "annotations": {ANNOTATION_SPEC_HASH: spec_hash},
        },
        "spec": {
            "suspend": True,
            "template": {"metadata": {"labels": {**labels, "spark-role": "driver"}}, "spec": driver},
        },
    }
    executor = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "spark", "labels": {**labels, "spark-role": "executor"}},
        "spec": {"containers": [{"name": "spark-kubernetes-executor", "image": "spark", "env": []}]},
    }
    config_maps = tuple(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(suffix), "data": {"a": "b"}}
        for suffix in ("app", "files")
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("conf"), "data": {"auth": "eA=="}}
    return Manifests(job, config_maps, executor, spec_hash, secret)


def running_pod(identity: Identity, job_uid: str | None, name: str = "driver") -> dict[str, Any]:
    owners = [{"kind": "Job", "name": "j", "uid": job_uid}] if job_uid else []
    return {
        "metadata": {"name": name, "labels": labels_of(identity), "ownerReferences": owners},
        "status": {"phase": "Running"},
    }
