"""All of Airflow is gone, and comes back."""

from __future__ import annotations

import pytest

from tests.faults.deployment import COMPONENTS, TRIGGERERS, Deployment, clear, mark

pytestmark = [pytest.mark.faults, pytest.mark.airflow, pytest.mark.spark, pytest.mark.timeout(600)]


def test_an_outage_leaves_what_gc_removes_and_otherwise_true_verdicts(deployment: Deployment) -> None:
    ended, goes_on, cleared, failed, succeeded = runs = [deployment.begin("deferred") for _ in range(5)]
    for run in runs:
        run.await_watched()
    deployment.kill(*TRIGGERERS)
    mark(failed, "failed")
    mark(succeeded, "success")
    clear(cleared)
    cleared.await_that(
        lambda: cleared.task["try_number"] == 2 and cleared.state == "deferred", "its next try"
    )
    listed = deployment.gc("--dry-run", "--grace", "0")
    for run, why in {
        ended: "its task is deferred",
        goes_on: "its task is deferred",
        cleared: "its task is deferred",
        failed: "its task is over: failed",
        succeeded: "its task is over: success",
    }.items():
        (row,) = [line for line in listed.splitlines() if run.run_id in line]
        assert row.endswith(why), row
    assert len(failed.left["pods"]) == 1
    deployment.gc("--yes", "--grace", "0")
    for run, state in ((failed, "failed"), (succeeded, "success")):
        run.await_gone()
        assert run.state == state
        (driver,) = run.drivers
        assert run.record == [f"{driver} started", f"{driver} stopped"]

    deployment.kill(*COMPONENTS)
    ended.tell(0)
    ended.await_that(lambda: ended.record[-1].endswith("ended with 0"), "the end of a driver")
    deployment.start(*COMPONENTS, *TRIGGERERS)
    goes_on.tell(3)
    cleared.tell(0)
    ended.await_state("success")
    cleared.await_state("success")
    goes_on.await_state("failed")
    for run, code, phase in ((ended, 0, "Succeeded"), (goes_on, 3, "Failed"), (cleared, 0, "Succeeded")):
        (driver,) = run.drivers
        assert run.record == [f"{driver} started", f"{driver} ended with {code}"]
        run.assert_kept(driver, phase)
