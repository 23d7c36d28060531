"""The table of faults and promises names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADING = "## Faults and promises"


def test_every_promise_names_a_test() -> None:
    section = (ROOT / "docs/operations.md").read_text().split(HEADING)[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert rows
    named = ""
    for row in rows:
        shown_by = row.strip("| ").split(" | ")[-1]
        tests = re.findall(r"`(tests/[^`]+)::(\w+)`", shown_by)
        assert tests or (named and shown_by == "the same"), row
        named = shown_by
        for file, name in tests:
            path = ROOT / file
            assert path.is_file(), row
            names = {n.name for n in ast.walk(ast.parse(path.read_text())) if hasattr(n, "name")}
            assert name in names, row
