from __future__ import annotations

import socket
from pathlib import Path

import pytest

from airflow_spark_k8s.local.requirements_check import (
    MissingRequirement,
    check_java,
    check_loopback,
    check_ports,
    check_pyspark,
    check_spark_home,
    java_major,
)


@pytest.mark.parametrize(
    ("text", "major"),
    [
        pytest.param('openjdk version "17.0.15" 2025-04-15', 17, id="17"),
        pytest.param('openjdk version "21" 2023-09-19', 21, id="a first release"),
        pytest.param('java version "1.8.0_392"', 8, id="the old numbering"),
        pytest.param("command not found", None, id="no version"),
    ],
)
def test_version_of_java(text: str, major: int | None) -> None:
    assert java_major(text) == major


def fake_java(home: Path, version: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(
        f"#!/bin/sh\necho '    java.home = {home}' >&2\necho 'openjdk version \"{version}\"' >&2\n"
    )
    java.chmod(0o755)
    return home


def test_java_home_decides_which_java_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "jdk", "21.0.1")))
    assert check_java() == tmp_path / "jdk"


def test_an_old_java_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "jdk", "11.0.2")))
    with pytest.raises(MissingRequirement, match=r"is Java 11: install a Java runtime 17 or newer") as error:
        check_java()
    assert "\n" not in str(error.value)


def test_no_java_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingRequirement, match="Java was not found: install a Java runtime 17"):
        check_java()


def test_another_operating_system_is_told_in_one_line() -> None:
    with pytest.raises(MissingRequirement, match="needs Linux, this is darwin: run it on Linux, in WSL2"):
        check_loopback("darwin")


def test_a_port_that_another_program_has_on_every_address_is_told_in_one_line() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(MissingRequirement, match=f"port {port} is taken: end the program"):
            check_ports([port])


def test_a_port_that_another_program_has_on_its_own_address_is_free_for_pods() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        check_ports([other.getsockname()[1]])


def test_a_folder_without_spark_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(MissingRequirement, match="has no spark-submit or no spark-kubernetes jar: do this"):
        check_spark_home(tmp_path, "do this")


def test_this_machine_has_what_the_tests_need() -> None:
    check_loopback()
    assert (check_pyspark() / "jars").is_dir()
