"""The watcher of simulations: every broken promise is noticed, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.job_state import outcome_annotation
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.resources import CONFIG_MAPS, JOBS, PODS
from airflow_spark_k8s.local.simulation.trace import Trace
from airflow_spark_k8s.local.simulation.watcher import Watcher

APPLICATION, TASK = "airflow-spark-k8s/application", "airflow-spark-k8s/task-instance"


class Scene:
    """A cluster with a watcher."""

    def __init__(self, target: int = 2, nodes: int = 1) -> None:
        self.cluster = PaperCluster(nodes=[NodeOffer(name=f"node-{n}") for n in range(1, nodes + 1)])
        self.problems: list[str] = []
        trace = Trace(self.cluster.timers.time)
        self.watcher = Watcher(self.cluster, trace, {"app": target}, ("s3cret",), self.problems.append)

    def pod(self, name: str, labels: dict[str, str], owner: str) -> None:
        reference = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner,
            "uid": self.owner(owner),
            "controller": True,
        }
        container = {"name": "main", "image": "image"}
        self.cluster.store.create(
            PODS,
            {
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "labels": {APPLICATION: "app", TASK: "task", **labels},
                    "ownerReferences": [reference],
                },
                "spec": {"containers": [container], "restartPolicy": "Never"},
            },
        )

    def owner(self, name: str) -> str:
        """Uid of something that owns pods; those of nobody would be collected."""
        found = self.cluster.store.find(CONFIG_MAPS, "default", name)
        owner = found or self.cluster.store.create(CONFIG_MAPS, _named(name))
        return str(owner["metadata"]["uid"])

    def driver(self, name: str) -> None:
        self.pod(name, {"spark-role": "driver"}, "job")
        self.cluster.run_until(lambda: self.cluster.pod(name)["status"].get("phase") == "Running")

    def executor(self, number: int, driver: str = "driver", name: str = "") -> None:
        labels = {"spark-role": "executor", "spark-exec-id": str(number)}
        self.pod(name or f"{driver}-exec-{number}", labels, driver)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_one_driver_after_the_other_is_fine(scene: Scene) -> None:
    scene.driver("first")
    scene.cluster.runtime.end(scene.cluster.pod("first"), 0)
    scene.driver("second")
    assert scene.problems == []
    assert [driver.exit_code for driver in scene.watcher.drivers.values()] == [0, None]


def test_two_drivers_at_once_are_noticed(scene: Scene) -> None:
    scene.driver("first")
    scene.driver("second")
    assert scene.problems[0] == "2 drivers run at once: first, second"


def test_a_driver_on_a_silent_node_still_runs() -> None:
    scene = Scene(nodes=2)
    scene.driver("first")
    scene.cluster.silence(scene.cluster.pod("first")["spec"]["nodeName"])
    scene.cluster.advance(60)
    scene.cluster.store.remove(PODS, "default", "first")
    scene.driver("second")
    assert scene.problems[0] == "2 drivers run at once: first, second"


def _named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}}


def test_as_many_executors_as_asked_for_are_fine(scene: Scene) -> None:
    for number in (1, 2):
        scene.executor(number)
    for number in (1, 2):
        scene.executor(number, driver="another")
    assert scene.problems == []
    assert scene.watcher.executors_created == 4


def test_an_executor_too_many_is_noticed(scene: Scene) -> None:
    for number in (1, 2, 3):
        scene.executor(number)
    assert scene.problems[0].startswith("3 executors, but 2 were asked for")


def test_an_executor_that_has_ended_does_not_count(scene: Scene) -> None:
    scene.executor(1)
    scene.executor(2)
    scene.cluster.advance(5)
    scene.cluster.runtime.end(scene.cluster.pod("driver-exec-1"), 1)
    scene.cluster.advance(5)
    scene.executor(3)
    assert scene.problems == []


def test_an_executor_on_a_dead_node_counts_until_its_grace_is_over(scene: Scene) -> None:
    scene.executor(1)
    scene.executor(2)
    scene.cluster.advance(5)
    scene.cluster.silence("node-1")
    scene.cluster.store.delete(PODS, "default", "driver-exec-1")
    scene.cluster.advance(55)
    scene.executor(3)
    assert len(scene.problems) == 1
    scene.cluster.store.remove(PODS, "default", "driver-exec-3")
    scene.cluster.advance(10)
    scene.executor(4)
    assert len(scene.problems) == 1


def test_an_id_that_is_used_again_is_noticed(scene: Scene) -> None:
    scene.executor(1)
    scene.cluster.store.remove(PODS, "default", "driver-exec-1")
    scene.executor(1, name="again")
    assert scene.problems == ["executor id 1 of the driver of again is used twice"]


def test_a_secret_outside_secrets_is_noticed(scene: Scene) -> None:
    data = {"data": {"key": "the s3cret value"}}
    scene.cluster.store.create(CONFIG_MAPS, {**_named("settings"), **data})
    assert scene.problems == ["a secret is in ConfigMap settings"]


def test_a_verdict_that_changes_is_noticed(scene: Scene) -> None:
    container = {"name": "main", "image": "image"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    spec = {"suspend": True, "template": template}
    scene.cluster.store.create(JOBS, {**_named("job"), "spec": spec})
    for verdict in (Verdict.SUCCEEDED, Verdict.DRIVER_LOST):
        outcome = Outcome(verdict, "message", "default", "app", "job")

        def write(job: dict[str, Any], outcome: Outcome = outcome) -> None:
            job["metadata"]["annotations"] = outcome_annotation(outcome)

        scene.cluster.store.edit(JOBS, "default", "job", write)
    assert scene.problems == ["the verdict on Job job changed from succeeded to driver lost"]
