"""The environment variables of driver and executor containers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_spark_k8s.core.executor_pod import JAVA_OPTION_PREFIX
from airflow_spark_k8s.core.properties_env import variables_prefix
from airflow_spark_k8s.core.spec import Application, PodShape
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.templates import paths

EnvVar = Mapping[str, Any]
"""One entry of a container's `env`."""

SUBMIT_OPTS = "SPARK_SUBMIT_OPTS"
LOCAL_DIRS = "SPARK_LOCAL_DIRS"

NO_OWN_EXECUTORS = "-Dspark.executor.instances=0"
"""spark-submit refuses 0 instances as a property; as a system property it takes effect after that check."""

_DRIVER_RESERVED = frozenset({"POD_NAME", "POD_IP", "SPARK_DRIVER_BIND_ADDRESS"})
_EXECUTOR_RESERVED = frozenset(
    {
        "_SPARK_AUTH_SECRET",
        "SPARK_APPLICATION_ID",
        "SPARK_DRIVER_POD_IP",
        "SPARK_DRIVER_URL",
        "SPARK_EXECUTOR_CORES",
        "SPARK_EXECUTOR_ID",
        "SPARK_EXECUTOR_MEMORY",
        "SPARK_EXECUTOR_POD_IP",
        "SPARK_EXECUTOR_POD_NAME",
        "SPARK_RESOURCE_PROFILE_ID",
    }
)
_EXPANDED = re.compile(r"\${2,}|\$(?=\()")


def literal(text: str) -> str:
    """
    `text` so that the container gets it unchanged: Kubernetes expands `$(NAME)` and turns `$$` into `$`.

    Source: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return _EXPANDED.sub(lambda dollars: dollars[0] * 2, text)


def with_no_own_executors(options: str) -> str:
    """JVM options of spark-submit that keep the driver from making executors; the last -D of a name wins."""
    given = options.strip()
    return given if given.endswith(NO_OWN_EXECUTORS) else f"{given} {NO_OWN_EXECUTORS}".strip()


def driver_required() -> tuple[EnvVar, ...]:
    """Variables that a driver's container has whatever its template says."""
    return (
        _of_pod("POD_NAME", "metadata.name"),
        _of_pod("POD_IP", "status.podIP"),
        _plain("SPARK_DRIVER_BIND_ADDRESS", "$(POD_IP)"),
    )


def driver_variables(
    application: Application, secret_name: str, local_dirs: Iterable[str]
) -> tuple[EnvVar, ...]:
    """
    Variables that a driver's template may replace: scratch directories, JVM options, those of the conf.

    :raises InvalidConfiguration: if the conf sets a variable of `driver_required`.
    """
    shape = application.driver
    _refuse_reserved(shape, _DRIVER_RESERVED, "driver")
    given = _of_conf(shape, secret_name)
    options = given.pop(SUBMIT_OPTS, _plain(SUBMIT_OPTS, ""))
    if "value" in options:
        options = _plain(SUBMIT_OPTS, with_no_own_executors(options["value"]))
    given[LOCAL_DIRS] = _plain(LOCAL_DIRS, literal(",".join(local_dirs)))
    return (*given.values(), options)


def executor_required(application: Application, secret_name: str) -> tuple[EnvVar, ...]:
    """
    Variables that an executor's container has whatever its template says, but for those of one pod.

    :raises InvalidConfiguration: if a java option has a line break: entry points of images cannot pass it on.

    Source: org.apache.spark.deploy.k8s.features.BasicExecutorFeatureStep
    """
    shape = application.executor
    auth = [_of_secret("_SPARK_AUTH_SECRET", secret_name, paths.AUTH_SECRET_BASE64_KEY)]
    return (
        _of_pod("SPARK_EXECUTOR_POD_IP", "status.podIP"),
        _of_pod("SPARK_EXECUTOR_POD_NAME", "metadata.name"),
        _plain("SPARK_EXECUTOR_CORES", str(shape.cores)),
        _plain("SPARK_EXECUTOR_MEMORY", f"{shape.memory.heap_mib}m"),
        _plain("SPARK_RESOURCE_PROFILE_ID", "0"),
        *(auth if application.authenticate else []),
        *_java_options(shape.java_options),
        *(variable for name, variable in _of_conf(shape, secret_name).items() if _is_java_option(name)),
    )


def executor_variables(
    application: Application, secret_name: str, local_dirs: Iterable[str]
) -> tuple[EnvVar, ...]:
    """
    Variables that an executor's template may replace: directories, class path, user, those of the conf.

    :raises InvalidConfiguration: if the conf sets a variable that only Spark or the trigger can know.
    """
    shape = application.executor
    _refuse_reserved(shape, _EXECUTOR_RESERVED, "executor")
    derived = {
        # the driver's user name goes to its executors, as with a driver that makes its own
        "SPARK_USER": application.driver.env.get("SPARK_USER"),
        "SPARK_CLASSPATH": application.properties.get("spark.executor.extraClassPath"),
        "SPARK_EXECUTOR_LIBRARY_PATH": application.properties.get("spark.executor.extraLibraryPath"),
    }
    variables: dict[str, EnvVar] = {
        name: _plain(name, literal(value)) for name, value in derived.items() if value is not None
    }
    variables |= {
        name: variable for name, variable in _of_conf(shape, secret_name).items() if not _is_java_option(name)
    }
    variables[LOCAL_DIRS] = _plain(LOCAL_DIRS, literal(",".join(local_dirs)))
    return tuple(variables.values())


def _of_conf(shape: PodShape, secret_name: str) -> dict[str, EnvVar]:
    plain: dict[str, EnvVar] = {name: _plain(name, literal(value)) for name, value in shape.env.items()}
    references = [
        *((secret.name, secret_name, secret.key) for secret in shape.secret_env),
        *((reference.name, reference.secret, reference.key) for reference in shape.secret_key_refs),
    ]
    return plain | {name: _of_secret(name, secret, key) for name, secret, key in references}


def _java_options(options: tuple[str, ...]) -> list[EnvVar]:
    for option in options:
        if "\n" in option or "\r" in option:
            raise InvalidConfiguration(
                "spark.executor.extraJavaOptions", option, "a java option cannot contain a line break"
            )
    return [
        # the digits keep the order under images that sort these names as text
        _plain(f"{JAVA_OPTION_PREFIX}{number:03d}", literal(option))
        for number, option in enumerate(options)
    ]


def _is_java_option(name: str) -> bool:
    return name.startswith(JAVA_OPTION_PREFIX)


def _refuse_reserved(shape: PodShape, reserved: frozenset[str], role: str) -> None:
    given = {
        variables_prefix(role): [*shape.env, *(secret.name for secret in shape.secret_env)],
        f"spark.kubernetes.{role}.secretKeyRef.": [reference.name for reference in shape.secret_key_refs],
    }
    for prefix, names in given.items():
        for name in names:
            if name in reserved:
                raise InvalidConfiguration(
                    prefix + name, "***", "this variable tells Spark who it is; choose another name"
                )


def _plain(name: str, value: str) -> EnvVar:
    return {"name": name, "value": value}


def _of_pod(name: str, field_path: str) -> EnvVar:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": field_path}}}


def _of_secret(name: str, secret_name: str, key: str) -> EnvVar:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}}
