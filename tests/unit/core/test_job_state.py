from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.job_state import (
    JobPhase,
    JobState,
    drivers_annotation,
    earlier_annotation,
    job_state,
    outcome_annotation,
)
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from tests.fakes.objects import job

LIMIT = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
DONE = ("CompletionsReached", "Reached expected number of succeeded pods")

PHASES: dict[str, tuple[dict[str, Any], JobPhase, bool]] = {
    "a new Job is active": (job(), JobPhase.ACTIVE, False),
    "a suspended Job": (job(spec={"suspend": True}), JobPhase.SUSPENDED, False),
    "a success that is decided": (job(conditions={"SuccessCriteriaMet": DONE}), JobPhase.COMPLETE, False),
    "a success": (job(conditions={"SuccessCriteriaMet": DONE, "Complete": DONE}), JobPhase.COMPLETE, True),
    "a failure that is decided": (job(conditions={"FailureTarget": LIMIT}), JobPhase.FAILED, False),
    "a failure": (job(conditions={"FailureTarget": LIMIT, "Failed": LIMIT}), JobPhase.FAILED, True),
}


@pytest.mark.parametrize(("manifest", "phase", "finished"), PHASES.values(), ids=PHASES.keys())
def test_the_phase_of_a_job(manifest: dict[str, Any], phase: JobPhase, finished: bool) -> None:
    state = job_state(manifest)
    assert (state.phase, state.finished) == (phase, finished)


def test_a_condition_that_is_false_does_not_count() -> None:
    manifest = job(conditions={"Failed": LIMIT})
    manifest["status"]["conditions"][0]["status"] = "False"
    assert job_state(manifest).phase is JobPhase.ACTIVE


def test_a_failure_keeps_its_reason() -> None:
    state = job_state(job(conditions={"FailureTarget": LIMIT}))
    assert (state.reason, state.message) == LIMIT


def test_a_job_that_is_being_deleted_or_was_ended() -> None:
    assert job_state(job(deleting=True)).deleting
    assert job_state(job(spec={"activeDeadlineSeconds": 1})).stopped
    assert not job_state(job(spec={"activeDeadlineSeconds": 3600})).stopped


def test_what_controllers_write_is_read_back() -> None:
    outcome = Outcome(Verdict.DRIVER_LOST, "gone", "spark", "app", "app-r0")
    annotations = {**drivers_annotation(("a", "b")), **outcome_annotation(outcome)}
    state = job_state(job(annotations=annotations))
    assert state.driver_uids == ("a", "b")
    assert state.outcome == outcome


@pytest.mark.parametrize("text", ["", "no json", "7", '{"verdict": "unheard of"}', "[]"])
def test_annotations_that_somebody_damaged_count_as_absent(text: str) -> None:
    key_of_outcome = next(iter(outcome_annotation(Outcome(Verdict.SUCCEEDED, "", "", "", ""))))
    key_of_drivers = next(iter(drivers_annotation(())))
    state = job_state(job(annotations={key_of_outcome: text, key_of_drivers: text if text != "[]" else "7"}))
    assert state.outcome is None
    assert state.driver_uids in ((), ("verdict",))


def test_a_minimal_job() -> None:
    state = job_state({"metadata": {"uid": "u", "resourceVersion": "1"}})
    assert state == JobState("u", "1", JobPhase.ACTIVE, finished=False)


def test_a_job_that_continues_others_knows_them() -> None:
    annotations = {**earlier_annotation(("a", "b")), "airflow-spark-k8s/continued-by": "app-r3"}
    state = job_state(job(annotations=annotations, name="app-r2"))
    assert (state.name, state.earlier_uids, state.continued_by) == ("app-r2", ("a", "b"), "app-r3")
    assert not state.in_the_making


@pytest.mark.parametrize(("owner", "making"), [("b", True), ("somebody", False)])
def test_a_job_is_in_the_making_while_it_depends_on_the_one_before_it(owner: str, making: bool) -> None:
    manifest = job(annotations=earlier_annotation(("a", "b")))
    manifest["metadata"]["ownerReferences"] = [{"kind": "Job", "uid": owner}]
    assert job_state(manifest).in_the_making == making


@pytest.mark.parametrize(
    ("template", "seconds"),
    [({}, 30), ({"spec": {}}, 30), ({"spec": {"terminationGracePeriodSeconds": 0}}, 0)],
)
def test_the_grace_period_of_its_pods(template: dict[str, Any], seconds: int) -> None:
    assert job_state(job(spec={"template": template})).grace_seconds == seconds


def test_the_end_of_a_failed_job_is_known_only_with_a_verdict() -> None:
    outcome = Outcome(Verdict.DRIVER_LOST, "gone", "spark", "app", "app-r0")
    failed = {"FailureTarget": LIMIT, "Failed": LIMIT}
    assert job_state(job(conditions={"Complete": DONE})).settled
    assert not job_state(job(conditions=failed)).settled
    assert job_state(job(conditions=failed, annotations=outcome_annotation(outcome))).settled
    assert not job_state(job()).settled
