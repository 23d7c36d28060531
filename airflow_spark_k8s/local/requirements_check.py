"""What this machine must have before a local cluster can run real Spark, told in one line each."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MINIMUM_JAVA = 17
SPARK_PORTS = (4040, 7078, 7079)
"""Where the driver pods of this package listen: UI, RPC and block manager, each on its own address."""

_OWN_ADDRESS = "127.99.99.99"  # one that nobody else has a reason to use
_JAVA_HOME = re.compile(r"^\s*java\.home = (.+?)\s*$", re.MULTILINE)
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
    check_ports()
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
            probe.bind((_OWN_ADDRESS, 0))
        except OSError:
            raise MissingRequirement("addresses of 127.0.0.0/8 cannot be bound here", remedy) from None


def check_ports(ports: Sequence[int] = SPARK_PORTS) -> None:
    """
    Return if no other program listens on one of the ports on every address of this machine.

    :raises MissingRequirement: one does, a Spark shell for example; a driver's UI would move to another port.
    """
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_OWN_ADDRESS, port))
            except OSError:
                remedy = "end the program that listens there on all addresses (a Spark shell or notebook?)"
                raise MissingRequirement(f"port {port} is taken", remedy) from None


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
    command = [str(java), "-XshowSettings:properties", "-version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    text = answer.stderr + answer.stdout
    version, home = java_major(text), _JAVA_HOME.search(text)
    if version is None or home is None:
        raise MissingRequirement(f"{java} -version gives no version", remedy)
    if version < MINIMUM_JAVA:
        raise MissingRequirement(f"{java} is Java {version}", remedy)
    return Path(home.group(1))


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
