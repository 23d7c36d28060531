from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators.bundle_files import (
    is_bundle_file,
    is_template_file,
    read_file,
    search_folders,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "team" / "jobs").mkdir(parents=True)
    (root / "shared").mkdir()
    (root / "team" / "jobs" / "pi.py").write_bytes(b"beside the DAG")
    (root / "shared" / "pi.py").write_bytes(b"of the bundle")
    (tmp_path / "private.py").write_bytes(b"the worker's own")
    return root


def dag_in(bundle: Path, searchpath: list[str] | None = None) -> DAG:
    dag = DAG("d", schedule=None, template_searchpath=searchpath)
    dag.fileloc = str(bundle / "team" / "dag.py")
    return dag


def folders(bundle: Path, searchpath: list[str] | None = None) -> tuple[Path, ...]:
    ti = SimpleNamespace(bundle_instance=SimpleNamespace(path=bundle))
    return search_folders(dag_in(bundle, searchpath), ti)


@pytest.mark.parametrize(
    ("application", "expected"),
    [
        ("jobs/pi.py", True),
        ("/opt/airflow/dags/pi.py", True),
        ("local:///opt/spark/examples/pi.py", False),
        ("s3a://bucket/pi.py", False),
        ("https://example.com/pi.py", False),
        ("", False),
        pytest.param("spark-internal", False, id="no file: a main class says what to run"),
        pytest.param("pyspark-shell", False, id="no file: refused as a shell"),
    ],
)
def test_a_path_without_a_scheme_is_a_file_of_the_bundle(application: str, expected: bool) -> None:
    assert is_bundle_file(application) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("templates/driver.yaml", True),
        ("driver.yml", True),
        ("driver.yaml.j2", True),
        ("kind: Job", False),
        ("metadata:\n  name: x.yaml", False),
    ],
)
def test_a_template_file_is_told_from_a_template(text: str, expected: bool) -> None:
    assert is_template_file(text) is expected


def test_the_folder_of_the_dag_file_comes_first(bundle: Path) -> None:
    assert read_file("jobs/pi.py", folders(bundle), field="application") == b"beside the DAG"


def test_then_the_root_of_the_bundle(bundle: Path) -> None:
    assert read_file("shared/pi.py", folders(bundle), field="application") == b"of the bundle"


def test_the_searchpath_of_the_dag_counts(bundle: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "x.yaml").write_bytes(b"kind: Job")
    assert read_file("x.yaml", folders(bundle, [str(extra)]), field="driver_template") == b"kind: Job"


def test_an_absolute_path_inside_the_bundle_is_read(bundle: Path) -> None:
    path = str(bundle / "shared" / "pi.py")
    assert read_file(path, folders(bundle), field="application") == b"of the bundle"


def test_without_a_task_runner_the_dag_tells_where_its_bundle_is(bundle: Path) -> None:
    dag = dag_in(bundle)
    dag.relative_fileloc = "team/dag.py"
    found = search_folders(dag, SimpleNamespace())
    assert read_file("shared/pi.py", found, field="application") == b"of the bundle"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("jobs/missing.py", id="no such file"),
        pytest.param("jobs", id="a folder"),
        pytest.param("../../private.py", id="a path that leaves the bundle"),
        pytest.param("{outside}", id="an absolute path outside"),
        pytest.param("link.py", id="a link that leads outside"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(bundle: Path, tmp_path: Path, path: str) -> None:
    (bundle / "team" / "link.py").symlink_to(tmp_path / "private.py")
    path = path.format(outside=tmp_path / "private.py")
    with pytest.raises(InvalidConfiguration, match="local:///") as raised:
        read_file(path, folders(bundle), field="application")
    assert raised.value.field == "application"
    assert raised.value.value == path
