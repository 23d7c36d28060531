"""What befalls a task whose arguments are right: Airflow is away, a variable changes, time is up."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout, TaskDeferred

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.exceptions import SparkKubernetesError, UnknownConnection
from airflow_spark_k8s.operators import conclusion
from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator
from airflow_spark_k8s.operators.submission import Submission
from tests.unit.operators.test_spark_kubernetes_job import (
    REFERENCE,
    Store,
    WithoutCluster,
    context,
    operator,
    rendered,
)
from tests.unit.triggers.jobs import NAMESPACE, JobsOnly, job

OUTCOME = Outcome(
    verdict=Verdict.SUCCEEDED, message="exit code 0", namespace="spark", application="d-t", job_name="d-t-r0"
)


def test_a_connection_that_airflow_does_not_find_may_be_looked_up_by_the_next_try() -> None:
    with pytest.raises(UnknownConnection, match=r"conn_id='nope': no such connection.*did not answer"):
        operator(conn_id="nope").execute(context("t"))


class Deferring(SparkKubernetesJobOperator):
    """Submits nothing, and defers."""

    def _submit(self, *_: Any) -> Submission:
        return Submission(REFERENCE, None)


def test_a_resumed_task_uses_the_connection_that_it_has_submitted_with(
    nowhere: str,
) -> None:
    task = Deferring(task_id="t", application="local:///pi.py", conn_id="{{ cluster }}")
    first = rendered(task, cluster=nowhere)
    with pytest.raises(TaskDeferred) as deferred:
        first.execute(context("t"))
    kwargs = json.loads(json.dumps(deferred.value.kwargs))
    resumed = rendered(task, cluster="another")
    event = {"reference": asdict(REFERENCE), "outcome": OUTCOME.as_dict()}
    resumed.execute_complete(Store().context(), event, **kwargs)
    assert resumed.conn_id == nowhere


@pytest.mark.parametrize(
    ("removed", "message"), [(True, "was removed"), (False, "may still run.*kubectl -n spark")]
)
def test_it_is_told_whether_an_application_without_a_trigger_was_removed(
    nowhere: str, monkeypatch: pytest.MonkeyPatch, removed: bool, message: str
) -> None:
    task = operator(conn_id=nowhere)
    if removed:
        monkeypatch.setattr(task, "_with_cluster", lambda *_: True)
    event = {"reference": asdict(REFERENCE), "error": "the trigger's reason"}
    with pytest.raises(SparkKubernetesError, match=f"application d-t {message}") as raised:
        task.execute_complete(context("t"), event)
    assert "the trigger's reason" in str(raised.value)


def test_time_that_is_up_in_the_last_step_does_not_change_the_verdict(
    nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def up(*_: object) -> None:
        raise AirflowTaskTimeout("time is up")  # as Airflow's alarm does

    async def slow(*_: object, **__: object) -> Outcome:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        await asyncio.Event().wait()
        return OUTCOME

    monkeypatch.setattr(conclusion, "conclude", slow)
    before = signal.signal(signal.SIGALRM, up)
    try:
        event = {"reference": asdict(REFERENCE), "outcome": OUTCOME.as_dict()}
        summary = operator(conn_id=nowhere).execute_complete(Store().context(), event)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert summary["verdict"] == Verdict.SUCCEEDED.value


@pytest.mark.parametrize(
    ("try_number", "max_tries", "retry"),
    [
        pytest.param(1, 2, False, id="the first try"),
        pytest.param(2, 2, True, id="Airflow's own retry"),
        pytest.param(2, 3, False, id="cleared after the first try"),
        pytest.param(4, 5, False, id="cleared when no retry was left"),
    ],
)
def test_airflows_own_retry_is_told_from_a_task_that_was_cleared(
    nowhere: str, try_number: int, max_tries: int, retry: bool
) -> None:
    task = WithoutCluster(task_id="t", application="local:///pi.py", conn_id=nowhere, retries=2)
    made = {**Store().context(), "task": task}
    made["ti"].try_number, made["ti"].max_tries = try_number, max_tries
    task.execute(made)  # type: ignore[arg-type]
    (plan,) = task.plans
    assert plan.retry is retry


@pytest.mark.parametrize(
    ("reason", "error"), [("Trigger failure", TaskDeferralError), ("Trigger timeout", TaskDeferralTimeout)]
)
def test_a_task_whose_trigger_airflow_gave_up_removes_what_runs(
    nowhere: str, monkeypatch: pytest.MonkeyPatch, reason: str, error: type[Exception]
) -> None:
    task = operator(conn_id=nowhere, namespace=NAMESPACE)
    cluster = JobsOnly(job("over-r0", "ti", ended=True), job("running-r0", "ti"), job("others-r0", "ti-2"))

    def use(_hook: object, _reference: object, use: Callable[[Any], Coroutine[Any, Any, None]]) -> bool:
        asyncio.run(use(cluster))
        return True

    monkeypatch.setattr(task, "_with_cluster", use)
    with pytest.raises(error, match=reason):
        task.resume_execution("__fail__", {"error": reason}, context("t"))
    assert list(cluster.jobs) == ["over-r0", "others-r0"]


def test_what_airflow_says_of_a_trigger_is_not_hidden_by_a_cluster_that_is_away(nowhere: str) -> None:
    for conn_id in (nowhere, "nope"):
        with pytest.raises(TaskDeferralError, match="Trigger failure"):
            operator(conn_id=conn_id).resume_execution("__fail__", {"error": "Trigger failure"}, context("t"))
