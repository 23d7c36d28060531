"""The table of faults and promises names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADING = "## Faults and promises"
NAMED = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`")


def defined_in(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_names_a_test() -> None:
    section = (ROOT / "docs/operations.md").read_text(encoding="utf-8").split(HEADING)[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert rows
    before = ""
    for row in rows:
        shown_by = row.strip("| ").split(" | ")[-1]
        named, file = NAMED.findall(shown_by), ""
        assert named or (before and shown_by == "the same"), row
        before = shown_by
        for path, name in named:
            file = path or file  # `::name` goes on in the file before it
            assert (ROOT / file).is_file(), row
            assert not name or name in defined_in(file), row
            assert name or any(test.startswith("test_") for test in defined_in(file)), row
