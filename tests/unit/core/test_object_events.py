"""Events in the words of Kubernetes 1.36, and of the autoscalers that are in use."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.object_events import Account, ObjectEvent, object_events

NO_NODE = (
    "0/6 nodes are available: 1 Insufficient memory, 5 node(s) had untolerated taint(s). no new claims to "
    "deallocate, preemption: 0/6 nodes are available: 6 Preemption is not helpful for scheduling."
)
NO_SECRET = 'MountVolume.SetUp failed for volume "v" : secret "nope" not found'
NO_DISK = (
    "Unable to attach or mount volumes: unmounted volumes=[v], unattached volumes=[], failed to process "
    "volumes=[]: context deadline exceeded"
)
BUSY_DISK = (
    'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can\'t be '
    "attached to another"
)


def scheduler(reason: str, message: str, at: str, count: int = 1) -> dict[str, Any]:
    """An event in the form of events.k8s.io, as the scheduler writes it."""
    return {
        "metadata": {"name": f"pod.{at}", "creationTimestamp": at},
        "reason": reason,
        "message": message,
        "type": "Warning" if reason == "FailedScheduling" else "Normal",
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": at.replace("Z", ".500000Z"),
        **(
            {"series": {"count": count, "lastObservedTime": at.replace("Z", ".900000Z")}} if count > 1 else {}
        ),
    }


def kubelet(reason: str, message: str, at: str, kind: str = "Warning", first: str = "") -> dict[str, Any]:
    """An event in the old form, as kubelets and the Job controller write it."""
    return {
        "metadata": {"name": f"pod.{first or at}"},
        "reason": reason,
        "message": message,
        "type": kind,
        "firstTimestamp": first or at,
        "lastTimestamp": at,
        "count": 4,
        "eventTime": None,
    }


def account(*items: dict[str, Any]) -> Account:
    """The events of one object as they were read."""
    return Account(1000.0, 1000.0, object_events(items))


SCHEDULED = scheduler("Scheduled", "Successfully assigned spark/d to node-1", "2026-11-30T10:00:05Z")

TELLING: dict[str, tuple[Account, str | None]] = {
    "no event": (account(), None),
    "a pod that fits nowhere": (
        account(scheduler("FailedScheduling", NO_NODE, "2026-11-30T10:00:00Z")),
        NO_NODE,
    ),
    "a pod that has found its node": (
        account(scheduler("FailedScheduling", NO_NODE, "2026-11-30T10:00:00Z"), SCHEDULED),
        None,
    ),
    "a volume that needs a Secret": (
        account(SCHEDULED, kubelet("FailedMount", NO_SECRET, "2026-11-30T10:00:09Z")),
        NO_SECRET,
    ),
    "a volume that needed a Secret": (
        account(
            SCHEDULED,
            kubelet("FailedMount", NO_SECRET, "2026-11-30T10:00:09Z"),
            kubelet("Pulled", "Container image present", "2026-11-30T10:00:10Z", "Normal"),
        ),
        None,
    ),
    "a volume that is on another node": (
        account(
            SCHEDULED,
            kubelet("FailedAttachVolume", BUSY_DISK, "2026-11-30T10:00:09Z"),
            kubelet("FailedMount", NO_DISK, "2026-11-30T10:02:09Z"),
        ),
        BUSY_DISK,
    ),
    "a volume that came after all": (
        account(
            kubelet("FailedAttachVolume", BUSY_DISK, "2026-11-30T10:00:09Z"),
            kubelet(
                "SuccessfulAttachVolume", "AttachVolume.Attach succeeded", "2026-11-30T10:01:09Z", "Normal"
            ),
        ),
        None,
    ),
    "a volume of which only that is said": (
        account(SCHEDULED, kubelet("FailedMount", NO_DISK, "2026-11-30T10:02:09Z")),
        NO_DISK,
    ),
    "a large image": (
        account(SCHEDULED, kubelet("Pulling", 'Pulling image "spark:4"', "2026-11-30T10:00:06Z", "Normal")),
        'Pulling image "spark:4"',
    ),
    "a series that goes on after another event": (
        account(
            kubelet("FailedMount", NO_SECRET, "2026-11-30T10:05:00Z", first="2026-11-30T10:00:00Z"),
            kubelet("Pulling", 'Pulling image "init:1"', "2026-11-30T10:01:00Z", "Normal"),
        ),
        NO_SECRET,
    ),
    "a series in the scheduler's form": (
        account(
            scheduler("FailedScheduling", "first", "2026-11-30T10:00:02Z"),
            scheduler("FailedScheduling", "often", "2026-11-30T10:00:02Z", count=3),
        ),
        "often",
    ),
    "a container that is not ready yet": (
        account(
            kubelet("Started", "Container started", "2026-11-30T10:00:00Z", "Normal"),
            kubelet("Unhealthy", "Readiness probe failed: connection refused", "2026-11-30T10:00:01Z"),
        ),
        None,
    ),
    "a network that gives no address, on a node with many name servers": (
        account(
            kubelet("FailedCreatePodSandBox", "no addresses left", "2026-11-30T10:00:01Z"),
            kubelet("DNSConfigForming", "Nameserver limits were exceeded", "2026-11-30T10:00:02Z"),
        ),
        "no addresses left",
    ),
    "a policy that only audits": (
        account(kubelet("PolicyViolation", "policy p/r fail: no team", "2026-11-30T10:00:02Z")),
        None,
    ),
    "a Job that got its pod in the end": (
        account(
            kubelet("FailedCreate", "Error creating: no", "2026-11-30T10:00:00Z"),
            kubelet("SuccessfulCreate", "Created pod: d", "2026-11-30T10:00:01Z", "Normal"),
        ),
        None,
    ),
    "an autoscaler that does not help": (
        account(
            scheduler("FailedScheduling", NO_NODE, "2026-11-30T10:00:00Z"),
            kubelet("NotTriggerScaleUp", "pod didn't trigger scale-up", "2026-11-30T10:00:03Z", "Normal"),
        ),
        "pod didn't trigger scale-up",
    ),
}


@pytest.mark.parametrize(("account", "message"), TELLING.values(), ids=TELLING.keys())
def test_the_event_that_tells_why(account: Account, message: str | None) -> None:
    telling = account.telling
    assert (telling.message if telling else None) == message


def test_what_an_autoscaler_says_last_counts() -> None:
    told = account(
        kubelet("NotTriggerScaleUp", "max node group size reached", "2026-11-30T10:00:03Z", "Normal"),
        kubelet("TriggeredScaleUp", "pod triggered scale-up: [{a 1->2}]", "2026-11-30T10:01:03Z", "Normal"),
    )
    assert told.autoscaler == "TriggeredScaleUp: pod triggered scale-up: [{a 1->2}]"
    assert account().autoscaler is None


def test_the_registrys_answer_is_told_by_the_last_failure() -> None:
    first = kubelet("Failed", 'Failed to pull image "a": no route', "2026-11-30T10:00:03Z")
    last = kubelet("Failed", 'Failed to pull image "a": not found', "2026-11-30T10:00:09Z")
    error = kubelet("Failed", "Error: ErrImagePull", "2026-11-30T10:00:10Z")
    assert account(error, last, first).registry_answer == 'Failed to pull image "a": not found'
    assert account(error).registry_answer is None


def test_an_event_without_anything_is_still_one() -> None:
    assert object_events([{}]) == (ObjectEvent("", "", False, "", ""),)
