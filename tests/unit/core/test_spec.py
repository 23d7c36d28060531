from __future__ import annotations

from airflow_spark_k8s.core.spec import Manifests


def test_manifests_know_their_application_and_hide_their_secret() -> None:
    job = {"metadata": {"labels": {"airflow-spark-k8s/application": "pi-0123"}}}
    manifests = Manifests(job, config_maps=(), executor={}, spec_hash="hash", secret={"data": "hidden"})
    assert manifests.application == "pi-0123"
    assert "hidden" not in repr(manifests)
