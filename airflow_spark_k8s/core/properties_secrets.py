"""Secrets that the user keeps in the namespace: as directories, and as environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.labels import is_dns_subdomain
from airflow_spark_k8s.core.mount_points import MountPoint, mount_path
from airflow_spark_k8s.core.properties_env import check_variable, variables_prefix
from airflow_spark_k8s.core.spec import SecretKeyRef

_SECRETS = "spark.kubernetes.{}.secrets."
_SECRET_KEY_REF = "spark.kubernetes.{}.secretKeyRef."  # noqa: S105 - names of properties
_KEY = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}", re.ASCII)
_NEEDS_A_VALUE = {
    "SPARK_SUBMIT_OPTS": "options are added to it; give its value with spark.kubernetes.driverEnv.*",
    "SPARK_LOCAL_DIRS": "a volume is made for each directory in it; give its value in the environment",
}


def secret_mounts(conf: Conf, role: str) -> Iterator[MountPoint]:
    """
    The Secrets that the conf mounts as directories: `…secrets.NAME=/path`.

    :param role: driver or executor.
    :raises InvalidConfiguration: for a name or a path that Kubernetes cannot take.

    Source: org.apache.spark.deploy.k8s.features.MountSecretsFeatureStep
    """
    prefix = _SECRETS.format(role)
    for secret in conf.set_with(prefix):
        if not is_dns_subdomain(secret):
            raise conf.error(prefix + secret, "no valid name of a Secret")
        volume = f"{secret}-volume"
        path = mount_path(conf, prefix + secret)
        yield MountPoint(
            prefix + secret,
            {"name": volume, "secret": {"secretName": secret}},
            {"name": volume, "mountPath": path},
        )


def secret_key_refs(conf: Conf, role: str) -> tuple[SecretKeyRef, ...]:
    """
    The variables that the conf takes from Secrets: `…secretKeyRef.VARIABLE=secret:key`.

    :param role: driver or executor.
    :raises InvalidConfiguration: for a variable that is not free, and a reference that is none.

    Source: org.apache.spark.deploy.k8s.features.EnvSecretsFeatureStep
    """
    prefix = _SECRET_KEY_REF.format(role)
    return tuple(_secret_key_ref(conf, role, prefix, name) for name in conf.set_with(prefix))


def _secret_key_ref(conf: Conf, role: str, prefix: str, name: str) -> SecretKeyRef:
    check_variable(conf, role, prefix, name)
    if name in _NEEDS_A_VALUE:
        raise conf.error(prefix + name, _NEEDS_A_VALUE[name])
    if conf.get(variables_prefix(role) + name) is not None:
        raise conf.error(prefix + name, f"contradicts {variables_prefix(role)}{name}; say one of them")
    secret, _, key = (conf.get(prefix + name) or "").partition(":")
    if not is_dns_subdomain(secret) or _KEY.fullmatch(key) is None:
        raise conf.error(
            prefix + name, "must be the name of a Secret, ':' and a key in it: database:password"
        )
    return SecretKeyRef(name=name, secret=secret, key=key)
