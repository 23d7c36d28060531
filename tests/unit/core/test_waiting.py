from __future__ import annotations

import pytest

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.object_events import Account
from airflow_spark_k8s.core.pod_state import Pending
from airflow_spark_k8s.core.snapshot import requests_text
from airflow_spark_k8s.core.waiting import pod_wait
from tests.unit.core.test_object_events import BUSY_DISK, NO_NODE, NO_SECRET, account, kubelet

AT = "2026-11-30T10:00:00Z"
ANSWER = (
    'failed to pull and unpack image "localhost/nope:1": failed to resolve image: failed to do request: Head '
    '"https://localhost/v2/nope/manifests/1": dial tcp 127.0.0.1:443: connect: connection refused'
)
BACK_OFF = 'Back-off pulling image "localhost/nope:1"'
UNREAD = None

WAITS: dict[str, tuple[Pending, Account | None, str | None, Cause | None]] = {
    "nobody has said": (Pending(), UNREAD, None, None),
    "no event either": (Pending("ContainerCreating", ""), account(), None, None),
    "no node, and what is asked": (
        Pending("Unschedulable", NO_NODE),
        UNREAD,
        f"Unschedulable: {NO_NODE}; it requests cpu 1, memory 1408Mi",
        Cause.UNSCHEDULABLE,
    ),
    "no node, and an autoscaler that does not help": (
        Pending("Unschedulable", NO_NODE),
        account(kubelet("NotTriggerScaleUp", "max node group size reached", AT, "Normal")),
        f"Unschedulable: {NO_NODE}; it requests cpu 1, memory 1408Mi; NotTriggerScaleUp: max node group size "
        "reached",
        Cause.UNSCHEDULABLE,
    ),
    "an image, and the registry's answer": (
        Pending("ErrImagePull", ANSWER),
        UNREAD,
        f"ErrImagePull: {ANSWER}",
        Cause.IMAGE,
    ),
    "an image that is not asked for again yet": (
        Pending("ImagePullBackOff", f"{BACK_OFF}: ErrImagePull: {ANSWER}"),
        UNREAD,
        f"ImagePullBackOff: {BACK_OFF}: ErrImagePull: {ANSWER}",
        Cause.IMAGE,
    ),
    "the same before Kubernetes 1.31": (
        Pending("ImagePullBackOff", BACK_OFF),
        account(
            kubelet("Failed", f'Failed to pull image "localhost/nope:1": {ANSWER}', AT),
            kubelet("BackOff", BACK_OFF, AT, "Normal"),
        ),
        f'ImagePullBackOff: Failed to pull image "localhost/nope:1": {ANSWER}',
        Cause.IMAGE,
    ),
    "the same without the right to read events": (
        Pending("ImagePullBackOff", BACK_OFF),
        UNREAD,
        f"ImagePullBackOff: {BACK_OFF}",
        Cause.IMAGE,
    ),
    "an image that must not be pulled": (
        Pending(
            "ErrImageNeverPull", 'Container image "localhost/nope:1" is not present with pull policy of Never'
        ),
        UNREAD,
        'ErrImageNeverPull: Container image "localhost/nope:1" is not present with pull policy of Never',
        Cause.IMAGE,
    ),
    "a ConfigMap in the environment": (
        Pending("CreateContainerConfigError", 'configmap "nope" not found'),
        UNREAD,
        'CreateContainerConfigError: configmap "nope" not found',
        Cause.CONFIGURATION,
    ),
    "a Secret in a volume": (
        Pending("ContainerCreating", ""),
        account(kubelet("FailedMount", NO_SECRET, AT)),
        f"FailedMount: {NO_SECRET}",
        Cause.CONFIGURATION,
    ),
    "a key of a ConfigMap in a volume": (
        Pending("ContainerCreating", ""),
        account(
            kubelet(
                "FailedMount",
                'MountVolume.SetUp failed for volume "v" : references non-existent config key: k',
                AT,
            )
        ),
        'FailedMount: MountVolume.SetUp failed for volume "v" : references non-existent config key: k',
        Cause.CONFIGURATION,
    ),
    "a disk": (
        Pending(),
        account(kubelet("FailedAttachVolume", BUSY_DISK, AT)),
        f"FailedAttachVolume: {BUSY_DISK}",
        Cause.VOLUME,
    ),
    "a network": (
        Pending("ContainerCreating", ""),
        account(kubelet("FailedCreatePodSandBox", "no addresses\n  left", AT)),
        "FailedCreatePodSandBox: no addresses left",
        None,
    ),
    "a reason without a message": (Pending("Strange"), UNREAD, "Strange", None),
}


@pytest.mark.parametrize(("state", "events", "text", "cause"), WAITS.values(), ids=WAITS.keys())
def test_what_a_pod_waits_for(
    state: Pending, events: Account | None, text: str | None, cause: Cause | None
) -> None:
    wait = pod_wait(state, "cpu 1, memory 1408Mi", events)
    assert (wait.text if wait else None, wait.cause if wait else None) == (text, cause)


def test_a_pod_that_asks_for_nothing_is_said_to_ask_for_nothing() -> None:
    wait = pod_wait(Pending("Unschedulable", "no nodes available to schedule pods"), "", None)
    assert wait is not None
    assert wait.text == "Unschedulable: no nodes available to schedule pods"


def test_what_a_pod_requests_is_told_by_container_if_it_has_several() -> None:
    spark = {
        "name": "spark",
        "resources": {"requests": {"memory": "1408Mi", "cpu": "1", "nvidia.com/gpu": "2"}},
    }
    proxy = {"name": "proxy", "resources": {"requests": {"cpu": "100m"}}}
    idle = {"name": "idle"}
    assert requests_text({"spec": {"containers": [spark]}}) == "cpu 1, memory 1408Mi, nvidia.com/gpu 2"
    both = "spark: cpu 1, memory 1408Mi, nvidia.com/gpu 2; proxy: cpu 100m"
    assert requests_text({"spec": {"containers": [spark, proxy, idle]}}) == both
    together = {"containers": [spark, proxy], "resources": {"requests": {"memory": "2Gi"}}}
    assert requests_text({"spec": together}) == "memory 2Gi"
    assert requests_text({"spec": {"containers": [idle], "resources": None}}) == ""
    assert requests_text({}) == ""
