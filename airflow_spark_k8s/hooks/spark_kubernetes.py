"""The connection type `spark_kubernetes`: where a cluster is, and defaults for applications there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX
from airflow_spark_k8s.core.recovery_settings import check_recovery
from airflow_spark_k8s.core.request import NO_RECOVERY, NO_SHAPING, RecoveryRequest, Shaping
from airflow_spark_k8s.core.shaping import check_shaping
from airflow_spark_k8s.exceptions import InvalidConfiguration, SparkKubernetesError, UnknownConnection
from airflow_spark_k8s.kube.config import (
    CLUSTER_EXTRAS,
    ClusterSettings,
    cluster_settings,
    namespace_of,
    text,
)

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.kube.client import ApiServer
    from airflow_spark_k8s.kube.cluster import Cluster

SHAPING_EXTRAS = frozenset(extra.name for extra in fields(Shaping))
"""Names of the extras that give defaults to the operator's arguments of the same name."""

RECOVERY_EXTRAS = frozenset(extra.name for extra in fields(RecoveryRequest))
"""The same for those about executors that run out of memory."""

DEFAULT_EXTRAS = (
    SHAPING_EXTRAS
    | RECOVERY_EXTRAS
    | {
        "image",
        "spark_version",
        "driver_service_account",
        "executor_service_account",
        "conf",
    }
)
"""Names of the extras that give defaults to applications."""

# Connections of the type `kubernetes` may be used as they are; these of their extras are not about a cluster.
_FOREIGN_EXTRAS = frozenset(
    {
        "xcom_sidecar_container_image",
        "xcom_sidecar_container_resources",
        "xcom_sidecar_container_security_context",
    }
)
_PREFIXES = ("extra__spark_kubernetes__", "extra__kubernetes__")
_TEST_SECONDS = 20.0
_SECRET_FIELDS = ("token", "password", "client-key-data")


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A connection's extras, read and checked."""

    cluster: ClusterSettings
    namespace: str  # for applications that name none
    image: str | None = None  # None: every application has to name one
    spark_version: str | None = None  # None: taken from the application or the image's tag
    driver_service_account: str | None = None  # None: the namespace's default
    executor_service_account: str | None = None  # None: the namespace's default
    conf: Mapping[str, str] = field(default_factory=dict, repr=False)  # Spark properties; may hold secrets
    shaping: Shaping = NO_SHAPING
    recovery: RecoveryRequest = NO_RECOVERY


def connection_settings(extras: Mapping[str, object], *, conn_type: str = "") -> ConnectionSettings:
    """
    The settings in a connection's extras; reads the kubeconfig they name for its namespace.

    :param extras: as decoded from JSON; names may have the prefix `extra__kubernetes__`.
    :param conn_type: extras of pods are let pass in a connection of the type `kubernetes`.
    :raises InvalidConfiguration: an unknown extra, a wrong value, a kubeconfig that is missing or malformed.
    """
    named = {_without_prefix(name): value for name, value in extras.items()}
    foreign = _FOREIGN_EXTRAS if conn_type == "kubernetes" else frozenset()
    unknown = sorted(named.keys() - CLUSTER_EXTRAS - DEFAULT_EXTRAS - foreign)
    if unknown:
        known = ", ".join(sorted(CLUSTER_EXTRAS | DEFAULT_EXTRAS))
        raise InvalidConfiguration("extra", unknown, f"not known; a connection may have: {known}")
    cluster = cluster_settings(named)
    return ConnectionSettings(
        cluster=cluster,
        namespace=namespace_of(cluster),
        image=text(named, "image"),
        spark_version=text(named, "spark_version"),
        driver_service_account=text(named, "driver_service_account"),
        executor_service_account=text(named, "executor_service_account"),
        conf=_conf(named.get("conf")),
        shaping=check_shaping(Shaping(**_given(named, SHAPING_EXTRAS)), origin=CONNECTION_SUFFIX),
        recovery=check_recovery(RecoveryRequest(**_given(named, RECOVERY_EXTRAS)), origin=CONNECTION_SUFFIX),
    )


class SparkKubernetesHook(BaseHook):
    """
    One cluster, as an Airflow connection describes it.

    Connections of the type `kubernetes` are understood as well.

    :param conn_id: id of the connection.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "spark_kubernetes_default"
    conn_type = "spark_kubernetes"
    hook_name = "Spark on Kubernetes"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._settings: ConnectionSettings | None = None

    @property
    def settings(self) -> ConnectionSettings:
        """
        The connection's settings, asked of Airflow once; not for use on an event loop.

        :raises UnknownConnection: no such connection, or Airflow could not look it up.
        :raises InvalidConfiguration: a connection that cannot work.
        """
        from airflow.sdk.log import mask_secret

        if self._settings is None:
            try:
                self._settings = _settings_of(self.get_connection(self.conn_id))
            except AirflowNotFoundException as error:
                raise self._unknown_connection() from error
            for secret in _secrets_of(self._settings):
                mask_secret(secret)
        return self._settings

    async def load_settings(self) -> ConnectionSettings:
        """
        The connection's settings, asked of Airflow once; for use on an event loop.

        :raises UnknownConnection: no such connection, or Airflow could not look it up.
        :raises InvalidConfiguration: a connection that cannot work.
        """
        from airflow.sdk.log import amask_secret

        if self._settings is None:
            try:
                connection = await self.aget_connection(self.conn_id)
            except AirflowNotFoundException as error:
                raise self._unknown_connection() from error
            self._settings = await asyncio.to_thread(_settings_of, connection)
            for secret in _secrets_of(self._settings):
                await amask_secret(secret)
        return self._settings

    async def cluster_of(self, reference: ApplicationReference, *, lasting: bool = False) -> Cluster:
        """
        As `cluster`; a call raises WrongCluster if `reference` was submitted to another cluster.

        :raises InvalidConfiguration: no such connection, or one that cannot work.
        :raises ClusterError: a credential plug-in failed.
        """
        from airflow_spark_k8s.kube.guard import guarded

        server = await self.cluster(lasting=lasting)
        return guarded(server, reference, generation=lambda: server.generation)

    async def cluster(self, *, lasting: bool = False) -> ApiServer:
        """
        A client of the cluster, with credentials loaded; the caller closes it.

        :param lasting: it will be used for so long that the connection may change: it is read again when the
            server refuses the credentials. Only where Airflow may be asked on this event loop.
        :raises InvalidConfiguration: no such connection, or one that cannot work.
        :raises ClusterError: a credential plug-in failed.
        """
        # Not while DAG files are parsed: this brings an HTTP client with it.
        from airflow_spark_k8s.kube.client import ApiServer

        settings = await self.load_settings()
        return await ApiServer.open(settings.cluster, renew=self._renewed if lasting else None)

    async def _renewed(self) -> ClusterSettings:
        self._settings = None
        return (await self.load_settings()).cluster

    def test_connection(self) -> tuple[bool, str]:
        """Whether the cluster answers and grants all that is needed, and a sentence about it."""
        try:
            return asyncio.run(self._test(self.settings))
        except (SparkKubernetesError, TimeoutError) as error:
            return False, str(error) or f"no answer within {_TEST_SECONDS:.0f} s"

    async def _test(self, settings: ConnectionSettings) -> tuple[bool, str]:
        from airflow_spark_k8s.kube.access import missing_rights
        from airflow_spark_k8s.kube.client import ApiServer

        async with asyncio.timeout(_TEST_SECONDS):
            async with await ApiServer.open(settings.cluster) as cluster:
                version = (await cluster.request("GET", "/version")).get("gitVersion", "unknown")
                missing = await missing_rights(cluster, settings.namespace)
        where = f"Kubernetes {version}, namespace {settings.namespace}"
        if not missing:
            return True, f"{where}: everything needed is allowed"
        listed = "; ".join(str(right) for right in missing)
        if any(right.required for right in missing):
            return False, f"{where}: not allowed: {listed}"
        return True, f"{where}: works, but not allowed: {listed}"

    def _unknown_connection(self) -> UnknownConnection:
        return UnknownConnection(
            "conn_id",
            self.conn_id,
            f"no such connection: create one of the type {self.conn_type}; if there is one, Airflow's "
            "database or secrets backend did not answer",
        )


def _settings_of(connection: Connection) -> ConnectionSettings:
    return connection_settings(_extras(connection), conn_type=connection.conn_type or "")


def _extras(connection: Connection) -> Mapping[str, object]:
    if not connection.extra:
        return {}
    try:
        extras: Any = json.loads(connection.extra)
    except ValueError as error:
        raise InvalidConfiguration("extra", "…", f"is not JSON: {error}") from error
    if not isinstance(extras, dict):
        raise InvalidConfiguration("extra", type(extras).__name__, "must be a JSON object")
    return extras


def _without_prefix(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _given(extras: Mapping[str, object], names: Iterable[str]) -> dict[str, Any]:
    # The form stores empty texts for what was left out.
    return {name: extras.get(name) for name in names if extras.get(name) != ""}


def _conf(value: object) -> dict[str, str]:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidConfiguration("extra conf", "…", f"is not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise InvalidConfiguration(
            "extra conf", type(value).__name__, "must be an object of Spark properties and their values"
        )
    return {str(key): _property(str(key), item) for key, item in value.items()}


def _property(key: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidConfiguration(
        f"extra conf {key}",
        type(value).__name__,
        "a property's value must be text, a number or true or false",
    )


def _secrets_of(settings: ConnectionSettings) -> list[str]:
    """The credentials of a kubeconfig in the connection, which Airflow cannot tell by the extra's name."""
    users = [entry.get("user") or {} for entry in (settings.cluster.kube_config or {}).get("users") or ()]
    values = [user.get(name) for user in users for name in _SECRET_FIELDS]
    return [value for value in values if isinstance(value, str) and value]
