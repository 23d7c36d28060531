"""One Airflow on PostgreSQL for all scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_spark_k8s.local.airflow import LocalAirflow
from airflow_spark_k8s.local.pytest_plugin import SparkCluster
from tests.e2e.processes import copy_dags
from tests.faults.deployment import FASTER, Deployment
from tests.faults.postgresql import PostgreSQL, binaries

DAGS = (
    "deferred",
    "on_worker",
    "late",
    "worker_dies",
    "watcher_dies",
    "last_step_dies",
    "given_up",
    "with_spark",
)


@pytest.fixture(scope="session")
def running_airflow(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    cluster: SparkCluster = request.getfixturevalue("spark_cluster")
    records = tmp_path_factory.mktemp("records")
    dags = tmp_path_factory.mktemp("dags-of-faults")
    copy_dags(Path(__file__).parent / "dags", dags, cluster)
    with PostgreSQL(programs) as database:
        environment = {
            **FASTER,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
            "FAULTS_RECORDS": str(records),
        }
        extra = {key: value for key, value in cluster.connection_extra().items() if key != "kube_config_path"}
        with LocalAirflow(dags, cluster.kubeconfig_path, extra, environment, ()) as airflow:
            deployment = Deployment(airflow, cluster, database, records)
            deployment.repair()
            for dag_id in DAGS:
                airflow.wait_for_dag(dag_id)
            yield deployment


@pytest.fixture
def deployment(running_airflow: Deployment) -> Deployment:
    """The Airflow with every process up, whatever the scenario before did to it."""
    running_airflow.repair()
    return running_airflow
