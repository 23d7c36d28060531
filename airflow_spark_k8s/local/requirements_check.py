"""What this machine must have before a local cluster can run real Spark, told in one line each."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

MINIMUM_JAVA = 17
_JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


class MissingRequirement(RuntimeError):
    """Something this machine lacks; the message is one line: what is missing and what to do."""

    def __init__(self, missing: str, remedy: str) -> None:
        super().__init__(f"{missing}: {remedy}")
        self.missing = missing
        self.remedy = remedy


def check_requirements() -> None:
    """
    Return if this machine can run a local cluster with real Spark in it.

    :raises MissingRequirement: the first thing that is missing, with what to do.
    """
    check_loopback()
    check_pyspark()
    check_java()


def check_loopback(platform: str = sys.platform) -> None:
    """
    Return if every pod can have a loopback address of its own.

    :raises MissingRequirement: not Linux, or only 127.0.0.1 can be bound.
    """
    remedy = "run it on Linux, in WSL2 or in a Linux container, or use a real cluster"
    if not platform.startswith("linux"):
        raise MissingRequirement(f"the local cluster needs Linux, this is {platform}", remedy)
    with socket.socket() as probe:
        try:
            probe.bind(("127.99.99.99", 0))
        except OSError:
            raise MissingRequirement("addresses of 127.0.0.0/8 cannot be bound here", remedy) from None


def check_pyspark() -> Path:
    """
    Home of the installed pyspark.

    :raises MissingRequirement: no pyspark, or one without Spark's Kubernetes jar (a connect-only client).
    """
    remedy = "install airflow-spark-k8s[local]"
    found = importlib.util.find_spec("pyspark")
    if found is None or found.origin is None:
        raise MissingRequirement("pyspark is not installed", remedy)
    home = Path(found.origin).parent
    check_spark_home(home, remedy)
    return home


def check_spark_home(home: Path, remedy: str) -> None:
    """
    Return if the folder is a Spark that can run on Kubernetes.

    :raises MissingRequirement: no spark-submit or no spark-kubernetes jar in it.
    """
    if not (home / "bin" / "spark-submit").is_file() or not any(
        (home / "jars").glob("spark-kubernetes_*.jar")
    ):
        raise MissingRequirement(f"{home} has no spark-submit or no spark-kubernetes jar", remedy)


def check_java() -> Path:
    """
    Home of the Java runtime that JAVA_HOME names, else of the one on the PATH.

    :raises MissingRequirement: no Java, or one older than `MINIMUM_JAVA`.
    """
    remedy = f"install a Java runtime {MINIMUM_JAVA} or newer, or point JAVA_HOME at one"
    java = find_java()
    if java is None:
        raise MissingRequirement("Java was not found", remedy)
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=60)
    version = java_major(answer.stderr + answer.stdout)
    if version is None:
        raise MissingRequirement(f"{java} -version gives no version", remedy)
    if version < MINIMUM_JAVA:
        raise MissingRequirement(f"{java} is Java {version}", remedy)
    return java.resolve().parent.parent


def find_java() -> Path | None:
    """Path of the java command: of JAVA_HOME if set, else of the PATH; None if there is none."""
    home = os.environ.get("JAVA_HOME")
    if home and (Path(home) / "bin" / "java").is_file():
        return Path(home) / "bin" / "java"
    found = shutil.which("java")
    return Path(found) if found else None


def java_major(text: str) -> int | None:
    """Major version in the output of `java -version` (8 for "1.8.0_392"); None if it has none."""
    match = _JAVA_VERSION.search(text)
    return int(match.group(1)) if match else None
