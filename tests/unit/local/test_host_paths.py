from __future__ import annotations

import socket
from pathlib import Path

import pytest

from airflow_spark_k8s.local.host_paths import host_path_trouble


@pytest.mark.parametrize(
    ("name", "kind", "trouble"),
    [
        pytest.param("nothing", "", None, id="no type, no check"),
        pytest.param("folder", "Directory", None, id="a folder"),
        pytest.param("file", "Directory", "{} is not a directory", id="a file for a folder"),
        pytest.param("nothing", "Directory", "{} is not a directory", id="no folder"),
        pytest.param("nothing", "DirectoryOrCreate", None, id="a folder that is made"),
        pytest.param("file", "DirectoryOrCreate", "{} is not a directory", id="a file in a folder's place"),
        pytest.param("file", "File", None, id="a file"),
        pytest.param("folder", "File", "{} is not a file", id="a folder for a file"),
        pytest.param("nothing", "FileOrCreate", None, id="a file that is made"),
        pytest.param("socket", "Socket", None, id="a socket"),
        pytest.param("file", "Socket", "{} is not a socket file", id="a file for a socket"),
        pytest.param("file", "BlockDevice", "{} is not a block device", id="a file for a block device"),
        pytest.param("file", "CharDevice", "{} is not a character device", id="a file for a device"),
    ],
)
def test_what_is_at_a_path(tmp_path: Path, name: str, kind: str, trouble: str | None) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        path = str(tmp_path / name)
        expected = trouble and f"hostPath type check failed: {trouble.format(path)}"
        assert host_path_trouble(path, kind) == expected
    assert Path(path).exists() is (name != "nothing" or kind.endswith("OrCreate"))


def test_a_device() -> None:
    assert host_path_trouble("/dev/null", "CharDevice") is None


def test_a_file_cannot_be_made_without_its_folder(tmp_path: Path) -> None:
    trouble = host_path_trouble(str(tmp_path / "no" / "file"), "FileOrCreate")
    assert trouble is not None
    assert "No such file or directory" in trouble
