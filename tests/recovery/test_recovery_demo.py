"""The demo's scenarios about memory as a user meets them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.test_demo import nothing_is_left, start

pytestmark = [pytest.mark.airflow, pytest.mark.spark, pytest.mark.timeout(600)]

SCENARIOS = ("oom", "heap")


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[int, str, Path]]:
    """Exit code, output and folder of both demos: side by side, since they wait most of the time."""
    folders = {scenario: tmp_path_factory.mktemp(scenario) for scenario in SCENARIOS}
    started = {scenario: start(folder, "--scenario", scenario) for scenario, folder in folders.items()}
    outputs = {scenario: demo.communicate()[0] for scenario, demo in started.items()}
    return {
        scenario: (started[scenario].returncode, outputs[scenario], folders[scenario])
        for scenario in SCENARIOS
    }


@pytest.mark.parametrize(
    ("scenario", "end", "why"),
    [
        pytest.param("oom", "OOMKilled, exit code 137", "was killed for memory", id="container is killed"),
        pytest.param("heap", "exit code 52", "ran out of heap", id="JVM gives up"),
    ],
)
def test_the_demo_shows_the_kill_and_what_replaces_it(
    scenario: str, end: str, why: str, demos: Mapping[str, tuple[int, str, Path]]
) -> None:
    returncode, output, folder = demos[scenario]
    assert returncode == 0, output
    lines = [line.strip() for line in output.splitlines()]
    assert any(line.startswith("executor ") and f"failed: {end}" in line for line in lines), output
    replaced = [line for line in lines if " replaces " in line and "one task at a time" in line]
    assert any(why in line for line in replaced), output
    assert any("the task's log has the last lines of executor" in line for line in lines), output
    assert "The largest of" in output
    nothing_is_left(folder)
