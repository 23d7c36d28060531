"""What the official Spark image does with the arguments and variables of a container, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKEND_CLASS = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"

_BACKEND_OPTIONS: Mapping[str, str] = {
    "--driver-url": "SPARK_DRIVER_URL",
    "--executor-id": "SPARK_EXECUTOR_ID",
    "--cores": "SPARK_EXECUTOR_CORES",
    "--app-id": "SPARK_APPLICATION_ID",
    "--hostname": "SPARK_EXECUTOR_POD_IP",
    "--resourceProfileId": "SPARK_RESOURCE_PROFILE_ID",
    "--podName": "SPARK_EXECUTOR_POD_NAME",
}


@dataclass(frozen=True, slots=True)
class Command:
    """One command line, ready to be executed."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    has_init: bool  # True: a small init comes first, so that signals have their usual effect on the process


@dataclass(frozen=True, slots=True)
class SparkPlace:
    """Where the image's parts are on this machine."""

    spark_home: Path
    java_home: Path
    work_folder: Path  # the container's working directory
    temporary_folder: Path  # what the JVM uses as java.io.tmpdir
    java_options: tuple[str, ...] = ()  # before all others, so that the container's own win


def entry_point(args: Sequence[str], env: Mapping[str, str], place: SparkPlace) -> Command:
    """
    What the image runs for these arguments: a driver, an executor, or the arguments as they are.

    An executor's variables that are missing are passed on empty; the JVM then says what it lacks.

    Source: entrypoint.sh of the official images, https://github.com/apache/spark-docker
    """
    role = args[0] if args else ""
    if role == "driver":
        return _driver(args[1:], env, place)
    if role == "executor":
        return _executor(env, place)
    return Command(tuple(args), dict(env), has_init=False)


def class_path(env: Mapping[str, str], place: SparkPlace) -> str:
    """
    Class path of an executor: its configuration first, its working directory last, what is unset left empty.

    Source: entrypoint.sh of the official images.
    """
    parts = [env.get("SPARK_CLASSPATH", ""), f"{place.spark_home}/jars/*"]
    if env.get("SPARK_EXTRA_CLASSPATH"):
        parts.append(env["SPARK_EXTRA_CLASSPATH"])
    if "HADOOP_CONF_DIR" in env:
        parts.insert(0, env["HADOOP_CONF_DIR"])
    parts.insert(0, env.get("SPARK_CONF_DIR", f"{place.spark_home}/conf"))
    parts += [str(place.work_folder), env.get("SPARK_DIST_CLASSPATH", "")]
    return ":".join(parts)


def java_options(env: Mapping[str, str]) -> tuple[str, ...]:
    """
    Values of the `SPARK_JAVA_OPT_…` variables in the lexical order of their names.

    Source: entrypoint.sh of the official images.
    """
    return tuple(env[name] for name in sorted(env) if name.startswith("SPARK_JAVA_OPT_"))


def _driver(args: Sequence[str], env: Mapping[str, str], place: SparkPlace) -> Command:
    address = env.get("SPARK_DRIVER_BIND_ADDRESS", "")
    argv = (
        f"{place.spark_home}/bin/spark-submit",
        "--conf",
        f"spark.driver.bindAddress={address}",
        "--conf",
        f"spark.executorEnv.SPARK_DRIVER_POD_IP={address}",
        "--deploy-mode",
        "client",
        *args,
    )
    # The system's temporary folder would be shared by all containers and outlive them.
    options = [*place.java_options, f"-Djava.io.tmpdir={place.temporary_folder}"]
    if env.get("SPARK_SUBMIT_OPTS"):
        options.append(env["SPARK_SUBMIT_OPTS"])
    # The launcher is a short-lived JVM that only puts the driver's command line together.
    launcher = {"SPARK_LAUNCHER_OPTS": " ".join(place.java_options)}
    return Command(argv, {**launcher, **env, "SPARK_SUBMIT_OPTS": " ".join(options)}, has_init=True)


def _executor(env: Mapping[str, str], place: SparkPlace) -> Command:
    memory = env.get("SPARK_EXECUTOR_MEMORY", "")
    argv = [
        f"{place.java_home}/bin/java",
        *place.java_options,
        f"-Djava.io.tmpdir={place.temporary_folder}",
        *java_options(env),
        f"-Xms{memory}",
        f"-Xmx{memory}",
        "-cp",
        class_path(env, place),
        BACKEND_CLASS,
    ]
    for option, name in _BACKEND_OPTIONS.items():
        argv += [option, env.get(name, "")]
    return Command(tuple(argv), dict(env), has_init=True)
