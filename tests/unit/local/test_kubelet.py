from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from airflow_spark_k8s.local.conditions import find_condition, is_ready
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.kubelet_runtime import LogOptions, ProxyAnswer, ProxyRequest
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_runtime import PaperScript
from airflow_spark_k8s.local.resources import CONFIG_MAPS, EVENTS, PODS

MAIN = {"name": "main", "image": "main"}


@pytest.fixture
def cluster() -> PaperCluster:
    return PaperCluster()


def create(cluster: PaperCluster, container: dict[str, Any] = MAIN, **spec: Any) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "containers": [container], **spec}
    return cluster.store.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": pod})


def state(cluster: PaperCluster, kind: str = "containerStatuses", index: int = 0) -> tuple[str, Any]:
    """Name of a container's state and its reason."""
    ((name, details),) = cluster.pod("p")["status"][kind][index]["state"].items()
    return name, details.get("reason")


def restarts(cluster: PaperCluster) -> int:
    return int(cluster.pod("p")["status"]["containerStatuses"][0]["restartCount"])


def reasons(cluster: PaperCluster) -> list[str]:
    return [event["reason"] for event in cluster.store.list(EVENTS, "default") if "reason" in event]


def test_init_containers_run_one_after_the_other_before_the_others(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(run_seconds=10), image="init")
    inits = [{"name": "one", "image": "init"}, {"name": "two", "image": "init"}]
    create(cluster, initContainers=inits)

    cluster.advance(5)
    first = (state(cluster, "initContainerStatuses", 0), state(cluster, "initContainerStatuses", 1))
    waiting, initialized = state(cluster), find_condition(cluster.pod("p"), "Initialized")
    cluster.advance(10)
    second = (state(cluster, "initContainerStatuses", 0), state(cluster, "initContainerStatuses", 1))
    cluster.advance(10)

    assert first == (("running", None), ("waiting", "PodInitializing"))
    assert waiting == ("waiting", "PodInitializing")
    assert initialized is not None
    assert initialized["message"] == "containers with incomplete status: [one two]"
    assert second == (("terminated", "Completed"), ("running", None))
    assert state(cluster) == ("running", None)
    assert find_condition(cluster.pod("p"), "Initialized")["status"] == "True"


def test_an_init_container_that_fails_ends_the_pod(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(run_seconds=1, exit_code=4), image="init")
    create(cluster, initContainers=[{"name": "one", "image": "init"}])
    cluster.advance(5)

    assert cluster.pod("p")["status"]["phase"] == "Failed"
    assert state(cluster) == ("waiting", "PodInitializing")


def test_a_sidecar_runs_beside_the_main_container_and_ends_after_it(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(run_seconds=10), image="main")
    create(cluster, initContainers=[{"name": "side", "image": "side", "restartPolicy": "Always"}])
    cluster.advance(5)
    both = (state(cluster, "initContainerStatuses"), state(cluster))
    cluster.advance(10)

    assert both == (("running", None), ("running", None))
    assert cluster.pod("p")["status"]["phase"] == "Succeeded"


def test_a_pod_of_two_containers_ends_with_the_second(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(run_seconds=5), image="short")
    cluster.runtime.script(PaperScript(run_seconds=20, exit_code=1), image="long")
    create(cluster, containers=[{"name": "a", "image": "short"}, {"name": "b", "image": "long"}])
    cluster.advance(10)
    between = cluster.pod("p")
    cluster.advance(15)

    ready = find_condition(between, "Ready")
    assert between["status"]["phase"] == "Running"
    assert ready is not None
    assert ready["message"] == "containers with unready status: [a]"
    assert cluster.pod("p")["status"]["phase"] == "Failed"


def test_a_container_that_crashes_is_restarted_after_ever_longer_pauses(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(run_seconds=1, exit_code=1))
    create(cluster, restartPolicy="Always")
    starts: list[float] = []
    while cluster.timers.time() < 80:
        cluster.advance(0.5)
        if state(cluster) == ("running", None) and len(starts) == restarts(cluster):
            starts.append(cluster.timers.time())

    pauses = [round(later - earlier) for earlier, later in pairwise(starts)]
    assert pauses[:4] == [1, 11, 21, 41]
    assert state(cluster) in {("waiting", "CrashLoopBackOff"), ("running", None)}
    assert cluster.pod("p")["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    assert cluster.pod("p")["status"]["phase"] == "Running"
    assert "BackOff" in reasons(cluster)


def test_on_failure_restarts_only_failures(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(run_seconds=1, exit_code=1))
    pod = create(cluster, restartPolicy="OnFailure")
    cluster.advance(1.5)
    cluster.runtime.script(PaperScript())
    cluster.advance(20)
    restarted = restarts(cluster)
    cluster.runtime.end(pod, 0)
    cluster.advance(1)

    assert restarted == 2
    assert cluster.pod("p")["status"]["phase"] == "Succeeded"


def test_readiness_follows_its_probe(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(ready_seconds=7))
    probe = {"tcpSocket": {"port": 7078}, "initialDelaySeconds": 2, "periodSeconds": 2}
    create(cluster, {**MAIN, "readinessProbe": probe})
    cluster.advance(6)
    before = is_ready(cluster.pod("p"))
    cluster.advance(3)

    assert not before
    assert is_ready(cluster.pod("p"))
    assert "Unhealthy" in reasons(cluster)


def test_a_container_whose_liveness_probe_fails_is_restarted(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(ready_seconds=1e9))
    probe = {"tcpSocket": {"port": 1}, "periodSeconds": 5, "failureThreshold": 2}
    create(cluster, {**MAIN, "livenessProbe": probe}, restartPolicy="Always")
    cluster.advance(8)

    assert restarts(cluster) == 1


def test_other_probes_wait_for_the_startup_probe(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(ready_seconds=20))
    probe = {"tcpSocket": {"port": 1}, "periodSeconds": 5}
    slow = {**probe, "failureThreshold": 10}
    create(cluster, {**MAIN, "startupProbe": slow, "livenessProbe": {**probe, "failureThreshold": 1}})
    cluster.advance(15)
    before = cluster.pod("p")["status"]["containerStatuses"][0]
    cluster.advance(10)
    after = cluster.pod("p")["status"]["containerStatuses"][0]

    assert (before["started"], before["ready"]) == (False, False)
    assert (after["started"], after["ready"], after["restartCount"]) == (True, True, 0)


def test_a_missing_config_map_is_waited_for(cluster: PaperCluster) -> None:
    create(cluster, {**MAIN, "envFrom": [{"configMapRef": {"name": "late"}}]})
    cluster.advance(5)
    before = state(cluster)
    cluster.store.create(CONFIG_MAPS, {"metadata": {"name": "late", "namespace": "default"}})
    cluster.advance(10)

    assert before == ("waiting", "CreateContainerConfigError")
    assert state(cluster) == ("running", None)


def test_a_missing_volume_is_waited_for(cluster: PaperCluster) -> None:
    create(cluster, volumes=[{"name": "v", "configMap": {"name": "late"}}])
    cluster.advance(5)
    before = state(cluster)
    cluster.store.create(CONFIG_MAPS, {"metadata": {"name": "late", "namespace": "default"}})
    cluster.advance(10)

    assert before == ("waiting", "ContainerCreating")
    assert "FailedMount" in reasons(cluster)
    assert state(cluster) == ("running", None)


def test_an_image_that_appears_later_is_pulled_after_the_back_off(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(pull_error="no such host"))
    create(cluster)
    cluster.advance(1)
    first = state(cluster)
    cluster.advance(5)
    second = state(cluster)
    cluster.runtime.script(PaperScript(pull_seconds=1.0))
    cluster.advance(10)

    assert first == ("waiting", "ErrImagePull")
    assert second == ("waiting", "ImagePullBackOff")
    assert state(cluster) == ("running", None)
    assert "Pulled" in reasons(cluster)


def test_a_pod_past_its_own_deadline_fails(cluster: PaperCluster) -> None:
    create(cluster, activeDeadlineSeconds=30)
    cluster.advance(40)

    status = cluster.pod("p")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


def test_a_pod_evicted_for_pressure_stays_as_failed(cluster: PaperCluster) -> None:
    pod = create(cluster)
    cluster.advance(5)
    cluster.press(cluster.pod("p"))
    cluster.advance(5)

    status = cluster.pod("p")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")
    assert status["message"].startswith("The node was low on resource: memory.")
    assert find_condition(cluster.pod("p"), "DisruptionTarget")["reason"] == "TerminationByKubelet"
    assert not cluster.runtime.runs(pod)


def test_a_pod_deleted_before_its_container_ran_ends_as_failed(cluster: PaperCluster) -> None:
    seen = []
    cluster.store.subscribe(lambda event: seen.append(event.object) if event.resource is PODS else None)
    cluster.runtime.script(PaperScript(pull_seconds=None))
    create(cluster)
    cluster.advance(5)
    cluster.store.delete(PODS, "default", "p")
    cluster.advance(5)

    terminated = seen[-1]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert cluster.store.find(PODS, "default", "p") is None
    assert seen[-1]["status"]["phase"] == "Failed"
    assert (terminated["reason"], terminated["exitCode"]) == ("ContainerStatusUnknown", 137)


def test_a_shorter_grace_period_ends_a_stubborn_container_earlier(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(term_seconds=None))
    create(cluster, terminationGracePeriodSeconds=600)
    cluster.advance(5)
    cluster.store.delete(PODS, "default", "p")
    cluster.advance(60)
    stubborn = cluster.store.find(PODS, "default", "p")
    cluster.store.delete(PODS, "default", "p", grace_seconds=5)
    cluster.advance(10)

    assert stubborn is not None
    assert cluster.store.find(PODS, "default", "p") is None


def test_a_pod_removed_by_force_leaves_nothing_running(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(term_seconds=None))
    pod = create(cluster)
    cluster.advance(5)
    cluster.store.delete(PODS, "default", "p", grace_seconds=0)
    at_once = cluster.runtime.runs(pod)
    cluster.advance(5)

    assert at_once
    assert not cluster.runtime.runs(pod)


def test_a_new_pod_of_the_same_name_is_another_pod(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(term_seconds=None))
    create(cluster)
    cluster.advance(5)
    cluster.store.delete(PODS, "default", "p", grace_seconds=0)
    fresh = create(cluster)
    cluster.advance(5)

    assert cluster.pod("p")["metadata"]["uid"] == fresh["metadata"]["uid"]
    assert cluster.pod("p")["status"]["phase"] == "Running"


def test_pods_have_addresses_of_their_own() -> None:
    cluster = PaperCluster(nodes=[NodeOffer(name="a", pods=1000)])
    for number in range(300):
        metadata = {"name": f"p{number}", "namespace": "default"}
        cluster.store.create(
            PODS, {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        )
    cluster.advance(5)

    assert len({pod["status"]["podIP"] for pod in cluster.pods()}) == 300


def test_logs_are_read_in_parts(cluster: PaperCluster) -> None:
    pod = create(cluster)
    cluster.advance(1)
    cluster.runtime.write_log(pod, "one\ntwo\n")
    cluster.advance(60)
    cluster.runtime.write_log(pod, "three\n")
    kubelet = cluster.kubelets["node-1"]

    def read(**options: Any) -> bytes:
        return kubelet.logs("default", "p", "main", LogOptions(**options))

    assert read() == b"one\ntwo\nthree\n"
    assert read(tail_lines=2) == b"two\nthree\n"
    assert read(tail_lines=0) == b""
    assert read(limit_bytes=5) == b"one\nt"
    assert read(since=cluster.wall_clock()) == b"three\n"
    assert read(tail_lines=1, timestamps=True) == b"2026-01-01T00:01:01.000000000Z three\n"
    with pytest.raises(LookupError):
        read(previous=True)


def test_a_followed_log_goes_on_until_the_container_ends(cluster: PaperCluster) -> None:
    pod = create(cluster)
    cluster.advance(1)
    cluster.runtime.write_log(pod, "one\n")
    got: list[bytes] = []
    cluster.kubelets["node-1"].follow(
        "default", "p", "main", LogOptions(), got.append, lambda: got.append(b"(end)")
    )
    cluster.runtime.write_log(pod, "two\n")
    cluster.runtime.end(pod)

    assert b"".join(got) == b"one\ntwo\n(end)"


def test_the_log_of_the_previous_instance_is_kept(cluster: PaperCluster) -> None:
    cluster.runtime.script(PaperScript(log="hello\n", run_seconds=5, exit_code=1))
    create(cluster, restartPolicy="Always")
    cluster.advance(6)

    log = cluster.kubelets["node-1"].logs("default", "p", "main", LogOptions(previous=True))
    assert log == b"hello\n"


def test_a_pod_answers_only_while_something_listens(cluster: PaperCluster) -> None:
    pod = create(cluster)
    cluster.advance(1)
    kubelet, request = cluster.kubelets["node-1"], ProxyRequest("GET", 4040, "/")
    silent = kubelet.answer("default", "p", request)
    cluster.runtime.serve(pod, lambda request: ProxyAnswer(body=request.path.encode()))
    serving = kubelet.answer("default", "p", request)
    cluster.runtime.end(pod)
    ended = kubelet.answer("default", "p", request)

    assert (silent.refused, serving.body, ended.refused) == (True, b"/", True)


def test_the_same_seed_gives_the_same_cluster() -> None:
    def names(seed: int) -> list[str]:
        cluster = PaperCluster(seed=seed)
        for _ in range(3):
            metadata = {"generateName": "p-", "namespace": "default"}
            cluster.store.create(
                PODS, {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}]}}
            )
        cluster.advance(5)
        return [f"{pod['metadata']['name']} {pod['metadata']['uid']}" for pod in cluster.pods()]

    assert names(1) == names(1)
    assert names(1) != names(2)


def test_events_are_counted_and_forgotten_after_an_hour(cluster: PaperCluster) -> None:
    create(cluster, {**MAIN, "envFrom": [{"configMapRef": {"name": "never"}}]})
    cluster.advance(60)
    (failed,) = [event for event in cluster.store.list(EVENTS, "default") if event["reason"] == "Failed"]
    cluster.store.delete(PODS, "default", "p")
    cluster.advance(3700)

    assert failed["count"] > 3
    assert not cluster.store.list(EVENTS, "default")
