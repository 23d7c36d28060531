"""What the guide to streams shows is what the example does."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_properties_in_the_guide_are_those_of_the_example() -> None:
    guide = (ROOT / "docs" / "guides" / "streaming.md").read_text()
    example = (ROOT / "example_dags" / "streaming.py").read_text()
    shown = [line.strip() for line in guide.split("conf={\n", 1)[1].split("}\n")[0].splitlines()]
    assert len(shown) == 4
    assert [line for line in shown if line not in example] == []
