"""
A Spark-capable cluster as a pytest fixture, for DAG authors' own tests.

`spark_cluster` is a local cluster that the session starts when the first test asks for it. With
`--kube-context NAME` the same tests run on that context of the kubeconfig instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

DEFAULT_IMAGE = "apache/spark:4.3.0"


class SparkCluster(Protocol):
    """A cluster that tests may create Spark applications on."""

    @property
    def kubeconfig_path(self) -> Path:
        """The kubeconfig that reaches it."""
        ...

    @property
    def context(self) -> str:
        """Context of the kubeconfig."""
        ...

    @property
    def namespace(self) -> str:
        """Namespace the tests may use."""
        ...

    @property
    def spark_image(self) -> str:
        """Image whose containers run Spark."""
        ...

    def connection_extra(self) -> dict[str, Any]:
        """Extras of an Airflow connection of type `spark_kubernetes` to it."""
        ...


@dataclass(frozen=True, slots=True)
class NamedCluster:
    """A cluster, as a context of a kubeconfig names it."""

    kubeconfig_path: Path
    context: str
    namespace: str
    spark_image: str
    driver_service_account: str | None  # None: the namespace's default account has the rights of a driver
    spark_version: str | None = None  # None: the image's tag tells

    def connection_extra(self) -> dict[str, Any]:
        """Extras of an Airflow connection of type `spark_kubernetes` to it."""
        extra = {
            "kube_config_path": str(self.kubeconfig_path),
            "cluster_context": self.context,
            "namespace": self.namespace,
            "image": self.spark_image,
        }
        if self.driver_service_account is not None:
            extra["driver_service_account"] = self.driver_service_account
        if self.spark_version is not None:
            extra["spark_version"] = self.spark_version
        return extra


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that choose the cluster."""
    group = parser.getgroup("spark on kubernetes")
    group.addoption(
        "--kube-context",
        metavar="NAME",
        help="context of the kubeconfig (KUBECONFIG, else ~/.kube/config) to use instead of a local cluster",
    )
    group.addoption(
        "--kube-namespace", metavar="NAME", default="default", help="namespace to create objects in"
    )
    group.addoption("--spark-image", metavar="IMAGE", default=DEFAULT_IMAGE, help="image that runs Spark")
    group.addoption(
        "--spark-version", metavar="VERSION", help="Spark's version, if the image's tag does not tell it"
    )


@pytest.fixture(scope="session")
def spark_cluster(request: pytest.FixtureRequest) -> Iterator[SparkCluster]:
    """A cluster with real Spark for the whole session: a local one, or what `--kube-context` names."""
    context = request.config.getoption("--kube-context")
    namespace = request.config.getoption("--kube-namespace")
    image = request.config.getoption("--spark-image")
    # Imported here: this module is loaded in every pytest run of an environment that has the package.
    from airflow_spark_k8s.local.driver_rights import driver_service_account

    with ExitStack() as stack:
        kubeconfig = _kubeconfig(context)
        if not context:
            from airflow_spark_k8s.local.cluster import LocalCluster

            local = stack.enter_context(LocalCluster(namespace=namespace, spark_image=image, rbac=True))
            kubeconfig, context = local.kubeconfig_path, local.context
        account = stack.enter_context(driver_service_account(kubeconfig, context, namespace))
        version = request.config.getoption("--spark-version")
        yield NamedCluster(kubeconfig, context, namespace, image, account, version)


def _kubeconfig(context: str | None) -> Path:
    """The first file of KUBECONFIG that has the context; if none has, the first."""
    named = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    files = [file.expanduser().absolute() for file in named] or [Path.home() / ".kube" / "config"]
    return next((file for file in files if file.is_file() and _has_context(file, context)), files[0])


def _has_context(file: Path, context: str | None) -> bool:
    from airflow_spark_k8s.kube.config import ClusterSettings, read_kubeconfig

    contexts = read_kubeconfig(ClusterSettings(kube_config_path=str(file))).get("contexts") or ()
    return any(entry["name"] == context for entry in contexts)
