from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_spark_k8s.cli import main

ROOT = Path(__file__).parents[3]

CLI = "import sys; from airflow_spark_k8s.cli import main; sys.exit(main())"

DAGS = """
import pendulum
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator as Spark

print("printed by the DAG file")
base = dict(application="local:///a.py", conf={"spark.executor.memory": "8g"})
start = pendulum.datetime(2026, 1, 31)

with DAG("first", schedule=None, start_date=start, params={"factor": 1.1}):
    Spark(task_id="plain", **base)
    Spark(task_id="params", burst_factor="{{ params.factor }}", **base)
    Spark(task_id="tries", burst_factor="{{ 1.1 if ti.try_number == 1 else 1 }}", **base)
    Spark(task_id="date", burst_factor="{{ 1.1 if ds == '2026-01-31' else 1 }}", **base)
    Spark(task_id="some", burst_factor={"factor": 1.1, "fraction": 0.25}, **base)
    Spark(task_id="floor", burst_factor=2, **base)
    Spark(task_id="image", image="apache/spark:4.3.0", **base)
    Spark(task_id="secret", application="local:///a.py",
          conf={"spark.kubernetes.driver.secretKeyRef.TOKEN": "name:key"})
    Spark(
        task_id="template",
        executor_template={"spec": {"containers": [{
            "name": "spark-kubernetes-executor",
            "resources": {"requests": {"memory": "9Gi"}},
        }]}},
        **base,
    )
    Spark.partial(task_id="mapped", **base).expand(burst_factor=["1", "1.1"])
    Spark.partial(task_id="dicts", application="local:///a.py").expand_kwargs([{"burst_factor": "1.1"}])
    Spark(task_id="xcom", burst_factor="{{ ti.xcom_pull('plain') }}", **base)
    Spark(task_id="unknown", burst_factor="{{ nobody_knows }}", **base)
    Spark(task_id="run", burst_factor="{{ dag_run.start_date.hour }}", **base)
    Spark(task_id="wrong", burst_factor="{{ params.factor - 1 }}", **base)
    EmptyOperator(task_id="other")
    EmptyOperator(task_id="twice")
with DAG("second", schedule=None):
    Spark(task_id="twice", **base)
with DAG("third", schedule=None, params={"factor": None}):
    pass
"""


@pytest.fixture
def dag_file(tmp_path: Path) -> str:
    file = tmp_path / "some_dags.py"
    file.write_text(DAGS)
    return str(file)


def printed(capsys: pytest.CaptureFixture[str], file: str, task: str, *more: str) -> dict[str, object]:
    assert main(["memory", "--dag", file, "--task", task, "--json", *more]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def sizes(found: dict[str, object], prefix: str = "") -> tuple[object, object]:
    return found[f"{prefix}request_mib"], found[f"{prefix}limit_mib"]


@pytest.mark.parametrize(
    ("task", "request_mib"),
    [
        pytest.param("plain", 11468, id="no bursting"),
        pytest.param("params", 10321, id="a factor from params"),
        pytest.param("tries", 10321, id="the first try"),
        pytest.param("date", 10321, id="the DAG's start date"),
        pytest.param("first.plain", 11468, id="a task by its DAG"),
        pytest.param("second.twice", 11468, id="one of two of the same name"),
        pytest.param("mapped", 11468, id="the first of a mapped task"),
        pytest.param("dicts", 1289, id="one mapped by dicts"),
        pytest.param("image", 11468, id="an image of its own"),
        pytest.param("secret", 1433, id="a property that looks like a secret"),
    ],
)
def test_a_task_gets_what_it_asks_for(
    task: str, request_mib: int, dag_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, dag_file, task)
    assert sizes(found)[0] == request_mib
    assert sizes(found, "driver_") == (1433, 1433)


def test_one_of_a_mapped_task(dag_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sizes(printed(capsys, dag_file, "mapped", "--map-index", "1")) == (10321, 11468)


def test_executors_that_do_not_burst_are_told_apart(
    dag_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, dag_file, "some")
    assert found["burst_fraction"] == 0.25
    assert sizes(found) == (10321, 11468)
    assert sizes(found, "plain_") == (11468, 11468)
    assert main(["memory", "--dag", dag_file, "--task", "some"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split("  ")[-1].strip() == "executor, not bursting"


def test_defaults_come_from_the_connection(
    dag_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = {"namespace": "spark", "image": "apache/spark:4.3.0", "burst_factor": "1.1"}
    connection = json.dumps({"conn_type": "spark_kubernetes", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_MEMORY_TEST", connection)
    found = printed(capsys, dag_file, "plain", "--conn-id", "memory_test")
    assert sizes(found) == (10321, 11468)
    assert found["notes"] == ""


def test_a_connection_that_is_not_there_is_told(dag_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    notes = printed(capsys, dag_file, "plain", "--conn-id", "nowhere")["notes"]
    assert "Connection nowhere was not found" in str(notes)
    assert main(["memory", "--dag", dag_file, "--task", "floor"]) == 0
    out = capsys.readouterr().out
    assert "Connection spark_kubernetes_default was not found" in out
    assert "The floor applies: 328 MiB" in out


def test_what_a_template_makes_of_it_counts(dag_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, dag_file, "template", "--conn-id", "nowhere")
    assert sizes(found) == (9216, 11468)
    assert "the executor template sets another request" in str(found["notes"])


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        pytest.param(("nobody",), ("--task='nobody'", "first.plain", "second.twice"), id="no such task"),
        pytest.param(("twice",), ("--task='twice'", "first.twice or second.twice"), id="two of that name"),
        pytest.param(("other",), ("--task='other'", "SparkKubernetesJobOperator"), id="another operator"),
        pytest.param(("xcom",), ("burst_factor=", "without a run", "XCom"), id="an XCom"),
        pytest.param(("unknown",), ("burst_factor=", "nobody_knows"), id="an unknown name"),
        pytest.param(("run",), ("burst_factor=", "start_date"), id="something of the run"),
        pytest.param(("wrong",), ("burst_factor=", "at least 1"), id="a wrong value"),
        pytest.param(("plain", "--map-index", "0"), ("--map-index=0", "not mapped"), id="not mapped"),
        pytest.param(("mapped", "--map-index", "2"), ("--map-index=2", "from 0 to 1"), id="too many"),
        pytest.param(("dicts", "--map-index", "1"), ("--map-index=1", "from 0 to 0"), id="too many dicts"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    argv: tuple[str, ...], told: tuple[str, ...], dag_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", "--dag", dag_file, "--task", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    ours = [line for line in err.splitlines() if line != "printed by the DAG file"]
    assert len(ours) == 1
    for part in told:
        assert part in ours[0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        pytest.param("broken.py", "raise RuntimeError('boom')", "RuntimeError: boom", id="it raises"),
        pytest.param("syntax.py", "def", "SyntaxError", id="it is no Python"),
        pytest.param("empty.py", "", "there are: none", id="it has no DAG"),
        pytest.param("notes.txt", "", "no file that Airflow reads", id="it is no DAG file"),
        pytest.param("absent.py", None, "no file that Airflow reads", id="it is not there"),
    ],
)
def test_a_file_that_has_no_dag_is_told_in_one_line(
    name: str, content: str | None, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["memory", "--dag", str(tmp_path / name), "--task", "x"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert told in err


def test_standard_output_is_json_in_a_process_of_its_own(dag_file: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLI, "memory", "--dag", dag_file, "--task", "plain", "--json"],
        env={"AIRFLOW_HOME": str(tmp_path / "airflow"), "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["heap_mib"] == 8192
    assert done.stderr == "printed by the DAG file\n"
