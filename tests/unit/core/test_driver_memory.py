from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.driver_memory import eviction_text
from airflow_spark_k8s.core.job_state import JobPhase
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.pod_state import DRIVER_CONTAINER, EndKind, Running, memory_excess
from airflow_spark_k8s.core.settings import ControllerSettings
from airflow_spark_k8s.core.snapshot import DriverPod, Observed
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.core.state import Desired
from tests.fakes.objects import DRIVER, RUNNING, pod, status
from tests.fakes.scenes import REFERENCE, Story, acts, driver, failed, job, observed

LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 61440Ki. "
OWN = f"Container {DRIVER_CONTAINER} was using 1536Mi, request is 1Gi, has larger consumption of memory. "
MESSAGES: dict[str, tuple[dict[str, Any], str | None]] = {
    "its own memory": ({"reason": "Evicted", "message": LOW + OWN}, "was using 1536Mi, requests 1Gi"),
    "its own and another's": (
        {
            "reason": "Evicted",
            "message": LOW + OWN.replace(DRIVER_CONTAINER, "proxy").replace("1536Mi", "7Mi") + OWN,
        },
        "was using 1536Mi, requests 1Gi",
    ),
    "a container beside it": (
        {"reason": "Evicted", "message": LOW + OWN.replace(DRIVER_CONTAINER, "proxy")},
        None,
    ),
    "as earlier versions said": (
        {
            "reason": "Evicted",
            "message": LOW + f"Container {DRIVER_CONTAINER} was using 2Gi, which exceeds its request of 0. ",
        },
        "was using 2Gi, requests 0",
    ),
    "the same, stripped": (
        {
            "reason": "Evicted",
            "message": LOW + f"Container {DRIVER_CONTAINER} was using 2Gi, which exceeds its request of 0.",
        },
        "was using 2Gi, requests 0",
    ),
    "others' memory": ({"reason": "Evicted", "message": LOW}, None),
    "its own disk": (
        {"reason": "Evicted", "message": (LOW + OWN).replace("memory", "ephemeral-storage")},
        None,
    ),
    "another reason": ({"reason": "Shutdown", "message": LOW + OWN}, None),
    "no message": ({"reason": "Evicted"}, None),
}


@pytest.mark.parametrize(("fields", "words"), MESSAGES.values(), ids=MESSAGES.keys())
def test_what_the_kubelet_says_of_an_evicted_driver(fields: dict[str, Any], words: str | None) -> None:
    assert memory_excess(pod("d", status=status("Failed", **fields)), DRIVER_CONTAINER) == words


def test_a_driver_that_runs_was_not_evicted() -> None:
    assert memory_excess(pod("d", status=status("Running", DRIVER, RUNNING)), DRIVER_CONTAINER) is None


def evicted(number: int, excess: str | None = "was using 1536Mi, requests 1Gi", **fields: Any) -> DriverPod:
    return driver(failed(EndKind.DISRUPTED, 137), f"d-{number}", memory_excess=excess, **fields)


TEXTS: dict[str, tuple[tuple[DriverPod, ...], int, bool]] = {
    "once, and no other is allowed": ((evicted(1),), 1, True),
    "twice": ((evicted(1), evicted(2)), 2, True),
    "half of the times": ((evicted(1), evicted(2, None), evicted(3, None), evicted(4)), 4, True),
    "less than half of the times": ((evicted(1, None), evicted(2, None), evicted(3)), 3, False),
    "not the last time": ((evicted(1), evicted(2), evicted(3, None)), 3, False),
    "the last one runs": ((evicted(1), driver(Running(), "d-2")), 1, False),
    "no driver": ((), 0, False),
}


@pytest.mark.parametrize(("drivers", "times", "said"), TEXTS.values(), ids=TEXTS.keys())
def test_a_driver_is_to_blame_if_its_own_memory_was_the_reason_mostly(
    drivers: tuple[DriverPod, ...], times: int, said: bool
) -> None:
    assert (eviction_text(observed(drivers=drivers), times) is not None) == said


def ended(view: Observed, limit: int) -> Outcome:
    settings = ControllerSettings(AllocationSettings(1), (4, 3, 0), max_driver_restarts=limit)
    story = Story(Desired(REFERENCE, settings))
    plans = [story.look(view, after=seconds) for seconds in (0, 10, 1, 30)]
    return next(action.outcome for plan in plans for action in acts(plan) if hasattr(action, "outcome"))


def test_a_driver_that_is_evicted_again_and_again_for_its_memory_ends_with_a_verdict_that_says_so() -> None:
    drivers = (evicted(1), evicted(2), evicted(3))
    outcome = ended(observed(drivers=drivers), limit=2)
    assert outcome.verdict is Verdict.DRIVER_OUT_OF_MEMORY
    assert outcome.message == (
        "the driver was evicted for its own memory, 3 of the 3 times that it was taken away: its node ran "
        "short of memory, and driver pod d-3 used more than it requests (was using 1536Mi, requests 1Gi); "
        "give it more with spark.driver.memoryOverhead or spark.driver.memory, or have the driver template "
        "request what it uses; max_driver_restarts is 2"
    )


def test_a_driver_that_must_not_be_started_again_says_so_the_first_time() -> None:
    given_up = replace(job(JobPhase.FAILED), reason="PodFailurePolicy")
    outcome = ended(observed(drivers=(evicted(1),), job=given_up), limit=0)
    assert outcome.verdict is Verdict.DRIVER_OUT_OF_MEMORY
    assert "the driver was evicted for its own memory: its node ran short" in outcome.message


def test_a_driver_that_is_evicted_for_others_is_lost() -> None:
    assert (
        ended(observed(drivers=(evicted(1, None), evicted(2, None))), limit=1).verdict is Verdict.DRIVER_LOST
    )
