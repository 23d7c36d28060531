"""Jobs of a paper cluster, and their pods, live as those of a real one: the same states in the same order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from airflow_spark_k8s.local.conditions import find_condition, is_true
from airflow_spark_k8s.local.kubelet_context import KubeletTiming
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_runtime import PaperScript
from airflow_spark_k8s.local.resources import EVENTS, JOBS, NAMESPACES, PODS
from tests.integration.lifecycles import Step, digest, recorded, steps_of, surplus, without_repeats

CASES = recorded("job_lifecycles.jsonl")
# A real kubelet tells of an exit, tears down and lets go in steps that are a second apart.
AS_RECORDED = KubeletTiming(teardown_seconds=1.2, cleanup_seconds=1.5)
TERM = PaperScript(term_seconds=0.2)
DEAF = PaperScript(term_seconds=None)


def evict_first(cluster: PaperCluster) -> None:
    """The pod goes; the next one ends by itself."""
    evict(cluster)
    cluster.runtime.script(PaperScript(run_seconds=8))


def evict(cluster: PaperCluster) -> None:
    cluster.evict(cluster.pods("golden")[0])


def delete_pod(cluster: PaperCluster, **options: int) -> None:
    cluster.store.delete(PODS, "golden", cluster.pods("golden")[0]["metadata"]["name"], **options)


def delete_job(cluster: PaperCluster) -> None:
    job = cluster.store.list(JOBS, "golden")[0]
    cluster.store.delete(JOBS, "golden", job["metadata"]["name"], propagation="Foreground")


@dataclass(frozen=True)
class Play:
    """What happens in a case on the paper cluster."""

    script: PaperScript
    then: Callable[[PaperCluster], None] = lambda cluster: None
    timing: KubeletTiming = AS_RECORDED
    pod_surplus: int = 0  # states that the recording has merged into the next one


POLICY = "policy ignores DisruptionTarget"
PLAYS = {
    "job succeeds": Play(PaperScript(run_seconds=2)),
    "job fails, backoffLimit 0": Play(PaperScript(run_seconds=2, exit_code=7)),
    "job fails, backoffLimit 1 (second pod after a 10 s backoff)": Play(
        PaperScript(run_seconds=0, exit_code=7), pod_surplus=1
    ),
    "pod evicted, backoffLimit 0, failure policy ignores DisruptionTarget: "
    "a new pod, the job goes on and succeeds": Play(TERM, evict_first),
    "pod evicted, backoffLimit 0, no failure policy: the job fails": Play(TERM, evict, KubeletTiming()),
    f"running pod force-deleted by a user, backoffLimit 0, {POLICY}": Play(
        DEAF, lambda cluster: delete_pod(cluster, grace_seconds=0)
    ),
    f"running pod deleted by a user (graceful), backoffLimit 0, {POLICY}": Play(TERM, delete_pod),
    "active deadline passed": Play(DEAF),
    "TTL after finish 3 s: job and pod go": Play(PaperScript(run_seconds=2)),
    "failure policy FailJob on exit codes": Play(PaperScript(run_seconds=0.1, exit_code=42)),
    "delete a running job, Foreground": Play(PaperScript(term_seconds=0.2, term_exit_code=0), delete_job),
}


def golden_cluster(timing: KubeletTiming | None = None, nodes: tuple[str, ...] = ("node-1",)) -> PaperCluster:
    cluster = PaperCluster(nodes=[NodeOffer(name=name) for name in nodes], timing=timing)
    cluster.store.create(NAMESPACES, {"metadata": {"name": "golden"}})
    return cluster


def watched(cluster: PaperCluster) -> dict[str, list[Step]]:
    seen: dict[str, list[Step]] = {"jobs": [], "pods": []}
    cluster.store.subscribe(
        lambda event: (
            seen[event.resource.plural].append((event.type, digest(event.object)))
            if event.resource in (JOBS, PODS)
            else None
        )
    )
    return seen


def job(name: str, **spec: object) -> dict[str, object]:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "spark"}]}}
    policy = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    return {
        "metadata": {"name": name, "namespace": "golden"},
        "spec": {
            "backoffLimit": 0,
            "template": template,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": policy,
            **spec,
        },
    }


def test_every_recorded_lifecycle_is_played() -> None:
    assert PLAYS.keys() == CASES.keys()


@pytest.mark.parametrize("name", PLAYS)
def test_job_lives_as_recorded(name: str) -> None:
    case, play = CASES[name], PLAYS[name]
    cluster = golden_cluster(play.timing)
    seen = watched(cluster)
    cluster.runtime.script(play.script)

    cluster.store.create(
        JOBS, {**case["create"], "metadata": {**case["create"]["metadata"], "namespace": "golden"}}
    )
    cluster.advance(3)
    play.then(cluster)
    cluster.advance(60)

    assert surplus(steps_of(case["jobs"]), without_repeats(seen["jobs"])) == 0, seen["jobs"]
    assert surplus(steps_of(case["pods"]), without_repeats(seen["pods"])) == play.pod_surplus, seen["pods"]


def test_suspended_job_has_no_pod_until_it_is_resumed() -> None:
    cluster = golden_cluster()
    cluster.runtime.script(PaperScript(run_seconds=1))
    cluster.store.create(JOBS, job("sus", suspend=True))
    cluster.advance(5)
    before = cluster.store.get(JOBS, "golden", "sus")["status"]
    pods_before = cluster.pods("golden")

    cluster.store.edit(JOBS, "golden", "sus", lambda stored: stored["spec"].update(suspend=False))
    cluster.advance(10)

    after = cluster.store.get(JOBS, "golden", "sus")
    assert not pods_before
    assert [c["reason"] for c in before.pop("conditions")] == ["JobSuspended"]
    assert before == {"terminating": 0, "uncountedTerminatedPods": {}, "ready": 0}
    assert [c["type"] for c in after["status"]["conditions"]] == [
        "Suspended",
        "SuccessCriteriaMet",
        "Complete",
    ]
    assert find_condition(after, "Suspended")["reason"] == "JobResumed"


def test_suspending_a_running_job_deletes_its_pod_without_counting_it() -> None:
    cluster = golden_cluster()
    cluster.store.create(JOBS, job("run"))
    cluster.advance(3)

    cluster.store.edit(JOBS, "golden", "run", lambda stored: stored["spec"].update(suspend=True))
    cluster.advance(10)

    status = cluster.store.get(JOBS, "golden", "run")["status"]
    assert not cluster.pods("golden")
    assert "failed" not in status
    assert "startTime" not in status


def test_a_job_that_the_local_cluster_cannot_run_gets_no_pod_but_an_event() -> None:
    cluster = golden_cluster()
    cluster.store.create(JOBS, job("indexed", completionMode="Indexed", completions=1, podFailurePolicy=None))
    cluster.advance(10)

    (event,) = cluster.store.list(EVENTS, "golden")
    assert not cluster.pods("golden")
    assert event["message"] == "the local cluster does not run Jobs with completionMode Indexed"


def test_job_deleted_without_propagation_leaves_its_pod_alone() -> None:
    cluster = golden_cluster()
    cluster.store.create(JOBS, job("orph"))
    cluster.advance(3)

    cluster.store.delete(JOBS, "golden", "orph")
    cluster.advance(5)

    (pod,) = cluster.pods("golden")
    assert cluster.store.find(JOBS, "golden", "orph") is None
    assert pod["status"]["phase"] == "Running"
    assert not pod["metadata"].keys() & {"ownerReferences", "finalizers", "deletionTimestamp"}


def test_job_deleted_in_the_background_takes_its_pod_along() -> None:
    cluster = golden_cluster()
    cluster.store.create(JOBS, job("bg"))
    cluster.advance(3)

    cluster.store.delete(JOBS, "golden", "bg", propagation="Background")
    gone_at_once = cluster.store.find(JOBS, "golden", "bg") is None
    cluster.advance(5)

    assert gone_at_once
    assert not cluster.pods("golden")


def test_driver_of_a_silent_node_is_replaced_only_once_the_node_is_deleted() -> None:
    cluster = golden_cluster(AS_RECORDED, ("lost-1",))
    patience = [
        {
            "key": f"node.kubernetes.io/{what}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 5,
        }
        for what in ("unreachable", "not-ready")
    ]
    lost = job("lost")
    lost["spec"]["template"]["spec"]["tolerations"] = patience
    seen = watched(cluster)
    cluster.store.create(JOBS, lost)
    cluster.advance(3)

    cluster.silence("lost-1")
    cluster.add_node(NodeOffer(name="node-1"))
    cluster.runtime.script(PaperScript(run_seconds=5))
    cluster.advance(80)
    (terminating,) = cluster.pods("golden")
    status = cluster.store.get(JOBS, "golden", "lost")["status"]
    cluster.delete_node("lost-1")
    cluster.advance(80)

    (finished,) = cluster.pods("golden")
    disruption = find_condition(terminating, "DisruptionTarget")
    assert disruption["reason"] == "DeletionByTaintManager"
    assert disruption["message"] == "Taint manager: deleting due to NoExecute taint"
    assert terminating["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert status["terminating"] == 1
    assert "active" not in status
    assert (finished["spec"]["nodeName"], finished["status"]["phase"]) == ("node-1", "Succeeded")
    assert is_true(cluster.store.get(JOBS, "golden", "lost"), "Complete")
    assert "failed" not in cluster.store.get(JOBS, "golden", "lost")["status"]
    counts = [(step.get("active", 0), step["terminating"]) for _, step in seen["jobs"][1:]]
    assert without_repeats(counts)[:4] == [(1, 0), (0, 1), (0, 0), (1, 0)]
