"""Tasks that are marked or cleared, run out of time or lose their worker."""

from __future__ import annotations

import pytest

from tests.faults.deployment import TASK_ID, Deployment, Run, clear, mark

pytestmark = [pytest.mark.faults, pytest.mark.airflow, pytest.mark.spark, pytest.mark.timeout(600)]

PLACES = ("deferred", "on_worker")
SCENARIOS = {
    **{f"{place}, {what}": place for place in PLACES for what in ("failed", "success", "cleared")},
    "worker dies": "worker_dies",
    "watcher dies": "watcher_dies",
    "last step dies": "last_step_dies",
    "given up": "given_up",
}


@pytest.fixture(scope="module")
def runs(running_airflow: Deployment) -> dict[str, Run]:
    """A run for each scenario; all begin at once, since each waits most of the time."""
    running_airflow.repair()
    late = begun(running_airflow.begin("late"))  # alone: its time runs
    runs = {name: running_airflow.begin(dag_id) for name, dag_id in SCENARIOS.items()}
    begun(runs["last step dies"]).tell(0)
    begun(runs["watcher dies"]).kill_worker()
    return {"late": late, **runs}


def begun(run: Run) -> Run:
    """The run, once its driver runs and is watched, by a trigger or on a worker."""
    if run.dag_id in ("on_worker", "watcher_dies"):
        run.await_that(lambda: run.drivers and run.logs("driver pod .* is running"), "a worker's look")
        assert run.state == "running"
    else:
        run.await_watched()
    return run


@pytest.mark.parametrize("state", ["failed", "success"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_left_of_a_task_that_is_marked(runs: dict[str, Run], place: str, state: str) -> None:
    run = begun(runs[f"{place}, {state}"])
    mark(run, state)
    run.await_gone()
    assert run.state == state
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} stopped"]


@pytest.mark.parametrize("place", PLACES)
def test_a_task_that_is_cleared_has_one_driver_at_a_time(runs: dict[str, Run], place: str) -> None:
    run = begun(runs[f"{place}, cleared"])
    clear(run)
    run.await_that(lambda: is_in_second_try(run), "the second try")
    run.tell(0)
    run.await_state("success")
    *stopped, last = run.drivers
    assert len(stopped) <= 1
    assert run.record == [
        *(f"{driver} {what}" for driver in stopped for what in ("started", "stopped")),
        f"{last} started",
        f"{last} ended with 0",
    ]
    run.assert_kept(last, "Succeeded")


def is_in_second_try(run: Run) -> bool:
    """Whether the second try has submitted: a new driver or, if it was faster than the kill, the old one."""
    if run.task["try_number"] != 2:
        return False
    return run.state == "deferred" if run.dag_id == "deferred" else len(run.drivers) == 2


def assert_adopted_driver_ends_well(run: Run) -> None:
    assert run.logs("Application .* is adopted from try 1", try_number=2)
    run.tell(0)
    run.await_state("success")
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} ended with 0"]
    run.assert_kept(driver, "Succeeded")


def test_a_worker_killed_between_submission_and_deferral_has_its_driver_adopted(runs: dict[str, Run]) -> None:
    run = runs["worker dies"]
    run.await_that(lambda: run.task["try_number"] == 2 and run.state == "deferred", "the second try")
    assert_adopted_driver_ends_well(run)


def test_a_worker_killed_while_it_watches_has_its_driver_adopted(runs: dict[str, Run]) -> None:
    run = runs["watcher dies"]
    run.await_that(lambda: run.logs("driver pod .* is running", try_number=2), "a look of the second try")
    assert_adopted_driver_ends_well(run)


def test_a_worker_killed_in_the_last_step_leaves_the_verdict_to_the_next_try(runs: dict[str, Run]) -> None:
    run = runs["last step dies"]
    run.await_state("success")
    assert run.task["try_number"] == 2
    assert run.logs("Application .* is adopted from try 1", try_number=2)
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} ended with 0"]
    summary = run.deployment.airflow.xcom(run.dag_id, run.run_id, TASK_ID)
    assert (summary["verdict"], summary["driver_pod"]) == ("succeeded", driver)
    run.assert_kept(driver, "Succeeded")


def test_nothing_is_left_of_a_task_whose_trigger_airflow_gave_up(runs: dict[str, Run]) -> None:
    run = runs["given up"]
    run.await_state("failed")
    assert run.logs("Removed Job")
    run.await_gone()
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} stopped"]


def test_nothing_is_left_of_a_deferred_task_that_runs_out_of_time(runs: dict[str, Run]) -> None:
    run = runs["late"]
    run.await_state("failed")
    assert run.logs("application .*: timed out: .*execution_timeout"), "said by the trigger"
    run.await_gone()
    (driver,) = run.drivers
    assert run.record == [f"{driver} started", f"{driver} stopped"]
