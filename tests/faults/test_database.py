"""Airflow's database is away, and comes back."""

from __future__ import annotations

import pytest

from tests.e2e.processes import wait_until
from tests.faults.deployment import COMPONENTS, TRIGGERERS, Deployment

pytestmark = [pytest.mark.faults, pytest.mark.airflow, pytest.mark.spark, pytest.mark.timeout(600)]

ENDING = (*TRIGGERERS, *(name for name in COMPONENTS if name != "api-server"))
"""What Airflow itself ends as soon as it cannot reach the database."""


def test_a_database_that_is_away_costs_no_application_anything(deployment: Deployment) -> None:
    ends, goes_on = runs = [deployment.begin("deferred") for _ in range(2)]
    for run in runs:
        run.await_watched()
    deployment.database.halt()
    for name in ENDING:
        deployment.airflow.process(name).wait(60)
    ends.tell(0)
    wait_until(lambda: ends.record[-1].endswith("ended with 0"), seconds=60, what="the end of a driver")
    (driver,) = goes_on.left["pods"]
    assert driver["status"]["phase"] == "Running"

    deployment.database.resume()
    deployment.repair()
    goes_on.tell(3)
    ends.await_state("success")
    goes_on.await_state("failed")
    for run, code, phase in ((ends, 0, "Succeeded"), (goes_on, 3, "Failed")):
        (name,) = run.drivers
        assert run.record == [f"{name} started", f"{name} ended with {code}"]
        assert run.task["try_number"] == 1
        run.assert_kept(name, phase)
