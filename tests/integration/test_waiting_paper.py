"""Why driver and executors do not start, as log and verdict say it, on the local cluster on paper."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import (
    DriverMisconfigured,
    DriverRefused,
    ExecutorStartFailed,
    ImagePullFailed,
    QuotaUsedUp,
    Unschedulable,
)
from airflow_spark_k8s.local.api import Api
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.exchange import User
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_runtime import PaperScript
from airflow_spark_k8s.local.resources import EVENTS, NAMESPACES, PODS, RESOURCE_QUOTAS, Resource
from airflow_spark_k8s.local.webhooks import Webhook
from tests.integration.test_controller_paper import Stage, stage_of
from tests.unit.controller.harness import EPOCH, LoopClock, in_virtual_time

MINUTE = 60.0
PULL_ERROR = (
    'failed to pull and unpack image "apache/spark:4.3.0": failed to resolve image: failed to authorize: '
    "failed to fetch anonymous token: 401 Unauthorized"
)


@dataclass
class Told:
    """What a controller said, when, and its outcome if it has come to one."""

    stage: Stage
    outcome: Outcome | None = None
    lines: list[tuple[float, str]] = field(default_factory=list)

    def first(self, *parts: str) -> float:
        """Seconds until a line with all these parts was said."""
        times = [at for at, line in self.lines if all(part in line for part in parts)]
        assert times, "\n".join(f"{at:7.1f} {line}" for at, line in self.lines)
        return times[0]

    def often(self, part: str) -> int:
        return sum(part in line for _, line in self.lines)


Mischief = Callable[[Stage], Awaitable[None]]
Prepare = Callable[[PaperCluster], None]


async def _nothing(stage: Stage) -> None:
    pass


def told(
    prepare: Prepare = lambda cluster: None,
    *,
    seconds: float = 3600,
    deadline: float | None = None,
    mischief: Mischief = _nothing,
    reader: User | None = None,
    **options: Any,
) -> Told:
    """What is said of one application until its outcome, or for so many seconds."""

    async def main() -> Told:
        stage = await stage_of(prepare=prepare, **options)
        found, clock = Told(stage), LoopClock()
        beside = asyncio.ensure_future(mischief(stage))
        cluster = stage.cluster.client()
        if reader is not None:
            cluster = InProcessCluster(
                Api(stage.cluster.store, authorizer=NoEvents(), nodes=stage.cluster.kubelets), reader
            )
        stage.cluster.client = lambda *_: cluster  # type: ignore[method-assign]
        try:
            async with asyncio.timeout(seconds):
                found.outcome = await stage.control(
                    report=lambda line: found.lines.append((clock.monotonic(), line)),
                    deadline_epoch_seconds=None if deadline is None else EPOCH + deadline,
                )
        except TimeoutError:
            pass
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        return found

    return in_virtual_time(main())


class NoEvents:
    """Everything is allowed but reading events."""

    def allows(self, user: User, attributes: Any) -> bool:
        return bool(attributes.resource != "events")


def quota(pods: int) -> Prepare:
    def prepare(cluster: PaperCluster) -> None:
        cluster.store.create(
            RESOURCE_QUOTAS,
            {"metadata": {"name": "team", "namespace": "default"}, "spec": {"hard": {"pods": str(pods)}}},
        )

    return prepare


def unsigned(role: str, *, answers: bool = True) -> Prepare:
    """A webhook that lets no pod of this Spark role pass."""

    def refuses(resource: Resource, obj: Manifest) -> str | None:
        if resource is not PODS or obj["metadata"].get("labels", {}).get("spark-role") != role:
            return None
        return "image is not signed" if answers else "context deadline exceeded"

    return lambda cluster: cluster.store.webhooks.append(Webhook("pods.example.com", refuses, answers))


def broken_registry(role: str) -> Prepare:
    script = PaperScript(pull_seconds=1.0, pull_error=PULL_ERROR)
    return lambda cluster: cluster.runtime.script(script, labels={"spark-role": role})


def baseline(cluster: PaperCluster) -> None:
    def label(stored: Manifest) -> None:
        stored["metadata"].setdefault("labels", {})["pod-security.kubernetes.io/enforce"] = "baseline"

    cluster.store.edit(NAMESPACES, None, "default", label)


async def _lift_everything(stage: Stage) -> None:
    await asyncio.sleep(40)
    stage.cluster.store.webhooks.clear()
    for each in stage.cluster.store.list(RESOURCE_QUOTAS, "default"):
        stage.cluster.store.delete(RESOURCE_QUOTAS, "default", each["metadata"]["name"])


# What may pass: it is said, and waited for.


def test_a_driver_that_fits_on_no_node_says_the_schedulers_counts_and_what_it_requests() -> None:
    found = told(deadline=600, conf={"spark.driver.memory": "900g"})
    assert found.first("Unschedulable: 0/1 nodes are available: 1 Insufficient memory", "memory") < MINUTE
    assert found.first("; it requests cpu 1, memory ") < MINUTE
    assert found.outcome is not None
    error = found.outcome.error()
    assert isinstance(error, Unschedulable)
    assert "1 Insufficient memory" in str(error)


def test_a_claim_that_is_not_there_is_named() -> None:
    volume = "spark.kubernetes.driver.volumes.persistentVolumeClaim.data"
    conf = {f"{volume}.options.claimName": "nope", f"{volume}.mount.path": "/data"}
    found = told(deadline=600, conf=conf)
    assert found.first("Unschedulable", 'persistentvolumeclaim "nope" not found') < MINUTE


def test_a_quota_without_room_for_the_driver_is_told_with_its_numbers() -> None:
    found = told(quota(0), deadline=600)
    numbers = "no room in the quota: exceeded quota: team, requested: pods=1, used: pods=0, limited: pods=0"
    assert found.first("Job", f"has no driver pod: {numbers}") < MINUTE
    assert found.often(numbers) == 2  # why it waits, and the verdict
    assert found.outcome is not None
    error = found.outcome.error()
    assert isinstance(error, QuotaUsedUp)
    assert numbers in str(error)
    assert found.stage.jobs == []


def test_a_quota_that_gets_room_lets_the_driver_start() -> None:
    found = told(quota(0), mischief=_lift_everything)
    assert found.outcome is not None
    assert found.outcome.verdict is Verdict.SUCCEEDED


def test_a_quota_without_room_for_executors_is_told_and_waited_for() -> None:
    found = told(quota(1), mischief=_lift_everything)
    numbers = "no room in the quota: exceeded quota: team, requested: pods=1, used: pods=1, limited: pods=1"
    assert found.first("executors cannot be created", numbers) < MINUTE
    assert found.outcome is not None
    assert found.outcome.verdict is Verdict.SUCCEEDED


def test_a_webhook_that_does_not_answer_is_waited_for() -> None:
    found = told(unsigned("driver", answers=False), mischief=_lift_everything)
    assert found.first("an admission webhook does not answer", "context deadline exceeded") < MINUTE
    assert found.outcome is not None
    assert found.outcome.verdict is Verdict.SUCCEEDED


# What is hopeless: it ends the application.


def test_an_image_that_cannot_be_had_is_told_with_the_registrys_answer() -> None:
    found = told(broken_registry("driver"))
    assert found.first("driver pod", "ErrImagePull", PULL_ERROR) < MINUTE
    assert found.outcome is not None
    error = found.outcome.error()
    assert isinstance(error, ImagePullFailed)
    assert PULL_ERROR in str(error)


def test_executors_whose_image_cannot_be_had_end_the_application() -> None:
    found = told(broken_registry("executor"))
    assert found.first("executors wait: ErrImagePull", PULL_ERROR) < 2 * MINUTE
    assert found.outcome is not None
    error = found.outcome.error()
    assert isinstance(error, ExecutorStartFailed)
    assert PULL_ERROR in str(error)


def test_a_secret_that_a_volume_names_is_told_from_the_pods_events() -> None:
    found = told(conf={"spark.kubernetes.driver.secrets.nope": "/mnt/nope"})
    missing = 'FailedMount: MountVolume.SetUp failed for volume "nope-volume" : secret "nope" not found'
    assert found.first("driver pod", missing) < MINUTE
    assert found.outcome is not None
    error = found.outcome.error()
    assert isinstance(error, DriverMisconfigured)
    assert missing in str(error)


def test_a_secret_of_the_executors_environment_ends_the_application() -> None:
    found = told(conf={"spark.kubernetes.executor.secretKeyRef.TOKEN": "nope:token"})
    assert (
        found.first('executors wait: CreateContainerConfigError: secret "nope" not found (3 of them)')
        < MINUTE
    )
    assert found.outcome is not None
    assert isinstance(found.outcome.error(), ExecutorStartFailed)


UNSIGNED = (
    'an admission webhook refuses it: admission webhook "pods.example.com" denied the request: image is '
    "not signed"
)
HOST_PATH = {
    "spark.kubernetes.driver.volumes.hostPath.disk.options.path": "/disk",
    "spark.kubernetes.driver.volumes.hostPath.disk.mount.path": "/disk",
}
REFUSALS: dict[str, tuple[Prepare, str, str, type[Exception]]] = {
    "a webhook refuses the driver": (
        unsigned("driver"),
        UNSIGNED,
        "has no driver pod",
        DriverRefused,
    ),
    "a webhook refuses the executors": (
        unsigned("executor"),
        UNSIGNED,
        "executors cannot be created",
        ExecutorStartFailed,
    ),
    "pod security refuses the driver": (
        baseline,
        'the namespace\'s pod security refuses it: violates PodSecurity "baseline:latest": hostPath',
        "has no driver pod",
        DriverRefused,
    ),
}


@pytest.mark.parametrize(("prepare", "why", "who", "error"), REFUSALS.values(), ids=REFUSALS.keys())
def test_who_is_refused_for_good_is_told_so_and_ends(
    prepare: Prepare, why: str, who: str, error: type[Exception]
) -> None:
    found = told(prepare, conf=HOST_PATH)
    assert found.first(who, why) < MINUTE
    assert found.outcome is not None
    assert type(found.outcome.error()) is error
    assert why in found.outcome.message


def test_a_refusal_that_is_taken_back_in_time_costs_nothing() -> None:
    found = told(unsigned("driver"), mischief=_lift_everything)
    assert found.outcome is not None
    assert found.outcome.verdict is Verdict.SUCCEEDED


def test_the_job_controllers_many_attempts_are_one_line() -> None:
    found = told(quota(0), seconds=1500)
    events = [
        each for each in found.stage.cluster.store.list(EVENTS, "default") if each["reason"] == "FailedCreate"
    ]
    assert any(each["message"].startswith("(combined from similar events): ") for each in events)
    assert found.often("no room in the quota") == 1


def test_without_the_right_to_list_events_that_is_said_once() -> None:
    found = told(quota(0), seconds=1500, reader=User("airflow"))
    assert found.often("why pods wait is known only from their status: ") == 1
    assert found.first('cannot list resource "events"') < MINUTE
    assert found.often("no room in the quota") == 0


def test_a_large_image_is_no_reason_to_give_up() -> None:
    def slow(cluster: PaperCluster) -> None:
        cluster.runtime.script(PaperScript(pull_seconds=900.0), labels={"spark-role": "driver"})

    found = told(slow, seconds=800)
    assert found.first('Pulling: Pulling image "apache/spark:4.3.0"') < MINUTE
    assert found.outcome is None
