"""A whole application, rendered, submitted and controlled, on the local cluster without processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_spark_k8s.controller.loop import kill, run
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import ApplicationReference, Manifest
from airflow_spark_k8s.kube.submit import submit
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_spark import PaperSpark, SparkModel
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, PODS, SECRETS
from airflow_spark_k8s.templates.render import render
from tests.unit.controller.harness import EPOCH, LoopClock, in_virtual_time

DRIVER, EXECUTOR = "spark-role=driver", "spark-role=executor"


@dataclass
class Stage:
    """One application on a paper cluster."""

    cluster: PaperCluster
    spark: PaperSpark
    reference: ApplicationReference
    lines: list[str] = field(default_factory=list)
    executor_names: list[str] = field(default_factory=list)

    async def control(self, **options: Any) -> Outcome:
        given = {
            "clock": LoopClock(),
            "report": self.lines.append,
            "deadline_epoch_seconds": None,
            **options,
        }
        return await run(self.cluster.client(), self.reference, **given)

    def pods(self, role: str) -> list[Manifest]:
        return self.cluster.pods("default", role)

    @property
    def jobs(self) -> list[Manifest]:
        return self.cluster.store.list(JOBS, "default")


async def stage_of(
    model: SparkModel | None = None,
    nodes: int = 1,
    conf: Mapping[str, str] | None = None,
    prepare: Callable[[PaperCluster], None] = lambda cluster: None,
    **options: Any,
) -> Stage:
    loop: Any = asyncio.get_running_loop()
    offers = [NodeOffer(name=f"node-{number}") for number in range(1, nodes + 1)]
    cluster = PaperCluster(timers=loop, nodes=offers)
    spark = PaperSpark(cluster, model or SparkModel())
    prepare(cluster)
    request = ApplicationRequest(
        application="local:///opt/spark/examples/src/main/python/pi.py",
        image="apache/spark:4.3.0",
        conf={"spark.executor.instances": "3", "spark.executor.memory": "512m", **(conf or {})},
        **options,
    )
    identity = identify("tests", "dag", "task", "run", -1, 1, "ti-1")
    manifests = render(resolve(request), identity, context={}, auth_secret=b"0123456789abcdef")
    submitted = await submit(cluster.client(), manifests, identity)
    stage = Stage(cluster, spark, submitted.reference)

    def count(event: Event) -> None:
        name = event.object["metadata"]["name"]
        if event.type == "ADDED" and event.resource is PODS and "-exec-" in name:
            stage.executor_names.append(name)

    cluster.store.subscribe(count)
    return stage


Mischief = Callable[[Stage], Awaitable[None]]


async def _nothing(stage: Stage) -> None:
    pass


def _run(
    mischief: Mischief = _nothing, *, control: Mapping[str, Any] | None = None, **stage_options: Any
) -> tuple[Stage, Outcome]:
    async def main() -> tuple[Stage, Outcome]:
        stage = await stage_of(**stage_options)
        beside = asyncio.ensure_future(mischief(stage))
        outcome = await stage.control(**(control or {}))
        if beside.done():
            beside.result()
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        return stage, outcome

    return in_virtual_time(main())


def test_an_application_succeeds() -> None:
    stage, outcome = _run()
    assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
    assert outcome.exit_code == 0
    assert outcome.spark_version == "4.3.0"
    assert outcome.executor_counts == {"succeeded": 3}
    assert len(stage.executor_names) == 3


def test_a_driver_that_fails_is_a_failure() -> None:
    _, outcome = _run(model=SparkModel(exit_code=3))
    assert (outcome.verdict, outcome.exit_code) == (Verdict.DRIVER_FAILED, 3)


def test_two_hundred_executors_come_in_rounds() -> None:
    conf = {"spark.executor.instances": "200", "spark.executor.memory": "512m"}
    stage, outcome = _run(model=SparkModel(tasks=4000), conf=conf, nodes=40)
    assert outcome.verdict is Verdict.SUCCEEDED
    assert len(stage.executor_names) == len(set(stage.executor_names)) == 200
    assert outcome.executor_counts == {"succeeded": 200}


def test_an_executor_killed_for_memory_is_replaced() -> None:
    async def kill_one(stage: Stage) -> None:
        await asyncio.sleep(25)
        stage.cluster.runtime.kill(stage.pods(EXECUTOR)[0], reason="OOMKilled")

    stage, outcome = _run(kill_one, model=SparkModel(tasks=200))
    assert outcome.verdict is Verdict.SUCCEEDED
    assert outcome.executor_counts == {"failed": 1, "succeeded": 3}
    lost = next(row for row in outcome.executors if row.state == "failed")
    assert lost.reason is not None
    assert "OOMKilled" in lost.reason
    assert len(stage.executor_names) == len(set(stage.executor_names)) == 4


def test_an_evicted_driver_is_restarted_by_its_job() -> None:
    async def evict(stage: Stage) -> None:
        await asyncio.sleep(25)
        stage.cluster.evict(stage.pods(DRIVER)[0])

    stage, outcome = _run(evict, model=SparkModel(tasks=200))
    assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
    assert outcome.driver_restarts == 1
    assert len({name.rpartition("-exec-")[0] for name in stage.executor_names}) == 2


def test_a_driver_that_the_kubelet_evicts_leaves_no_executor_behind() -> None:
    async def press(stage: Stage) -> None:
        await asyncio.sleep(25)
        stage.cluster.press(stage.pods(DRIVER)[0])

    stage, outcome = _run(press, model=SparkModel(tasks=200))
    assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
    assert outcome.driver_restarts == 1


def test_a_driver_that_must_not_run_twice_is_lost() -> None:
    async def evict(stage: Stage) -> None:
        await asyncio.sleep(25)
        stage.cluster.evict(stage.pods(DRIVER)[0])

    stage, outcome = _run(evict, model=SparkModel(tasks=200), max_driver_restarts=0)
    assert outcome.verdict is Verdict.DRIVER_LOST, "\n".join(stage.lines)
    assert "EvictionByEvictionAPI" in outcome.message


def test_a_job_that_somebody_kills_is_lost_and_leaves_nothing() -> None:
    async def remove(stage: Stage) -> None:
        await asyncio.sleep(25)
        await kill(stage.cluster.client(), stage.reference)

    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=200))
        beside = asyncio.ensure_future(remove(stage))
        outcome = await stage.control()
        await beside
        assert outcome.verdict is Verdict.DRIVER_LOST
        await asyncio.sleep(120)
        assert stage.pods(DRIVER) == stage.pods(EXECUTOR) == stage.jobs == []

    in_virtual_time(main())


def test_a_driver_of_another_version_is_ended_and_its_job_kept() -> None:
    async def main() -> None:
        stage = await stage_of(SparkModel(version="4.2.1", tasks=10**6))
        outcome = await stage.control()
        assert outcome.verdict is Verdict.SPARK_VERSION_MISMATCH
        await asyncio.sleep(120)
        assert [pod for pod in stage.pods(DRIVER) if pod["status"]["phase"] == "Running"] == []
        assert len(stage.jobs) == 1
        assert await stage.control() == outcome

    in_virtual_time(main())


def test_a_deadline_leaves_nothing() -> None:
    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=10**6))
        deadline = LoopClock().now() + 60
        outcome = await stage.control(deadline_epoch_seconds=deadline)
        assert outcome.verdict is Verdict.TIMED_OUT
        assert asyncio.get_running_loop().time() < 70
        await asyncio.sleep(120)
        assert stage.pods(DRIVER) == stage.pods(EXECUTOR) == stage.jobs == []
        again = await stage.control(deadline_epoch_seconds=deadline)
        assert again.verdict is Verdict.TIMED_OUT

    in_virtual_time(main())


def test_executors_that_do_not_fit_wait() -> None:
    conf = {"spark.executor.instances": "3", "spark.executor.memory": "900g"}
    stage, outcome = _run(conf=conf, control={"deadline_epoch_seconds": EPOCH + 400})
    assert outcome.verdict is Verdict.TIMED_OUT
    assert outcome.executor_counts == {"pending": 3}
    assert any("executors wait: Unschedulable" in line for line in stage.lines)


@pytest.mark.parametrize("seconds", [0.0, 7.0, 12.5, 14.0, 16.0, 20.0])
def test_a_controller_that_died_is_replaced(seconds: float) -> None:
    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=200))
        first = asyncio.ensure_future(stage.control())
        await asyncio.sleep(seconds)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.sleep(35)
        outcome = await stage.control()
        assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
        assert len(stage.executor_names) == len(set(stage.executor_names)) == 3

    in_virtual_time(main())


def test_two_controllers_at_once_make_one_set_of_executors() -> None:
    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=200))
        one, other = await asyncio.gather(stage.control(), stage.control(clock=LoopClock(1)))
        assert one.verdict is other.verdict is Verdict.SUCCEEDED
        assert len(stage.executor_names) == len(set(stage.executor_names)) == 3

    in_virtual_time(main())


def test_a_driver_without_a_ui_gets_its_executors_all_the_same() -> None:
    stage, outcome = _run(model=SparkModel(ui=False, tasks=60))
    assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
    assert len(stage.executor_names) == 3


def test_if_no_triggerer_ever_comes_back_the_jobs_own_limits_end_and_remove_everything() -> None:
    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=10**9), execution_timeout_seconds=600)
        triggerer = asyncio.ensure_future(stage.control())
        await asyncio.sleep(60)
        assert len(stage.pods(EXECUTOR)) == 3
        triggerer.cancel()
        await asyncio.gather(triggerer, return_exceptions=True)

        await asyncio.sleep(600 + 15 * 60)
        assert stage.pods(DRIVER) == stage.pods(EXECUTOR) == []
        (job,) = stage.jobs
        assert job["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"
        await asyncio.sleep(24 * 60 * 60)
        kinds = (JOBS, PODS, CONFIG_MAPS, SECRETS)
        left = [item["metadata"] for kind in kinds for item in stage.cluster.store.list(kind, "default")]
        assert [each["name"] for each in left if LABEL_APPLICATION in each.get("labels", {})] == []

    in_virtual_time(main())
