from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_spark_k8s.cli import main

EXAMPLE = ("--heap", "40g", "--overhead", "10g", "--burst-factor", "1.2")
KEYS = [
    "heap_mib",
    "overhead_mib",
    "offheap_mib",
    "pyspark_mib",
    "guaranteed_mib",
    "shared_mib",
    "request_mib",
    "limit_mib",
    "qos",
]


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, object]:
    assert main(["memory", *argv, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("argv", "request_mib", "limit_mib"),
    [
        pytest.param((*EXAMPLE, "--min-guaranteed-ratio", "0"), 40960, 51200, id="the proposal's example"),
        pytest.param(EXAMPLE, 41984, 51200, id="the floor applies"),
        pytest.param(("--heap", "40g", "--overhead", "10g"), 51200, 51200, id="no bursting"),
        pytest.param(("--heap", "8g", "--python", "--burst-factor", "1.1"), 10321, 11468, id="a Python one"),
        pytest.param(("--heap", "8g", "--python", "--burst-factor", "2"), 8520, 11468, id="a large factor"),
        pytest.param((), 1408, 1408, id="Spark's defaults"),
        pytest.param(("--heap", "4g"), 4505, 4505, id="overhead by factor"),
        pytest.param(("--heap", "4g", "--overhead-factor", "0.5"), 6144, 6144, id="another factor"),
        pytest.param(("--min-overhead", "512m"), 1536, 1536, id="a minimum"),
        pytest.param(("--offheap", "2g"), 3456, 3456, id="off-heap"),
        pytest.param(("--python", "--pyspark-memory", "1g"), 2457, 2457, id="Python workers' limit"),
        pytest.param(("--driver", "--heap", "4g", "--python"), 5734, 5734, id="a driver"),
        pytest.param(("--conf", "spark.executor.memory=4g"), 4505, 4505, id="a property"),
        pytest.param(
            ("--conf", "spark.executor.memory=1g", "--conf", "spark.executor.memory=4g"),
            4505,
            4505,
            id="a property twice",
        ),
        pytest.param(
            ("--heap", "4g", "--conf", "spark.executor.memory=4096m"), 4505, 4505, id="the same, said twice"
        ),
        pytest.param(
            (
                *("--heap", "40g", "--overhead", "10g", "--min-guaranteed-ratio", "0"),
                *("--conf", "spark.executor.memoryOverheadBursty.enabled=true"),
                *("--conf", "spark.executor.memoryOverheadBursty.factor=1.2"),
            ),
            40960,
            51200,
            id="bursting by property",
        ),
        pytest.param(
            ("--offheap", "4g", "--burst-factor", "4", "--burst-offheap"),
            1024 + 39 + 2048,
            5504,
            id="off-heap memory bursts down to its floor",
        ),
    ],
)
def test_request_and_limit(
    argv: tuple[str, ...], request_mib: int, limit_mib: int, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, *argv)
    assert (found["request_mib"], found["limit_mib"]) == (request_mib, limit_mib)


def test_json_is_one_flat_object(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, *EXAMPLE, "--min-guaranteed-ratio", "0")
    assert list(found) == KEYS
    assert list(found.values()) == [40960, 10240, 0, 0, 0, 10240, 40960, 51200, "Burstable"]


@pytest.mark.parametrize(
    ("argv", "qos"),
    [
        pytest.param(EXAMPLE, "Burstable", id="less requested than allowed"),
        pytest.param(("--heap", "4g"), "Burstable", id="no CPU limit"),
        pytest.param(("--cores", "2", "--limit-cores", "3"), "Burstable", id="a larger CPU limit"),
        pytest.param(("--cores", "2", "--limit-cores", "2000m"), "Guaranteed", id="the same CPU limit"),
        pytest.param((*EXAMPLE, "--limit-cores", "1"), "Burstable", id="CPU alone does not make it"),
    ],
)
def test_quality_of_service(argv: tuple[str, ...], qos: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, *argv)["qos"] == qos


def test_the_table_is_aligned_and_tells_of_the_floor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", *EXAMPLE]) == 0
    table, note = capsys.readouterr().out.split("\n\n")
    assert table.splitlines() == [
        "             executor",
        "heap        40960 MiB",
        "overhead    10240 MiB",
        "off-heap        0 MiB",
        "PySpark         0 MiB",
        "guaranteed   1024 MiB",
        "shared       9216 MiB",
        "request     41984 MiB",
        "limit       51200 MiB",
        "QoS class   Burstable",
    ]
    assert "The floor applies: 1024 MiB are guaranteed, by the formula alone 0 MiB" in note


def test_the_reference_shows_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", *EXAMPLE]) == 0
    shown = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text()
    printed_lines = ("    " + line if line else "" for line in capsys.readouterr().out.splitlines())
    assert "\n".join([f"    $ airflow-spark-k8s memory {' '.join(EXAMPLE)}", *printed_lines]) in shown


def test_no_floor_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", *EXAMPLE, "--min-guaranteed-ratio", "0"]) == 0
    assert "floor" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        pytest.param(("--heap", "0"), ("--heap='0'", "unit"), id="a heap of nothing"),
        pytest.param(("--heap", "40"), ("--heap='40'", "unit"), id="a heap without unit"),
        pytest.param(("--heap", "0g"), ("--heap='0g'", "at least"), id="a heap of nothing with unit"),
        pytest.param(("--heap", "4x"), ("--heap='4x'", "unit"), id="an unknown unit"),
        pytest.param(("--heap", ""), ("--heap=''", "size"), id="an empty heap"),
        pytest.param(("--overhead", "1.5g"), ("--overhead='1.5g'", "fraction"), id="a fraction"),
        pytest.param(("--burst-factor", "0.9"), ("--burst-factor='0.9'", "at least 1"), id="a small factor"),
        pytest.param(("--burst-factor", "nan"), ("--burst-factor='nan'", "number"), id="no number"),
        pytest.param(("--burst-factor", "much"), ("--burst-factor='much'", "number"), id="text"),
        pytest.param(
            (*EXAMPLE, "--min-guaranteed-ratio", "1.5"),
            ("--min-guaranteed-ratio='1.5'", "0 to 1"),
            id="ratio",
        ),
        pytest.param(
            ("--min-guaranteed-ratio", "0.2"),
            ("--min-guaranteed-ratio='0.2'", "set --burst-factor"),
            id="a floor without bursting",
        ),
        pytest.param(
            (*EXAMPLE, "--burst-offheap"), ("--burst-offheap=True", "off-heap"), id="no off-heap memory"
        ),
        pytest.param(
            ("--heap", "4g", "--conf", "spark.executor.memory=5g"),
            ("--conf spark.executor.memory='5g'", "--heap=4g"),
            id="option and property contradict each other",
        ),
        pytest.param(
            ("--offheap", "1g", "--conf", "spark.memory.offHeap.enabled=false"),
            ("--conf spark.memory.offHeap.enabled='false'", "--offheap"),
            id="off-heap memory on and off",
        ),
        pytest.param(
            (
                *EXAMPLE,
                *("--conf", "spark.executor.memoryOverheadBursty.enabled=true"),
                *("--conf", "spark.executor.memoryOverheadBursty.factor=1.3"),
            ),
            ("--conf spark.executor.memoryOverheadBursty.factor='1.3'", "--burst-factor='1.2'"),
            id="two factors",
        ),
        pytest.param(
            ("--overhead", "1g", "--overhead-factor", "0.2"),
            ("--overhead-factor='0.2'", "--overhead=1g"),
            id="overhead and its factor",
        ),
        pytest.param(("--conf", "spark.executor.memory"), ("--conf='spark.executor.memory'",), id="no value"),
        pytest.param(("--conf", "executor.memory=1g"), ("executor.memory", "spark."), id="no Spark property"),
        pytest.param(
            ("--conf", "spark.kubernetes.executor.podTemplateFile=x"), ("podTemplateFile",), id="refused"
        ),
        pytest.param(
            ("--conf", "spark.executor.memory=much"),
            ("--conf spark.executor.memory='much'",),
            id="a wrong property",
        ),
        pytest.param(("--pyspark-memory", "1g"), ("--pyspark-memory='1g'", "--python"), id="not Python"),
        pytest.param(("--driver", "--offheap", "1g"), ("--offheap='1g'", "--driver"), id="off-heap driver"),
        pytest.param(
            ("--driver", "--burst-factor", "2"), ("--burst-factor='2'", "--driver"), id="burst driver"
        ),
        pytest.param(("--spark-version", "4"), ("--spark-version='4'", "4.3.0"), id="half a version"),
        pytest.param(
            ("--spark-version", "3.5.1", "--min-overhead", "512m"),
            ("--min-overhead='512m'", "since 4.0"),
            id="too old a Spark",
        ),
        pytest.param(("--task", "pi"), ("--task='pi'", "--dag"), id="a task of no DAG"),
        pytest.param(("--dag", "x.py"), ("--task=None",), id="no task of a DAG"),
        pytest.param(
            ("--dag", "x.py", "--task", "pi", "--heap", "1g"), ("--heap='1g'", "--dag"), id="a heap for a DAG"
        ),
        pytest.param(
            ("--dag", "x.py", "--task", "pi", "--python"), ("--python=True", "--dag"), id="a switch for a DAG"
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    argv: tuple[str, ...], told: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for part in ("airflow-spark-k8s memory: ", *told):
        assert part in err
