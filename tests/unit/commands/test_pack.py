from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_spark_k8s.cli import main

ROOT = Path(__file__).parents[3]
GUIDE = str(ROOT / "docs" / "guides" / "packing.yaml")
QUICK = ("--moments", "200")

WITHOUT = """
import sys
sys.modules["{module}"] = None
from airflow_spark_k8s.cli import main
sys.exit(main())
"""


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    """Two executors of 50 GB fit on a node once they burst; each peaks half of the time, on its own."""
    usage = {"idle": 0, "peak": 1, "duty": 0.5, "correlation": 0}
    application = {"name": "a", "executors": 20, "heap": "40g", "overhead": "10g", "usage": usage}
    file = tmp_path / "pairs.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "nodes": [{"name": "n", "memory": "100000Mi", "cpu": 8, "count": 20}],
                "applications": [application],
            }
        )
    )
    return str(file)


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main(["pack", *argv]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_says_what_was_found(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, pairs, "--factors", "1.2", "--scoring", "least-allocated", "--json")
    assert (found["executors"], found["applications"], found["moments"], found["seed"]) == (20, 1, 2000, 0)
    without, burst = found["results"]
    assert (without["factor"], without["nodes"], without["node_oom_high"]) == (1.0, 20, 0)
    assert (burst["nodes"], burst["nodes_saved"], burst["nodes_saved_percent"]) == (10, 10, 50.0)
    # both peak: 102400 MiB
    assert burst["node_oom_low"] <= 0.25 <= burst["node_oom_high"]
    assert burst["any_node_oom_low"] <= 1 - 0.75**10 <= burst["any_node_oom_high"]
    assert burst["evicted_executors"] == pytest.approx(2.5, rel=0.05)
    assert burst["scoring"] == "least-allocated"


def test_the_table_has_a_line_for_each_factor(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", pairs, "--factors", "1.1,1.2", *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("20 executors of 1 applications")
    assert "200 moments (seed 0)" in lines[0]
    for scoring in ("least-allocated", "most-allocated"):
        at = lines.index(f"scoring: {scoring}")
        heading, without, *burst = lines[at + 1 : at + 5]
        assert heading.split()[:3] == ["factor", "nodes", "saved"]
        assert without.split() == ["1", "20", "0", "0", "%", "never", "never", "0"]
        assert [line.split()[:5] for line in burst] == [
            ["1.1", "10", "10", "50", "%"],
            ["1.2", "10", "10", "50", "%"],
        ]
        assert len({len(line) for line in (heading, without, *burst)}) == 1


def test_executors_without_a_node_are_told(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path(pairs).read_text().replace("count: 20", "count: 12")
    Path(pairs).write_text(text)
    assert main(["pack", pairs, "--factors", "1.2", *QUICK]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].endswith("not placed")
    assert lines[4].split()[-1] == "8"
    assert "Not placed: the nodes' count is used up" in lines[6]


def test_the_seed_decides(pairs: str, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for seed in ("1", "1", "2"):
        assert main(["pack", pairs, "--seed", seed, "--factors", "1.2", "--json", *QUICK]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0])["results"] != json.loads(outputs[2])["results"]


@pytest.mark.parametrize(
    ("name", "begins"), [("plot.png", b"\x89PNG"), ("plot.svg", b"<?xml"), ("PLOT.PNG", b"\x89PNG")]
)
def test_a_picture_is_drawn_the_same_twice(
    name: str, begins: bytes, pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = []
    for _ in range(2):
        assert main(["pack", pairs, "--plot", str(tmp_path / name), *QUICK]) == 0
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(begins)
    assert "factor" in capsys.readouterr().out


def test_a_picture_says_what_it_shows(pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "plot.svg"
    assert main(["pack", pairs, "--plot", str(picture), *QUICK]) == 0
    shown = picture.read_text()
    for text in ("Nodes saved", "run out of memory", "burst factor", "most-allocated", "pairs.yaml", "1.15"):
        assert text in shown


def test_the_guide_shows_what_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    shown = (ROOT / "docs" / "guides" / "packing.md").read_text()
    command = "pack docs/guides/packing.yaml --factors 1.05,1.1,1.15,1.2"
    assert f"$ airflow-spark-k8s {command}\n" in shown
    assert main(["pack", GUIDE, *command.split()[2:]]) == 0
    # the risk may differ in its last digit with another NumPy
    for line in capsys.readouterr().out.splitlines()[3:]:
        assert f"    {line[:26].rstrip()}" in shown


def test_the_guides_example_works(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, GUIDE, "--factors", "1.1", "--json", *QUICK)
    assert all(result["nodes_saved"] > 0 for result in found["results"] if result["factor"] > 1)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        pytest.param(("absent.yaml",), ("FILE='absent.yaml'", "cannot be read"), id="no file"),
        pytest.param((GUIDE, "--factors", "1.1,much"), ("--factors='much'", "number"), id="no factor"),
        pytest.param((GUIDE, "--factors", "0.5"), ("--factors='0.5'", "at least 1"), id="a small factor"),
        pytest.param((GUIDE, "--factors", ""), ("--factors=''",), id="no factors"),
        pytest.param((GUIDE, "--moments", "0"), ("--moments='0'", "from 1"), id="no moments"),
        pytest.param((GUIDE, "--moments", "many"), ("--moments='many'", "whole"), id="many moments"),
        pytest.param((GUIDE, "--seed", "-1"), ("--seed='-1'", "from 0"), id="a negative seed"),
        pytest.param((GUIDE, "--plot", "x.jpg"), ("--plot='x.jpg'", ".png or .svg"), id="another format"),
        pytest.param((GUIDE, "--plot", "no/x.png"), ("--plot='no/x.png'", "folder"), id="no folder"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    argv: tuple[str, ...], told: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    for part in ("airflow-spark-k8s pack: ", *told):
        assert part in err


def test_a_picture_that_cannot_be_written_is_told(
    pairs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder.png").mkdir()
    assert main(["pack", pairs, "--plot", str(tmp_path / "folder.png"), *QUICK]) == 2
    assert "cannot be written: Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        pytest.param("numpy", (GUIDE,), id="without NumPy"),
        pytest.param("matplotlib", (GUIDE, "--plot", "x.png"), id="without Matplotlib"),
    ],
)
def test_what_is_not_installed_is_told(module: str, argv: tuple[str, ...]) -> None:
    done = _without(module, "pack", *argv)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"{module} is not installed: pip install 'airflow-spark-k8s[pack]'\n"


def test_matplotlib_is_needed_for_pictures_only() -> None:
    done = _without("matplotlib", "pack", GUIDE, "--factors", "1.1", *QUICK)
    assert done.returncode == 0, done.stderr


def _without(module: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(module=module), *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
