"""Environment variables of driver and executors: which names are free, which values are secrets."""

from __future__ import annotations

import re

from airflow_spark_k8s.core.conf import Conf
from airflow_spark_k8s.core.properties_java import driver_options
from airflow_spark_k8s.core.spec import SecretEnv
from airflow_spark_k8s.exceptions import InvalidConfiguration

JAVA_OPTION_PREFIX = "SPARK_JAVA_OPT_"

_PREFIXES = {"driver": "spark.kubernetes.driverEnv.", "executor": "spark.executorEnv."}
_INSTEAD = {
    "SPARK_SUBMIT_OPTS": "executors are not started by spark-submit; use spark.executor.extraJavaOptions",
    "SPARK_CLASSPATH": "use spark.executor.extraClassPath",
    "SPARK_EXECUTOR_LIBRARY_PATH": "use spark.executor.extraLibraryPath",
}
_SUBMIT_OPTS = "SPARK_SUBMIT_OPTS"
_SECRET_OPTIONS_START = 900  # behind all that are not secret, also where the names are sorted as text

_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*", re.ASCII)


def variables_prefix(role: str) -> str:
    """What the properties that set plain variables of driver or executor begin with."""
    return _PREFIXES[role]


def environment(conf: Conf, role: str) -> tuple[dict[str, str], tuple[SecretEnv, ...]]:
    """
    The plain and the secret variables that the conf asks for.

    :param role: driver or executor.
    :raises InvalidConfiguration: for a name that Kubernetes or Spark cannot take.

    Source: org.apache.spark.deploy.k8s.KubernetesExecutorConf.environment
    """
    prefix = _PREFIXES[role]
    given = conf.prefixed(prefix)
    for name in given:
        check_variable(conf, role, prefix, name)
    secret = {name for name, value in given.items() if conf.redaction.is_secret(prefix + name, value)}
    if _SUBMIT_OPTS in given:
        driver_options(conf, prefix + _SUBMIT_OPTS)
    plain = {name: value for name, value in given.items() if name not in secret}
    return plain, tuple(_secret(role, name, given[name]) for name in sorted(secret))


def java_options(conf: Conf, options: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[SecretEnv, ...]]:
    """
    An executor's java options: those that the pod may show, and those that come out of the Secret.

    A flag such as `-Djavax.net.ssl.trustStorePassword=…` works as with Spark, but nobody reads it in the pod.
    """
    hidden = [option for option in options if conf.redaction.is_secret("", option)]
    shown = tuple(option for option in options if option not in hidden)
    names = (f"{JAVA_OPTION_PREFIX}{number}" for number in range(_SECRET_OPTIONS_START, 1000))
    secret = tuple(_secret("executor", name, option) for name, option in zip(names, hidden, strict=False))
    if len(secret) < len(hidden):
        raise InvalidConfiguration(
            "spark.executor.extraJavaOptions", f"{len(hidden)} options", "at most 100 may hold secrets"
        )
    return shown, secret


def check_variable(conf: Conf, role: str, prefix: str, name: str) -> None:
    """
    Return if the property `prefix + name` may set the variable `name`.

    :param role: driver or executor.
    :raises InvalidConfiguration: for a name that Kubernetes cannot take, or that has a property of its own.
    """
    if _NAME.fullmatch(name) is None:
        raise conf.error(
            prefix + name,
            "no valid name of a variable; use letters, digits, '_', '-' and '.', no digit first",
        )
    if name.startswith(JAVA_OPTION_PREFIX):
        raise conf.error(prefix + name, f"use spark.{role}.extraJavaOptions")
    if role == "executor" and name in _INSTEAD:
        raise conf.error(prefix + name, _INSTEAD[name])


def _secret(role: str, name: str, value: str) -> SecretEnv:
    return SecretEnv(name=name, key=f"env-{role}-{name}", value=value)
