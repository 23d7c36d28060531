from __future__ import annotations

from typing import Any

import pytest

from airflow_spark_k8s.core.actions import RemoveByForce, Trouble
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.pod_state import Deleted, Ending, EndKind, Running, Unknown
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import DriverPod, Observed
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.state import Desired
from tests.fakes.scenes import REFERENCE, UNKNOWN, Story, acts, driver, failed, job, observed, says, spark

TAINTED = "DeletionByTaintManager"


def story(on_lost_node: str = "wait", limit: int = 3) -> Story:
    settings = ControllerSettings(
        AllocationSettings(1), (4, 3, 0), max_driver_restarts=limit, on_lost_node=on_lost_node
    )
    return Story(Desired(REFERENCE, settings))


def leaving(grace: int = 30, **fields: Any) -> DriverPod:
    """A driver that Kubernetes has marked as not ready, and has told to end."""
    given = {"state": Running(), "disruption": TAINTED, **fields}
    return driver(deleting=True, leaving_seconds=grace, **given)


def view(pod: DriverPod, **fields: Any) -> Observed:
    return observed(drivers=(pod,), spark=spark(**UNKNOWN), **fields)


def told(teller: Story, view: Observed, seconds: float) -> list[str]:
    """What is said about the node, `seconds` after the view was seen first."""
    teller.look(view)
    return [text for text in says(teller.look(view, after=seconds)) if "does not answer" in text]


REMOVED = Deleted(Ending(EndKind.DELETED, "deleted"))

TOLD: dict[str, tuple[DriverPod, float, bool]] = {
    "a driver that runs": (driver(), 600, False),
    "a driver that is evicted in time": (leaving(disruption="EvictionByEvictionAPI"), 44, False),
    "a driver that is evicted and does not end": (leaving(disruption="EvictionByEvictionAPI"), 45, True),
    "a driver that somebody deleted and that does not end": (leaving(disruption=None), 45, True),
    "a node that Kubernetes has given up": (leaving(), 45, True),
    "a node that Kubernetes has given up, just now": (leaving(), 44, False),
    "a long grace period on such a node": (leaving(3600), 50, True),
    "a long grace period on a silent node": (leaving(3600, disruption=None, node_silent=True), 50, True),
    "a long grace period on a node that answers": (leaving(3600, state=Running(ready=True)), 50, False),
    "a long grace period elsewhere": (leaving(3600, disruption="EvictionByEvictionAPI"), 50, False),
    "a driver that has not been seen to start": (leaving(state=REMOVED), 45, True),
    "a driver that has ended": (leaving(state=failed(EndKind.DISRUPTED)), 600, False),
    "a driver that never had a node": (leaving(node=None), 600, False),
}


@pytest.mark.parametrize(("pod", "seconds", "words"), TOLD.values(), ids=TOLD.keys())
def test_a_node_that_does_not_answer_is_told_of_within_a_minute(
    pod: DriverPod, seconds: float, words: bool
) -> None:
    assert bool(told(story(), view(pod), seconds)) == words


def test_a_silent_node_is_told_of_before_kubernetes_removes_its_pods() -> None:
    silent = view(driver(Unknown(), node_silent=True))
    (text,) = [text for text in says(story().look(silent)) if "does not answer" in text]
    assert "its node node-1 does not answer" in text
    assert "after 5 minutes unless the pod tolerates less" in text


@pytest.mark.parametrize(
    ("on_lost_node", "limit", "words"),
    [
        ("wait", 3, '; on_lost_node="force" would remove the pod by force'),
        ("force", 3, 'since on_lost_node is "force": two drivers may run for a while'),
        ("force", 0, "not removed by force, since max_driver_restarts is 0"),
    ],
)
def test_what_is_waited_for_and_what_can_be_done(on_lost_node: str, limit: int, words: str) -> None:
    (text,) = told(story(on_lost_node, limit), view(leaving()), 45)
    assert "driver pod d-1 has been told to end (DeletionByTaintManager) and has not: its node node-1" in text
    assert "for its Node object to be deleted" in text
    assert "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute" in text
    assert text.endswith(words)


def test_the_same_is_not_said_twice_and_without_settings_waiting_is_assumed() -> None:
    teller = Story(Desired(REFERENCE))
    (text,) = told(teller, view(leaving()), 45)
    assert text.endswith("would remove the pod by force")
    assert told(teller, view(leaving()), 300) == []


def test_somebody_looks_again_when_there_will_be_something_to_say() -> None:
    plan = story("force").look(view(leaving()))
    assert plan.requeue_after_seconds is not None
    assert 0 < plan.requeue_after_seconds <= 45


FORCE = RemoveByForce("d-1", "uid-d-1")
FORCED: dict[str, tuple[Observed, float, str, int, bool]] = {
    "long after its grace period": (view(leaving()), 60, "force", 3, True),
    "not yet": (view(leaving()), 59, "force", 3, False),
    "marked as not ready, and deleted by hand": (
        view(leaving(disruption=None, node_silent=True)), 60, "force", 3, True
    ),
    "not seen to start": (view(leaving(state=REMOVED)), 60, "force", 3, True),
    "if its node answers": (view(leaving(state=Running(ready=True))), 3600, "force", 3, False),
    "if nobody wants it": (view(leaving()), 3600, "wait", 3, False),
    "if none may follow": (view(leaving()), 3600, "force", 0, False),
    "if all restarts are used": (
        view(leaving(), job=job(driver_uids=("x", "uid-d-1"))), 3600, "force", 1, False
    ),
    "if the node may only be slow": (
        view(leaving(disruption="EvictionByEvictionAPI")), 3600, "force", 3, False
    ),
    "if nobody has asked for its end": (view(driver(Unknown(), node_silent=True)), 3600, "force", 3, False),
    "if it has ended": (view(leaving(state=failed(EndKind.DISRUPTED))), 20, "force", 3, False),
    "if the Job is suspended": (view(leaving(), job=job(JobPhase.SUSPENDED)), 3600, "force", 3, False),
}  # fmt: skip


@pytest.mark.parametrize(
    ("view", "seconds", "on_lost_node", "limit", "forced"), FORCED.values(), ids=FORCED.keys()
)
def test_the_pod_is_removed_by_force(
    view: Observed, seconds: float, on_lost_node: str, limit: int, forced: bool
) -> None:
    teller = story(on_lost_node, limit)
    teller.look(view)
    assert (FORCE in acts(teller.look(view, after=seconds))) == forced


def test_the_removal_is_asked_for_again_after_a_while_and_after_a_failure() -> None:
    teller, seen = story("force"), view(leaving())
    teller.look(seen)
    teller.fails = lambda action: Trouble.UNCERTAIN if isinstance(action, RemoveByForce) else Trouble.NONE
    assert FORCE in acts(teller.look(seen, after=60))
    assert FORCE not in acts(teller.look(seen))
    teller.fails = lambda action: Trouble.NONE
    assert FORCE in acts(teller.look(seen, after=5))
    assert FORCE not in acts(teller.look(seen, after=29))
    assert FORCE in acts(teller.look(seen, after=1))


def test_without_settings_nothing_is_removed() -> None:
    teller, seen = Story(Desired(REFERENCE)), view(leaving())
    teller.look(seen)
    assert acts(teller.look(seen, after=600)) == ()
