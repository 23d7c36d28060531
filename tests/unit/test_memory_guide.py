"""The guide to bursting says what the code does: its sums, its command's output, its example."""

from __future__ import annotations

import re
import shlex
import textwrap
from fractions import Fraction
from pathlib import Path

import pytest

from airflow_spark_k8s.cli import main
from airflow_spark_k8s.core.burst import split
from airflow_spark_k8s.core.spec import Burst, MemorySum

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "memory.md").read_text()


def rows(header: str) -> list[list[str]]:
    """Cells of the table with this header, remarks in brackets left out."""
    table = GUIDE[GUIDE.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [
        [re.sub(r"\s*\(.*?\)", "", cell).strip() for cell in line.strip("|").split("|")] for line in table
    ]


def test_the_table_of_overheads_is_what_the_split_gives() -> None:
    table = rows("| heap | overhead | B | guaranteed | shared | request | limit |")
    assert len(table) == 6
    for heap, overhead, factor, *rest in table:
        found = split(MemorySum(int(heap), int(overhead)), Burst(Fraction(factor)))
        told = [found.guaranteed_mib, found.shared_mib, found.request_mib, found.limit_mib]
        assert list(map(int, rest)) == told, (heap, overhead, factor)


def test_the_table_of_offheap_memory_is_what_the_split_gives() -> None:
    table = rows("| heap | overhead | off-heap | `burst_offheap` | B | request | limit |")
    assert len(table) == 3
    for heap, overhead, offheap, bursts, factor, *rest in table:
        memory = MemorySum(int(heap), int(overhead), int(offheap))
        found = split(memory, Burst(Fraction(factor), offheap=bursts == "yes"))
        assert list(map(int, rest)) == [found.request_mib, found.limit_mib], (bursts, factor)


def test_the_command_prints_what_the_guide_shows(capsys: pytest.CaptureFixture[str]) -> None:
    shown = re.search(r"^    \$ airflow-spark-k8s (memory --heap .*)\n((?:    .*\n)+)", GUIDE, re.MULTILINE)
    assert shown is not None
    assert main(shlex.split(shown[1])) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed == [line.split() for line in shown[2].splitlines()]


def test_the_floor_of_the_proposals_example_is_the_one_in_the_text() -> None:
    found = split(MemorySum(40 * 1024, 10 * 1024), Burst(Fraction("1.2")))
    assert f"With the default floor of a tenth, the request is {found.request_mib} MiB" in GUIDE


@pytest.mark.parametrize(("request_mib", "score"), [(11468, 826), (10321, 843)])
def test_the_adjustments_of_the_kernels_choice_follow_the_kubelets_formula(
    request_mib: int, score: int
) -> None:
    assert min(max(2, 1000 - 1000 * request_mib // (64 * 1024)), 999) == score
    assert f"{score} " in GUIDE


def test_the_example_in_the_guide_is_the_one_that_runs() -> None:
    example = (ROOT / "example_dags" / "burst_memory.py").read_text()
    shown = GUIDE.rsplit("```python\n", 1)[1].split("```")[0]
    assert textwrap.indent(shown, "    ").strip() in example
