"""Triggerers that die or hand over, and a scheduler that dies."""

from __future__ import annotations

import pytest

from tests.faults.deployment import TRIGGERERS, Deployment, Run

pytestmark = [pytest.mark.faults, pytest.mark.airflow, pytest.mark.spark, pytest.mark.timeout(600)]


def test_a_trigger_that_is_moved_to_another_live_triggerer_touches_nothing(deployment: Deployment) -> None:
    run = deployment.begin("deferred")
    run.await_watched()
    second = other_than(run.triggerer)
    moved = deployment.database.execute(
        "UPDATE trigger SET triggerer_id = %s WHERE id = %s",
        (deployment.triggerer_ids[second], run.task["trigger"]["id"]),
    )
    assert moved == 1
    run.await_that(lambda: run.logs("The task is still deferred"), "the kill hook of the first trigger")
    run.tell(3)
    run.await_state("failed")
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} ended with 3"]
    assert run.logs("driver failed: .*exit code 3")
    run.assert_kept(driver, "Failed")


def test_a_triggerer_that_was_frozen_and_comes_back_late_touches_nothing(deployment: Deployment) -> None:
    run = deployment.begin("deferred")
    run.await_watched()
    first = run.triggerer
    second = other_than(first)
    deployment.freeze(first)
    run.await_that(lambda: run.triggerer == second, "the take-over")
    run.tell(0)
    run.await_state("success")
    deployment.thaw(first)
    run.await_that(lambda: has_late_end(run), "the end of the late trigger")
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} ended with 0"]
    run.assert_kept(driver, "Succeeded")


def test_the_second_triggerer_goes_on_where_a_killed_one_was_creating_executors(
    deployment: Deployment,
) -> None:
    run = deployment.begin("with_spark")
    run.await_that(lambda: executors_of(run), "the first executor")
    first = run.triggerer
    second = other_than(first)
    deployment.kill(first)
    run.await_that(lambda: run.triggerer == second, "the take-over")
    run.await_that(lambda: run.record[-1].endswith("has its executors"), "all executors")
    run.tell(0)
    run.await_state("success")
    (driver,) = run.drivers
    assert run.record[2:] == [f"{driver} counted to 28", f"{driver} ended with 0"]
    summary = deployment.airflow.xcom(run.dag_id, run.run_id, "wait")
    assert (summary["driver_pod"], summary["driver_restarts"]) == (driver, 0)
    assert [row["executor_id"] for row in summary["executors"]] == [1, 2]
    run.assert_kept(driver, "Succeeded")


def test_a_scheduler_killed_while_the_task_is_deferred_changes_nothing(deployment: Deployment) -> None:
    run = deployment.begin("deferred")
    run.await_watched()
    deployment.kill("scheduler")
    run.tell(0)
    run.await_that(lambda: run.record[-1].endswith("ended with 0"), "the driver's end")
    deployment.start("scheduler")
    run.await_state("success")
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} ended with 0"]
    run.assert_kept(driver, "Succeeded")


def has_late_end(run: Run) -> bool:
    """Whether a second trigger has ended: by what it saw, or because Airflow needs it no more."""
    lines = run.log()
    return lines.count("Trigger fired event") == 2 or any("invoking on_kill" in line for line in lines)


def other_than(name: str | None) -> str:
    """The other triggerer."""
    (other,) = {*TRIGGERERS} - {name}
    return other


def executors_of(run: Run) -> list[str]:
    names = [pod["metadata"]["name"] for pod in run.left.get("pods", [])]
    return [name for name in names if "-exec-" in name]
