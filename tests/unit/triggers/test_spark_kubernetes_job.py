from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_spark_k8s.exceptions import InvalidConfiguration, UnknownConnection, WrongCluster
from airflow_spark_k8s.kube.cluster import JSON
from airflow_spark_k8s.triggers import spark_kubernetes_job
from airflow_spark_k8s.triggers.spark_kubernetes_job import SparkKubernetesJobTrigger

from .jobs import NAMESPACE, JobsOnly, job

REFERENCE = {
    "namespace": NAMESPACE,
    "application": "mine",
    "job_name": "mine-r0",
    "job_uid": "uid-of-mine-r0",
    "ti_id": "ti-1",
    "namespace_uid": "",
}


class Trigger(SparkKubernetesJobTrigger):
    """The trigger, on a cluster in memory and with an Airflow that knows one state."""

    world: Any
    state: Any = "deferred"

    async def _cluster(self) -> Any:
        if isinstance(self.world, Exception):
            raise self.world
        return self.world

    async def _task_state(self) -> str | None:
        if isinstance(self.state, Exception):
            raise self.state
        state: str | None = self.state
        return state


class Silent(JobsOnly):
    """A cluster that does not answer."""

    def __init__(self, *jobs: JSON) -> None:
        super().__init__(*jobs)
        self.asked = asyncio.Event()

    async def request(self, method: str, path: str, **kwargs: Any) -> JSON:
        self.asked.set()
        await asyncio.Event().wait()
        return {}


class Elsewhere(JobsOnly):
    """A guarded connection that leads to another cluster."""

    async def request(self, method: str, path: str, **kwargs: Any) -> JSON:
        raise WrongCluster("another cluster")


def trigger(world: object, state: object = "deferred") -> Trigger:
    made = Trigger(conn_id="c", reference=REFERENCE, deadline_epoch_seconds=None, hold_seconds=0.0)
    made.world, made.state = world, state
    return made


def test_it_is_rebuilt_from_what_it_serializes() -> None:
    first = SparkKubernetesJobTrigger(
        conn_id="c", reference=REFERENCE, deadline_epoch_seconds=1.5, hold_seconds=15.0
    )
    path, kwargs = first.serialize()
    assert path == "airflow_spark_k8s.triggers.spark_kubernetes_job.SparkKubernetesJobTrigger"
    again = SparkKubernetesJobTrigger(**json.loads(json.dumps(kwargs)))
    assert again.serialize() == first.serialize()


def test_what_it_serializes_are_identifiers() -> None:
    _, kwargs = trigger(JobsOnly()).serialize()
    times = {"deadline_epoch_seconds", "patience_seconds", "hold_seconds"}
    assert set(kwargs) == {"conn_id", "reference"} | times
    assert set(kwargs["reference"]) == {
        "namespace",
        "application",
        "job_name",
        "job_uid",
        "ti_id",
        "namespace_uid",
    }


@pytest.mark.parametrize("state", ["failed", "success", "up_for_retry", "removed", None])
async def test_a_killed_task_takes_its_application_along(state: str | None) -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    await trigger(cluster, state).on_kill()
    assert not cluster.jobs
    assert cluster.closed


async def test_an_ended_application_of_a_killed_task_goes_too() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1", ended=True))
    await trigger(cluster, "failed").on_kill()
    assert not cluster.jobs


async def test_a_trigger_that_only_moves_leaves_the_application_alone() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    await trigger(cluster, "deferred").on_kill()
    assert cluster.jobs


async def test_an_application_that_a_later_try_took_over_stays() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-2"))
    await trigger(cluster, "running").on_kill()
    assert cluster.jobs


@pytest.mark.parametrize("state", ["scheduled", "queued", "running"])
async def test_while_a_worker_has_the_task_only_a_running_application_goes(state: str) -> None:
    cluster = JobsOnly(job("over-r0", "ti-1", ended=True), job("running-r0", "ti-1"))
    await trigger(cluster, state).on_kill()
    assert list(cluster.jobs) == ["over-r0"]


async def test_if_airflow_does_not_answer_nothing_is_removed() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    await trigger(cluster, RuntimeError("no supervisor")).on_kill()
    assert cluster.jobs


async def test_a_cluster_that_cannot_be_reached_is_no_error_of_the_kill() -> None:
    await trigger(InvalidConfiguration("conn_id", "c", "no such connection"), "failed").on_kill()


async def test_a_cluster_that_cannot_be_told_from_its_connection_ends_in_an_event() -> None:
    world = InvalidConfiguration("conn_id", "c", "no such connection")
    events = [event async for event in trigger(world).run()]
    assert len(events) == 1
    payload = events[0].payload
    assert "no such connection" in payload["error"]
    assert payload["reference"] == REFERENCE
    json.dumps(payload)


async def test_a_connection_that_airflow_does_not_find_is_looked_up_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spark_kubernetes_job, "_CONNECTION_PAUSES_SECONDS", (0, 0, 0))
    waiting = trigger(Elsewhere())
    answers = [UnknownConnection("conn_id", "c", "no such connection")] * 2

    async def cluster() -> Any:
        if answers:
            raise answers.pop()
        return waiting.world

    monkeypatch.setattr(waiting, "_cluster", cluster)
    (event,) = [event async for event in waiting.run()]
    assert "wrong_cluster" in event.payload, "what the cluster says"


async def test_a_connection_to_another_cluster_ends_in_an_event_of_its_own() -> None:
    (event,) = [event async for event in trigger(Elsewhere()).run()]
    assert event.payload == {"wrong_cluster": "another cluster", "reference": REFERENCE}


async def test_after_its_event_a_trigger_kills_nothing() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    fired = trigger(InvalidConfiguration("conn_id", "c", "no such connection"), "failed")
    [_ async for _ in fired.run()]
    fired.world = cluster
    await fired.on_kill()
    assert cluster.jobs


async def test_stopping_it_raises_nothing_but_the_cancellation() -> None:
    cluster = Silent(job("mine-r0", "ti-1"))

    async def consume() -> None:
        async for _ in trigger(cluster).run():
            pass

    task = asyncio.create_task(consume())
    await cluster.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cluster.jobs
    assert cluster.closed
