"""A driver pod that somebody deletes, on the cluster without processes: its application is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_spark_k8s.controller.loop import kill
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.request import Shaping
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.changes import Event
from airflow_spark_k8s.local.paper_spark import SparkModel
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, PODS, SECRETS
from tests.integration.test_controller_paper import DRIVER, EXECUTOR, Stage, stage_of
from tests.unit.controller.harness import LoopClock, in_virtual_time

LONG = SparkModel(tasks=200)


@dataclass
class Witness:
    """Who saw every change of the store."""

    stage: Stage
    drivers: list[str] = field(default_factory=list)  # names of driver pods, as they were created
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.stage.cluster.store.subscribe(self._see)

    def _see(self, event: Event) -> None:
        labels = event.object["metadata"].get("labels") or {}
        if event.resource is not PODS or labels.get("spark-role") != "driver":
            return
        if event.type == "ADDED":
            self.drivers.append(event.object["metadata"]["name"])
        running = [pod for pod in self.stage.pods(DRIVER) if self.stage.cluster.runtime.runs(pod)]
        self.most_at_once = max(self.most_at_once, len(running))


async def delete_driver(stage: Stage, grace_seconds: int | None = None) -> Manifest:
    """Delete the newest driver pod as `kubectl delete pod` does; it was running."""
    pod = stage.pods(DRIVER)[-1]
    options: dict[str, Any] = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
    path = f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}"
    await stage.cluster.client().request("DELETE", path, body=options)
    return pod


Mischief = Callable[[Stage], Awaitable[Any]]


def run(mischief: Mischief, **options: Any) -> tuple[Stage, Witness, Outcome]:
    async def main() -> tuple[Stage, Witness, Outcome]:
        stage = await stage_of(options.pop("model", LONG), **options)
        witness = Witness(stage)
        beside = asyncio.ensure_future(mischief(stage))
        outcome = await stage.control()
        await beside
        return stage, witness, outcome

    return in_virtual_time(main())


@pytest.mark.parametrize("grace_seconds", [None, 0, 5], ids=["gracefully", "by force", "in 5 s"])
def test_a_driver_pod_that_somebody_deletes_is_started_again_as_another_job(
    grace_seconds: int | None,
) -> None:
    async def delete(stage: Stage) -> None:
        await asyncio.sleep(25)
        await delete_driver(stage, grace_seconds)

    stage, witness, outcome = run(delete)
    text = "\n".join(stage.lines)
    assert outcome.verdict is Verdict.SUCCEEDED, text
    assert outcome.driver_restarts == 1
    assert outcome.job_name == stage.reference.job_name.replace("-r0", "-r1")
    assert outcome.driver_pod is not None
    assert outcome.driver_pod.startswith(outcome.job_name)
    assert len(witness.drivers) == 2
    assert witness.most_at_once == 1
    assert [job["metadata"]["name"] for job in stage.jobs] == [outcome.job_name]
    assert len({name.rpartition("-exec-")[0] for name in stage.executor_names}) == 2
    assert f"starting the application again as Job {outcome.job_name} (restart 1 of 3)" in text


def test_what_the_application_needs_belongs_to_the_new_job_before_the_old_one_goes() -> None:
    owners: dict[str, list[int]] = {}

    async def delete(stage: Stage) -> None:
        def see(event: Event) -> None:
            if event.resource in (CONFIG_MAPS, SECRETS):
                references = event.object["metadata"].get("ownerReferences") or ()
                owners.setdefault(event.object["metadata"]["name"], []).append(len(references))

        stage.cluster.store.subscribe(see)
        await asyncio.sleep(25)
        await delete_driver(stage)

    stage, _, outcome = run(delete)
    assert outcome.verdict is Verdict.SUCCEEDED
    (job,) = stage.jobs
    for resource in (CONFIG_MAPS, SECRETS):
        for found in stage.cluster.store.list(resource, "default", labels="airflow-spark-k8s/application"):
            (owner,) = found["metadata"]["ownerReferences"]
            assert owner["uid"] == job["metadata"]["uid"]
    assert owners
    assert all(counts == [2, 1] for counts in owners.values()), owners


def test_the_new_job_keeps_what_the_old_one_was_and_counts_on() -> None:
    seen: list[Manifest] = []

    async def delete(stage: Stage) -> None:
        seen.extend(stage.jobs)
        await asyncio.sleep(25)
        await delete_driver(stage)

    stage, _, _ = run(delete, execution_timeout_seconds=3000)
    (old,), (new,) = seen, stage.jobs
    own = {"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}

    def labels(job: Manifest) -> dict[str, str]:
        return {key: value for key, value in job["metadata"]["labels"].items() if key not in own}

    assert labels(old) == labels(new)
    assert old["spec"]["template"]["spec"] == new["spec"]["template"]["spec"]
    assert old["spec"]["podFailurePolicy"] == new["spec"]["podFailurePolicy"]
    assert new["metadata"].get("ownerReferences") in (None, [])
    assert 3800 < new["spec"]["activeDeadlineSeconds"] < old["spec"]["activeDeadlineSeconds"]
    assert old["metadata"]["uid"] in new["metadata"]["annotations"]["airflow-spark-k8s/earlier-jobs"]


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_restarts_of_both_kinds_are_bounded_together(limit: int) -> None:
    async def mischief(stage: Stage) -> None:
        for number in range(3):
            await asyncio.sleep(100)
            running = [pod for pod in stage.pods(DRIVER) if stage.cluster.runtime.runs(pod)]
            if running and number == 1:
                stage.cluster.evict(running[-1])
            elif running:
                await delete_driver(stage)

    stage, witness, outcome = run(mischief, model=SparkModel(tasks=10**6), max_driver_restarts=limit)
    assert outcome.verdict is Verdict.DRIVER_LOST, "\n".join(stage.lines)
    assert f"max_driver_restarts is {limit}" in outcome.message
    assert (outcome.driver_restarts, len(witness.drivers)) == (limit, limit + 1)
    assert witness.most_at_once == 1


def test_a_driver_that_fails_by_itself_is_not_started_again() -> None:
    async def nothing(stage: Stage) -> None:
        pass

    stage, witness, outcome = run(nothing, model=SparkModel(exit_code=3))
    assert (outcome.verdict, outcome.exit_code) == (Verdict.DRIVER_FAILED, 3)
    assert len(witness.drivers) == 1
    assert stage.jobs[0]["metadata"]["name"] == stage.reference.job_name


def test_a_job_that_somebody_deletes_is_not_started_again() -> None:
    async def delete(stage: Stage) -> None:
        await asyncio.sleep(25)
        await kill(stage.cluster.client(), stage.reference)
        await asyncio.sleep(200)

    stage, witness, outcome = run(delete)
    assert outcome.verdict is Verdict.DRIVER_LOST
    assert len(witness.drivers) == 1
    assert stage.jobs == stage.pods(DRIVER) == stage.pods(EXECUTOR) == []


def test_a_driver_whose_job_is_deleted_without_it_goes_as_well() -> None:
    async def delete(stage: Stage) -> None:
        await asyncio.sleep(25)
        (job,) = stage.jobs
        # What a client does that names no propagation policy.
        await stage.cluster.client().request(
            "DELETE", f"/apis/batch/v1/namespaces/default/jobs/{job['metadata']['name']}"
        )
        await asyncio.sleep(200)

    stage, witness, outcome = run(delete, model=SparkModel(tasks=10**6))
    assert outcome.verdict is Verdict.DRIVER_LOST
    assert len(witness.drivers) == 1
    assert stage.jobs == stage.pods(DRIVER) == stage.pods(EXECUTOR) == []


def test_a_kill_between_the_deletion_and_the_next_job_leaves_nothing() -> None:
    async def delete_and_kill(stage: Stage) -> None:
        await asyncio.sleep(25)
        await delete_driver(stage, 0)
        while len(stage.jobs) < 2:  # noqa: ASYNC110 (virtual time)
            await asyncio.sleep(0.01)
        await kill(stage.cluster.client(), stage.reference)
        await asyncio.sleep(200)

    stage, _, outcome = run(delete_and_kill)
    assert outcome.verdict is Verdict.DRIVER_LOST
    assert stage.jobs == stage.pods(DRIVER) == stage.pods(EXECUTOR) == []
    for resource in (CONFIG_MAPS, SECRETS):
        assert stage.cluster.store.list(resource, "default", labels="airflow-spark-k8s/application") == []


@pytest.mark.parametrize("twins", [1, 2])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.6, 1.0, 1.2, 1.4, 1.6, 2.0, 3.0])
def test_a_controller_that_dies_on_the_way_is_replaced(seconds: float, twins: int) -> None:
    """It is cancelled so long after the driver pod was deleted; others, who know nothing, come later."""

    async def main() -> None:
        stage = await stage_of(LONG)
        witness = Witness(stage)
        first = asyncio.ensure_future(stage.control())
        await asyncio.sleep(25)
        await delete_driver(stage, 0)
        await asyncio.sleep(seconds)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.sleep(30)
        outcomes = await asyncio.gather(*[stage.control(clock=LoopClock(seed)) for seed in range(twins)])
        text = "\n".join(stage.lines)
        assert {outcome.verdict for outcome in outcomes} == {Verdict.SUCCEEDED}, text
        assert len(witness.drivers) == 2, text
        assert witness.most_at_once == 1
        assert [job["metadata"]["name"] for job in stage.jobs] == [outcomes[0].job_name]
        assert outcomes[0].job_name.endswith("-r1")

    in_virtual_time(main())


def test_a_controller_that_saw_nothing_of_it_starts_the_application_again() -> None:
    async def main() -> None:
        stage = await stage_of(LONG)
        witness = Witness(stage)
        await asyncio.sleep(25)
        await delete_driver(stage)
        await asyncio.sleep(100)
        assert stage.pods(DRIVER) == []
        outcome = await stage.control()
        assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
        assert (outcome.driver_restarts, len(witness.drivers)) == (1, 2)

    in_virtual_time(main())


def test_the_deadline_ends_an_application_between_two_jobs() -> None:
    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=10**6))
        await asyncio.sleep(25)
        await delete_driver(stage)
        await asyncio.sleep(30)
        # Nobody saw the driver's end, so it takes a minute until it is certain: the deadline comes first.
        outcome = await stage.control(deadline_epoch_seconds=LoopClock().now() + 20)
        assert outcome.verdict is Verdict.TIMED_OUT
        await asyncio.sleep(120)
        assert stage.pods(DRIVER) == []
        assert [job["metadata"]["name"] for job in stage.jobs] == [stage.reference.job_name]

    in_virtual_time(main())


def test_a_name_that_is_taken_is_a_loss_that_says_so() -> None:
    async def take_and_delete(stage: Stage) -> None:
        (job,) = stage.jobs
        metadata = {"name": job["metadata"]["name"].replace("-r0", "-r1"), "namespace": "default"}
        spec = {"suspend": True, "template": {"spec": job["spec"]["template"]["spec"]}}
        stage.cluster.store.create(JOBS, {"metadata": metadata, "spec": spec})
        await asyncio.sleep(25)
        await delete_driver(stage)

    stage, witness, outcome = run(take_and_delete)
    assert outcome.verdict is Verdict.DRIVER_LOST, "\n".join(stage.lines)
    assert "another Job, which is not of this application, has this name" in outcome.message
    assert len(witness.drivers) == 1


# A node that falls silent.

OWN_MEMORY = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi. Container "
    "spark-kubernetes-driver was using 1800Mi, request is 1408Mi, has larger consumption of memory. "
)


async def silence_driver(stage: Stage) -> Manifest:
    """Cut the node of the running driver off."""
    await asyncio.sleep(25)
    (pod,) = stage.pods(DRIVER)
    stage.cluster.silence(pod["spec"]["nodeName"])
    return pod


def test_a_silent_node_is_told_of_and_waited_for() -> None:
    said: dict[str, float] = {}

    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=2000), nodes=2)
        witness = Witness(stage)
        begun = asyncio.get_running_loop().time()

        def report(line: str) -> None:
            stage.lines.append(line)
            said.setdefault(line, asyncio.get_running_loop().time() - begun)

        beside = asyncio.ensure_future(silence_driver(stage))
        outcome = await stage.control(report=report, deadline_epoch_seconds=LoopClock().now() + 1500)
        pod = await beside
        assert outcome.verdict is Verdict.TIMED_OUT, "\n".join(stage.lines)
        assert len(witness.drivers) == 1
        (first,) = [line for line in said if "If it stays silent, Kubernetes asks" in line]
        # The kubelet is given 50 s, and its pod 300 s to come back; then the pod has 30 s to end.
        assert pod["spec"]["nodeName"] in first
        assert said[first] - 25 < 50 + 60
        (second,) = [line for line in said if "has been told to end (DeletionByTaintManager)" in line]
        assert said[second] - 25 < 50 + 300 + 60

    in_virtual_time(main())


def test_a_silent_node_that_comes_back_has_cost_a_restart_only() -> None:
    async def silence(stage: Stage) -> None:
        pod = await silence_driver(stage)
        await asyncio.sleep(600)
        stage.cluster.revive(pod["spec"]["nodeName"])

    stage, witness, outcome = run(silence, model=SparkModel(tasks=2000), nodes=2)
    assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
    assert (outcome.driver_restarts, witness.most_at_once) == (1, 1)


def test_a_silent_nodes_driver_is_forced_away_if_that_is_wanted() -> None:
    async def silence(stage: Stage) -> None:
        await silence_driver(stage)

    options = {"shaping": Shaping(on_lost_node="force"), "nodes": 2}
    stage, witness, outcome = run(silence, model=SparkModel(tasks=600), **options)
    text = "\n".join(stage.lines)
    assert outcome.verdict is Verdict.SUCCEEDED, text
    assert outcome.driver_restarts == 1
    assert outcome.job_name == stage.reference.job_name, "the Job itself starts another driver"
    assert len(witness.drivers) == 2
    assert "it is removed by force" in text


def test_a_pod_that_somebody_deleted_on_a_silent_node_is_forced_away_as_well() -> None:
    async def silence(stage: Stage) -> None:
        await silence_driver(stage)
        await asyncio.sleep(60)
        await delete_driver(stage)

    options = {"shaping": Shaping(on_lost_node="force"), "nodes": 2}
    stage, witness, outcome = run(silence, model=SparkModel(tasks=600), **options)
    assert outcome.verdict is Verdict.SUCCEEDED, "\n".join(stage.lines)
    assert (outcome.driver_restarts, len(witness.drivers)) == (1, 2)


def test_a_node_that_falls_silent_before_its_driver_was_seen_to_start_is_told_of() -> None:
    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=600), nodes=2)

        def cut_off(event: Event) -> None:
            if event.resource is not PODS or silent:
                return
            labels, node = event.object["metadata"].get("labels") or {}, event.object["spec"].get("nodeName")
            if labels.get("spark-role") == "driver" and node:
                silent.append(node)
                stage.cluster.silence(node)

        silent: list[str] = []
        stage.cluster.store.subscribe(cut_off)
        outcome = await stage.control(deadline_epoch_seconds=LoopClock().now() + 1000)
        text = "\n".join(stage.lines)
        assert outcome.verdict is Verdict.TIMED_OUT, text
        assert len(stage.pods(DRIVER)) <= 1
        assert f"is pending on {silent[0]}, being removed (DeletionByTaintManager)" in text
        assert f"has not: its node {silent[0]} does not answer" in text

    in_virtual_time(main())


@pytest.mark.parametrize("by_whom", ["the taint manager", "somebody"])
def test_a_silent_nodes_driver_is_followed_by_another_once_the_node_is_out_of_service(by_whom: str) -> None:
    async def silence(stage: Stage) -> None:
        pod = await silence_driver(stage)
        if by_whom == "somebody":
            await asyncio.sleep(60)
            await delete_driver(stage)
        await asyncio.sleep(600)
        assert len(stage.pods(DRIVER)) == 1
        stage.cluster.put_out_of_service(pod["spec"]["nodeName"])

    async def main() -> None:
        stage = await stage_of(SparkModel(tasks=600), nodes=2)
        witness = Witness(stage)
        beside = asyncio.ensure_future(silence(stage))
        outcome = await stage.control()
        await beside
        text = "\n".join(stage.lines)
        assert outcome.verdict is Verdict.SUCCEEDED, text
        assert outcome.driver_restarts == 1
        assert (len(witness.drivers), witness.most_at_once) == (2, 1)
        # To the Job a plain deletion is a failure, so that the trigger has to go on by itself.
        next_ordinal = {"the taint manager": "-r0", "somebody": "-r1"}[by_whom]
        assert outcome.job_name.endswith(next_ordinal)
        assert "out-of-service=nodeshutdown:NoExecute" in text

    in_virtual_time(main())


def test_a_driver_that_is_evicted_for_its_own_memory_again_and_again_is_out_of_memory() -> None:
    async def press(stage: Stage) -> None:
        for _ in range(3):
            await asyncio.sleep(60)
            running = [pod for pod in stage.pods(DRIVER) if stage.cluster.runtime.runs(pod)]
            if running:
                node, name = running[0]["spec"]["nodeName"], running[0]["metadata"]["name"]
                stage.cluster.kubelets[node].evict("default", name, OWN_MEMORY)

    stage, witness, outcome = run(press, model=SparkModel(tasks=10**6), max_driver_restarts=2)
    assert outcome.verdict is Verdict.DRIVER_OUT_OF_MEMORY, "\n".join(stage.lines)
    assert "evicted for its own memory, 3 of the 3 times" in outcome.message
    assert "was using 1800Mi, requests 1408Mi" in outcome.message
    assert "spark.driver.memoryOverhead" in outcome.message
    assert len(witness.drivers) == 3


def test_a_driver_that_fills_its_own_scratch_volume_has_failed_and_is_not_started_again() -> None:
    outgrown = 'Usage of EmptyDir volume "spark-local-dir-1" exceeds the limit "1Gi". '

    async def fill(stage: Stage) -> None:
        await asyncio.sleep(25)
        (pod,) = stage.pods(DRIVER)
        stage.cluster.kubelets[pod["spec"]["nodeName"]].exceed("default", pod["metadata"]["name"], outgrown)

    stage, witness, outcome = run(fill)
    text = "\n".join(stage.lines)
    assert (outcome.verdict, len(witness.drivers)) == (Verdict.DRIVER_FAILED, 1), text
    assert 'Evicted: Usage of EmptyDir volume "spark-local-dir-1" exceeds the limit "1Gi"' in outcome.message
