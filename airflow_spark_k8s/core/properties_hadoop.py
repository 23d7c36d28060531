"""Hadoop's and Kerberos' configuration files, from ConfigMaps that the user keeps in the namespace."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.labels import is_dns_subdomain
from airflow_spark_k8s.core.mount_points import MountPoint
from airflow_spark_k8s.core.properties_env import variables_prefix

HADOOP_CONF_DIR = "/opt/hadoop/conf"
"""Where containers have Hadoop's configuration."""

_HADOOP = "spark.kubernetes.hadoop.configMapName"
_KRB5 = "spark.kubernetes.kerberos.krb5.configMapName"
_VARIABLE = "HADOOP_CONF_DIR"


def hadoop_mounts(conf: Conf, role: str) -> Iterator[MountPoint]:
    """
    The ConfigMaps with `core-site.xml` and its like, and, for the driver, with `krb5.conf`.

    :param role: driver or executor; executors get their Kerberos tokens from the driver.
    :raises InvalidConfiguration: for names that Kubernetes cannot take, or another HADOOP_CONF_DIR.

    Source: org.apache.spark.deploy.k8s.features.HadoopConfDriverFeatureStep, HadoopConfExecutorFeatureStep,
    KerberosConfDriverFeatureStep
    """
    if (name := _config_map(conf, _HADOOP)) is not None:
        _check_free(conf, role)
        yield _mount_point(_HADOOP, "hadoop-properties", name, {"mountPath": HADOOP_CONF_DIR})
    if role == "driver" and (name := _config_map(conf, _KRB5)) is not None:
        place = {"mountPath": "/etc/krb5.conf", "subPath": "krb5.conf"}
        yield _mount_point(_KRB5, "krb5-file", name, place)


def hadoop_environment(conf: Conf) -> dict[str, str]:
    """The variable under which Spark and Hadoop find that configuration; nothing if there is none."""
    return {} if conf.get(_HADOOP) is None else {_VARIABLE: HADOOP_CONF_DIR}


def _config_map(conf: Conf, name: str) -> str | None:
    config_map = conf.get(name)
    if config_map is not None and not is_dns_subdomain(config_map):
        raise conf.error(name, "no valid name of a ConfigMap")
    return config_map


def _check_free(conf: Conf, role: str) -> None:
    for prefix in (variables_prefix(role), f"spark.kubernetes.{role}.secretKeyRef."):
        if conf.get(prefix + _VARIABLE) is not None:
            raise conf.error(_HADOOP, f"sets {_VARIABLE}, as does {prefix}{_VARIABLE}; say one of them")


def _mount_point(property_name: str, volume: str, config_map: str, place: dict[str, str]) -> MountPoint:
    return MountPoint(
        property_name,
        {"name": volume, "configMap": {"name": config_map}},
        {"name": volume, **place},
    )
