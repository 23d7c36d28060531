"""What the demo can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """One task of an example DAG."""

    dag_id: str
    task_id: str
    result: str  # how the line begins that the driver prints in the end
    about: str


SCENARIOS: Mapping[str, Scenario] = {
    "pi": Scenario("spark_pi", "pi", "Pi is roughly", "three executors in two rounds"),
    "oom": Scenario(
        "oom_recovery",
        "skewed",
        "The largest of",
        "a task that gets every container killed that it shares with another one",
    ),
    "heap": Scenario(
        "heap_recovery",
        "skewed",
        "The largest of",
        "the same in the heap of the JVM, which ends with exit code 52",
    ),
}
"""By the name that the command line knows."""
