"""Applications under faults of every kind: whatever the seed, every promise is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_spark_k8s.cli import main
from airflow_spark_k8s.local.simulation.simulate import simulate

SEEDS = 200
_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_promise_is_kept(seed: int) -> None:
    report = simulate(seed)
    assert report.problems == (), "\n".join(report.lines)


def test_a_seed_replays_exactly_in_another_process() -> None:
    seeds = [2, 15, 24, 87]
    here = {str(seed): simulate(seed).digest for seed in seeds}
    program = (
        "import json, sys\n"
        "from airflow_spark_k8s.local.simulation.simulate import simulate\n"
        "print(json.dumps({seed: simulate(int(seed)).digest for seed in sys.argv[1:]}))\n"
    )
    # In another order, too: objects lie elsewhere in memory then.
    for hash_seed, order in (("1", seeds), ("2", seeds[::-1])):
        answer = subprocess.run(
            [sys.executable, "-c", program, *map(str, order)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(_ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(answer.stdout) == here


def test_the_command_prints_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", "4", "--jobs", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("4 simulations: ")
    assert printed.endswith("every promise was kept\n")


def test_the_command_prints_the_trace_of_one_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", "1", "--first-seed", "3", "-v"]) == 0
    printed = capsys.readouterr().out
    assert "ADDED Job" in printed
    assert f"digest {simulate(3).digest}" in printed
