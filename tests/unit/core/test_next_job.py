from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.job_state import drivers_annotation, job_state, outcome_annotation
from airflow_spark_k8s.core.next_job import continues, next_job
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.exceptions import InvalidConfiguration

STARTED = 1_767_225_600.0  # 2026-01-01T00:00:00Z
OF_THE_SERVER = {
    "controller-uid": "u",
    "job-name": "app-r3",
    "batch.kubernetes.io/controller-uid": "u",
    "batch.kubernetes.io/job-name": "app-r3",
}
LABELS = {"airflow-spark-k8s/application": "app", "team": "a"}


def old(**spec: Any) -> dict[str, Any]:
    """A failed Job as an API server shows it."""
    outcome = Outcome(Verdict.DRIVER_LOST, "gone", "spark", "app", "app-r3")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "app-r3",
            "namespace": "spark",
            "uid": "uid-3",
            "resourceVersion": "17",
            "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {**LABELS, **OF_THE_SERVER},
            "annotations": {
                "mine": "yes",
                "airflow-spark-k8s/spec-hash": "hash",
                "airflow-spark-k8s/continued-by": "app-r4",
                "airflow-spark-k8s/earlier-jobs": '["uid-1", "uid-2"]',
                **drivers_annotation(("a", "b")),
                **outcome_annotation(outcome),
            },
            "managedFields": [{}],
        },
        "spec": {
            "suspend": False,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "manualSelector": False,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 86400,
            "template": {
                "metadata": {
                    "creationTimestamp": None,
                    "labels": {"spark-role": "driver", **OF_THE_SERVER},
                    "annotations": {"x": "y"},
                },
                "spec": {"terminationGracePeriodSeconds": 7, "containers": [{"name": "c"}]},
            },
            **spec,
        },
        "status": {"startTime": "2026-01-01T00:00:00Z", "failed": 1},
    }


def test_the_next_job_is_the_old_one_without_what_is_of_one_job_only() -> None:
    new = next_job(old(), ("a", "b", "c"), STARTED)
    metadata = new["metadata"]
    assert new.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert metadata.keys() == {"name", "namespace", "labels", "annotations", "ownerReferences"}
    assert (metadata["name"], metadata["namespace"], metadata["labels"]) == ("app-r4", "spark", LABELS)
    assert metadata["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "app-r3", "uid": "uid-3"}
    ]
    assert metadata["annotations"]["mine"] == "yes"
    assert new["spec"] == {
        "suspend": True,
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": 86400,
        "template": {
            "metadata": {"labels": {"spark-role": "driver"}, "annotations": {"x": "y"}},
            "spec": {"terminationGracePeriodSeconds": 7, "containers": [{"name": "c"}]},
        },
    }


def test_the_next_job_knows_where_it_comes_from_and_has_no_end_yet() -> None:
    new = next_job(old(), ("a", "b", "c"), STARTED)
    state = job_state({**new, "metadata": {**new["metadata"], "uid": "uid-4", "resourceVersion": "1"}})
    assert state.earlier_uids == ("uid-1", "uid-2", "uid-3")
    assert state.driver_uids == ("a", "b", "c")
    assert (state.outcome, state.continued_by, state.in_the_making, state.grace_seconds) == (
        None,
        None,
        True,
        7,
    )
    assert continues(new | {"metadata": {**new["metadata"], "uid": "n", "resourceVersion": "1"}}, old())


def test_a_job_without_labels_or_a_start_has_a_successor_all_the_same() -> None:
    bare = old(activeDeadlineSeconds=900)
    del bare["status"], bare["metadata"]["labels"], bare["spec"]["template"]["metadata"]
    new = next_job(bare, (), STARTED)
    assert new["metadata"]["labels"] == {}
    assert new["spec"]["template"]["metadata"] == {"labels": {}, "annotations": {}}
    assert new["spec"]["activeDeadlineSeconds"] == 900


@pytest.mark.parametrize(
    ("given", "spent", "left"),
    [(900, 100.5, 799), (900, -5, 900), (900, 899, 60), (900, 5000, 60), (30, 20, 30), (None, 20, None)],
)
def test_what_is_left_of_the_deadline_goes_over(given: int | None, spent: float, left: int | None) -> None:
    spec = {} if given is None else {"activeDeadlineSeconds": given}
    assert next_job(old(**spec), (), STARTED + spent)["spec"].get("activeDeadlineSeconds") == left


def test_no_job_follows_the_last_ordinal() -> None:
    last = old()
    last["metadata"]["name"] = "app-r99"
    with pytest.raises(InvalidConfiguration, match="no Job can follow"):
        next_job(last, (), STARTED)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("annotations", "airflow-spark-k8s/earlier-jobs", '["uid-1"]'),
        ("annotations", "airflow-spark-k8s/spec-hash", "another"),
        ("labels", "airflow-spark-k8s/application", "another"),
    ],
)
def test_a_job_of_that_name_may_be_a_strangers(kind: str, key: str, value: str) -> None:
    new = next_job(old(), (), STARTED)
    new["metadata"] |= {"uid": "n", "resourceVersion": "1"}
    new["metadata"][kind][key] = value
    assert not continues(new, old())
