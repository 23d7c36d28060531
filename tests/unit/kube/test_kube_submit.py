from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.job_state import outcome_annotation
from airflow_spark_k8s.core.labels import LABEL_TI_ID, LABEL_TRY
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import Identity
from airflow_spark_k8s.exceptions import (
    ClusterUnreachable,
    Conflict,
    Forbidden,
    InvalidConfiguration,
    NotFound,
    TooManyRequests,
)
from airflow_spark_k8s.kube.submit import Submitted, retain, submit
from airflow_spark_k8s.templates.context import TTL_SECONDS
from tests.unit.kube.applications import JOBS, PODS, identity_of, manifests_of, running_pod
from tests.unit.kube.fake_api import Died, FakeApi


class Clock:
    """A clock that only sleeps move, and that at once; `each` runs with every sleep, as the world goes on."""

    def __init__(self, each: Callable[[], None] = lambda: None) -> None:
        self.seconds: list[float] = []
        self._each = each

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return sum(self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._each()

    def jitter(self) -> float:
        return 0.0


async def submitted(
    api: FakeApi, identity: Identity, clock: Clock | None = None, *, spec_hash: str = "hash-1"
) -> Submitted:
    manifests = manifests_of(identity, spec_hash=spec_hash)
    return await submit_patiently(api, manifests, identity, clock=clock or Clock(), report=print)


def job_path(identity: Identity) -> str:
    return f"{JOBS}/{identity.job_name()}"


def running(api: FakeApi) -> list[str]:
    return [
        name
        for name, job in api.of_kind("jobs").items()
        if not job["spec"]["suspend"] and "conditions" not in job.get("status", {})
    ]


def assert_complete(api: FakeApi, identity: Identity, result: Submitted) -> None:
    """One driver runs, it is `identity`'s, and it has all it needs."""
    job = api.objects[job_path(identity)]
    assert running(api) == [identity.job_name()]
    assert result.reference.job_uid == job["metadata"]["uid"]
    assert result.reference.ti_id == job["metadata"]["labels"][LABEL_TI_ID] == identity.ti_id
    owned = {**api.of_kind("configmaps"), **api.of_kind("secrets")}
    assert sorted(owned) == [f"{identity.application}-{suffix}" for suffix in ("app", "conf", "files")]
    for obj in owned.values():
        assert [owner["uid"] for owner in obj["metadata"]["ownerReferences"]] == [job["metadata"]["uid"]]


def finish(job: dict[str, Any], condition: str = "Complete") -> None:
    job["status"] = {"conditions": [{"type": condition, "status": "True"}]}


async def test_a_job_is_created_suspended_and_resumed_when_it_has_all_it_needs() -> None:
    api, identity = FakeApi(), identity_of()
    result = await submitted(api, identity)
    assert result.how == "created"
    assert result.reference.application == identity.application
    assert_complete(api, identity, result)
    changes = [call for call in api.calls if not call.startswith("GET")]
    job = identity.job_name()
    assert changes == ["POST jobs", "POST configmaps", "POST configmaps", "POST secrets", f"PATCH jobs/{job}"]


STEPS = range(1, 8)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_submission_that_died_at_a_call_is_completed_by_the_next(step: int, when: str) -> None:
    api, identity = FakeApi(), identity_of()
    _die_at(api, step, when)
    with pytest.raises(Died):
        await submitted(api, identity)
    _live(api)
    result = await submitted(api, identity)
    assert result.how in ("created", "adopted")
    assert_complete(api, identity, result)


@pytest.mark.parametrize("step", STEPS)
async def test_a_submission_that_died_at_a_call_is_taken_over_or_replaced_by_the_next_try(step: int) -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    _die_at(api, step, "after")
    with pytest.raises(Died):
        await submitted(api, first)
    _live(api)
    result = await submitted(api, second)
    # Only the resumed Job of the first try is worth keeping.
    survivor = first if result.how == "adopted from try 1" else second
    assert (survivor is first) == (step == STEPS[-1])
    assert running(api) == [survivor.job_name()]
    job = api.objects[job_path(survivor)]
    assert job["metadata"]["labels"][LABEL_TI_ID] == "ti-2"
    assert result.reference.job_uid == job["metadata"]["uid"]
    assert result.reference.ti_id == "ti-2"


@pytest.mark.parametrize("step", STEPS)
async def test_an_answer_that_is_lost_at_a_call_is_made_good(step: int) -> None:
    api, identity, clock = FakeApi(), identity_of(), Clock()
    counted = iter(range(1, 1000))

    def lose(_method: str, _path: str, _body: Any) -> None:
        if next(counted) == step:
            raise ClusterUnreachable("the answer is lost")

    api.after = lose
    result = await submitted(api, identity, clock)
    assert result.how == ("created" if step < 3 else "adopted")
    assert clock.seconds == [1.0]
    assert_complete(api, identity, result)


async def test_a_server_that_stays_away_is_an_error_when_patience_is_used_up() -> None:
    api, clock = FakeApi(), Clock()

    def away(_method: str, _path: str, _body: Any) -> None:
        raise ClusterUnreachable("away")

    api.before = away
    with pytest.raises(ClusterUnreachable, match="away"):
        await submitted(api, identity_of(), clock)
    assert 110 < sum(clock.seconds) <= 120


async def test_a_throttling_server_is_asked_again_when_it_said() -> None:
    api, clock = FakeApi(), Clock()
    throttled = iter([True])

    def throttle(_method: str, _path: str, _body: Any) -> None:
        if next(throttled, False):
            raise TooManyRequests("slow", retry_after_seconds=9.0)

    api.before = throttle
    await submitted(api, identity_of(), clock)
    assert clock.seconds == [9.0]


@pytest.mark.parametrize("state", ["Complete", "Failed", "running"])
async def test_the_own_job_is_adopted_in_whatever_state(state: str) -> None:
    api, identity = FakeApi(), identity_of()
    first = await submitted(api, identity)
    if state != "running":
        finish(api.objects[job_path(identity)], state)
    api.calls.clear()
    second = await submitted(api, identity)
    assert second == Submitted(first.reference, "adopted")
    assert all(call.startswith("GET") for call in api.calls)


async def test_a_job_taken_over_from_an_earlier_try_is_found_again() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, first)
    taken = await submitted(api, second)
    again = await submitted(api, second)
    assert taken.how == "adopted from try 1"
    assert again == Submitted(taken.reference, "adopted")
    assert taken.reference.application == first.application
    assert running(api) == [first.job_name()]


async def test_an_earlier_try_with_the_same_specification_goes_on_under_the_new_try() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    before = await submitted(api, first)
    api.put(f"{PODS}/driver", running_pod(first, before.reference.job_uid))
    clock = Clock()
    after = await submitted(api, second, clock)
    assert after.reference.job_uid == before.reference.job_uid
    assert clock.seconds == []
    labels = api.objects[job_path(first)]["metadata"]["labels"]
    assert (labels[LABEL_TI_ID], labels[LABEL_TRY]) == ("ti-2", "2")
    assert "driver" in api.of_kind("pods")


async def test_a_job_that_is_taken_over_gets_the_new_trys_time_as_well() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    for identity in (first, second):
        manifests = manifests_of(identity)
        manifests.job["spec"]["activeDeadlineSeconds"] = 900
        await submit(api, manifests, identity)
    assert api.objects[job_path(first)]["spec"]["activeDeadlineSeconds"] == 1800


def verdict_on(job: dict[str, Any], verdict: Verdict) -> None:
    name = job["metadata"]["name"]
    outcome = Outcome(verdict=verdict, message="m", namespace="spark", application="a", job_name=name)
    job["metadata"]["annotations"] |= outcome_annotation(outcome)


async def ended(
    condition: str = "Complete", verdict: Verdict | None = None, seconds: int = TTL_SECONDS
) -> tuple[FakeApi, Submitted]:
    """A cluster with the first try's application, which has ended; `seconds` is how long its Job stays."""
    api, first = FakeApi(), identity_of(1)
    before = await submitted(api, first)
    job = api.objects[job_path(first)]
    job["spec"] |= {"ttlSecondsAfterFinished": seconds, "activeDeadlineSeconds": 900}
    finish(job, condition)
    if verdict is not None:
        verdict_on(job, verdict)
    return api, before


async def retried(api: FakeApi, *, retry: bool = True, spec_hash: str = "hash-1") -> Submitted:
    manifests = manifests_of(identity_of(2), spec_hash=spec_hash)
    manifests.job["spec"]["activeDeadlineSeconds"] = 900
    return await submit(api, manifests, identity_of(2), retry=retry)


@pytest.mark.parametrize("verdict", [None, Verdict.SUCCEEDED], ids=["nobody has seen it", "it is recorded"])
async def test_a_success_that_no_worker_has_read_is_the_retrys(verdict: Verdict | None) -> None:
    api, before = await ended(verdict=verdict)
    after = await retried(api)
    assert after.how == "adopted from try 1"
    assert after.reference.job_uid == before.reference.job_uid
    assert len(api.of_kind("jobs")) == 1
    job = api.objects[job_path(identity_of(1))]
    assert job["metadata"]["labels"][LABEL_TI_ID] == "ti-2"
    assert job["spec"]["activeDeadlineSeconds"] == 900


async def test_whoever_clears_a_task_gets_another_run() -> None:
    api, _ = await ended(verdict=Verdict.SUCCEEDED)
    assert (await retried(api, retry=False)).how == "created"


async def test_a_success_of_another_specification_is_no_success_of_the_retry() -> None:
    api, _ = await ended(verdict=Verdict.SUCCEEDED)
    assert (await retried(api, spec_hash="hash-2")).how == "created"


async def test_a_success_that_a_worker_has_read_does_not_end_another_try() -> None:
    api, _ = await ended(verdict=Verdict.SUCCEEDED, seconds=600)
    assert (await retried(api)).how == "created"


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [("Failed", Verdict.DRIVER_FAILED), ("Complete", Verdict.DRIVER_LOST)],
)
async def test_a_failure_that_nobody_has_read_is_not_the_retrys(condition: str, verdict: Verdict) -> None:
    api, _ = await ended(condition, verdict)
    assert (await retried(api)).how == "created"


async def test_an_earlier_try_with_another_specification_is_removed_and_its_pods_are_waited_for() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    before = await submitted(api, first)
    driver = running_pod(first, None)
    driver["metadata"]["ownerReferences"] = [{"uid": "somebody", "kind": "Job", "name": "x"}]
    api.put(f"{PODS}/driver", driver)
    alive_at_creation: list[bool] = []
    api.before = lambda method, path, body: (
        alive_at_creation.append("driver" in api.of_kind("pods"))
        if (method, path) == ("POST", JOBS)
        else None
    )
    ticks = iter(range(100))

    def world() -> None:
        if next(ticks) == 3:
            api.drop(f"{PODS}/driver")

    clock = Clock(world)
    result = await submitted(api, second, clock, spec_hash="hash-2")
    assert result.how == "created"
    assert result.reference.job_uid != before.reference.job_uid
    assert alive_at_creation == [False]
    assert clock.seconds == [1.0, 2.0, 4.0, 8.0]
    assert_complete(api, second, result)


async def test_pods_that_do_not_end_are_an_error_that_names_them_and_nothing_is_created() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    stuck = running_pod(first, "gone", "stuck")
    api.put(f"{PODS}/stuck", stuck)
    clock = Clock()
    with pytest.raises(Conflict, match="have not ended yet: stuck"):
        await submitted(api, second, clock)
    assert 110 < sum(clock.seconds) <= 120
    assert api.of_kind("jobs") == {}


async def test_a_pod_that_was_orphaned_by_an_earlier_try_is_removed() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    api.put(f"{PODS}/orphan", running_pod(first, None, "orphan"))
    result = await submitted(api, second)
    assert "orphan" not in api.of_kind("pods")
    assert_complete(api, second, result)


async def test_pods_that_have_ended_are_not_waited_for() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    ended = running_pod(first, "gone")
    ended["status"]["phase"] = "Failed"
    api.put(f"{PODS}/ended", ended)
    clock = Clock()
    await submitted(api, second, clock)
    assert clock.seconds == []


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda job: job["spec"].update(suspend=True), id="never resumed"),
        pytest.param(lambda job: job["spec"].update(activeDeadlineSeconds=1), id="ended by its trigger"),
        pytest.param(
            lambda job: job.update(
                status={
                    "conditions": [{"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded"}]
                }
            ),
            id="about to fail",
        ),
    ],
)
async def test_an_earlier_try_that_comes_to_nothing_is_replaced(
    spoil: Callable[[dict[str, Any]], None],
) -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, first)
    spoil(api.objects[job_path(first)])
    result = await submitted(api, second)
    assert result.how == "created"
    assert_complete(api, second, result)


async def test_of_several_earlier_tries_the_latest_is_taken_over_and_the_others_removed() -> None:
    api = FakeApi()
    for number in (1, 2):
        identity = identity_of(number)
        await submitted(api, identity, spec_hash=f"only-{number}")
        api.objects[job_path(identity)]["metadata"]["annotations"]["airflow-spark-k8s/spec-hash"] = "hash-1"
        # Hidden from the second submission, as from a server that was slow to tell.
        api.objects[job_path(identity)]["metadata"]["labels"]["airflow-spark-k8s/task-instance"] += "-hidden"
    for job in api.of_kind("jobs").values():
        labels = job["metadata"]["labels"]
        labels["airflow-spark-k8s/task-instance"] = labels["airflow-spark-k8s/task-instance"].removesuffix(
            "-hidden"
        )
    result = await submitted(api, identity_of(3))
    assert result.how == "adopted from try 2"
    assert list(api.of_kind("jobs")) == [identity_of(2).job_name()]


async def test_a_submission_that_comes_after_a_later_try_does_nothing() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, second)
    before = dict(api.objects)
    with pytest.raises(InvalidConfiguration, match="try 2 of this task is at work"):
        await submitted(api, first)
    assert api.objects == before


async def test_a_name_taken_by_somebody_elses_running_job_is_a_clear_error() -> None:
    api = FakeApi()
    await submitted(api, identity_of(ti_id="theirs"))
    with pytest.raises(InvalidConfiguration, match=r"deployment_id='prod'.*another task instance \(theirs\)"):
        await submitted(api, identity_of(ti_id="ours"))
    assert running(api) == [identity_of().job_name()]


async def test_a_name_taken_by_somebody_elses_finished_job_is_freed() -> None:
    api = FakeApi()
    await submitted(api, identity_of(ti_id="theirs"))
    finish(api.objects[job_path(identity_of())])
    ours = identity_of(ti_id="ours")
    result = await submitted(api, ours)
    assert result.how == "created"
    assert_complete(api, ours, result)


async def test_the_own_job_on_its_way_out_is_waited_for() -> None:
    api, identity = FakeApi(), identity_of()
    before = await submitted(api, identity)
    api.objects[job_path(identity)]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    clock = Clock(lambda: api.drop(job_path(identity)))
    result = await submitted(api, identity, clock)
    assert result.how == "created"
    assert result.reference.job_uid != before.reference.job_uid
    assert clock.seconds == [1.0]
    assert_complete(api, identity, result)


async def test_what_a_job_of_the_same_name_left_behind_is_replaced() -> None:
    api, identity = FakeApi(), identity_of()
    path = f"/api/v1/namespaces/spark/secrets/{identity.application}-conf"
    api.put(path, {"metadata": {"ownerReferences": [{"uid": "gone"}]}, "data": {"auth": "b2xk"}})
    result = await submitted(api, identity)
    assert api.objects[path]["data"] == {"auth": "eA=="}
    assert_complete(api, identity, result)


async def test_a_job_that_may_not_be_completed_does_not_stay() -> None:
    api = FakeApi()

    def forbid(method: str, path: str, _body: Any) -> None:
        if method == "POST" and path.endswith("/secrets"):
            raise Forbidden("secrets is forbidden", status=403)

    api.before = forbid
    with pytest.raises(Forbidden):
        await submitted(api, identity_of())
    assert api.objects == {}


@pytest.mark.parametrize("kind", ["jobs", "configmaps", "secrets"])
async def test_a_creation_that_collides_with_others_on_a_quota_is_tried_again(kind: str) -> None:
    api, identity, clock = FakeApi(), identity_of(), Clock()
    collisions = iter(range(2))

    def collide(method: str, path: str, _body: Any) -> None:
        if method == "POST" and path.endswith(f"/{kind}") and next(collisions, None) is not None:
            message = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified'
            raise Conflict(message, status=409, reason="Conflict")

    api.before = collide
    result = await submitted(api, identity, clock)
    assert clock.seconds == [1.0, 2.0]
    assert [call for call in api.calls if call.startswith("DELETE")] == []
    assert_complete(api, identity, result)


async def test_a_job_that_is_killed_while_it_is_submitted_stays_dead() -> None:
    api, identity = FakeApi(), identity_of()

    def kill(method: str, path: str, _body: Any) -> None:
        if method == "POST" and path.endswith("/secrets"):
            api.drop(job_path(identity))

    api.before = kill
    with pytest.raises(NotFound):
        await submitted(api, identity)
    assert api.of_kind("jobs") == {}


async def test_two_tries_at_once_end_with_one_driver() -> None:
    api, first, second, third = FakeApi(), identity_of(1), identity_of(2), identity_of(3)
    await submitted(api, first)
    raced: list[Submitted] = []
    entered = iter([True])

    def race(method: str, _path: str, body: Any) -> None:
        # The Job changes between being read and being taken over, as when somebody else takes it.
        if (
            method == "PATCH"
            and "resourceVersion" in (body or {}).get("metadata", {})
            and next(entered, False)
        ):
            job = api.objects[job_path(first)]
            job["metadata"]["labels"].update({LABEL_TI_ID: second.ti_id, LABEL_TRY: "2"})
            api.put(job_path(first), job)

    api.before = race
    raced.append(await submitted(api, third))
    assert raced[0].how == "adopted from try 2"
    assert running(api) == [first.job_name()]
    assert api.objects[job_path(first)]["metadata"]["labels"][LABEL_TI_ID] == third.ti_id


async def test_retention_sets_how_long_the_job_stays() -> None:
    api, identity = FakeApi(), identity_of()
    reference = (await submitted(api, identity)).reference
    await retain(api, reference, 600)
    assert api.objects[job_path(identity)]["spec"]["ttlSecondsAfterFinished"] == 600


async def test_no_retention_removes_the_job_and_what_it_owns() -> None:
    api, identity = FakeApi(), identity_of()
    reference = (await submitted(api, identity)).reference
    await retain(api, reference, 0)
    assert api.objects == {}
    await retain(api, reference, 0)
    await retain(api, reference, 600)


@pytest.mark.parametrize("seconds", [0, 600])
async def test_retention_leaves_another_job_of_the_same_name_alone(seconds: int) -> None:
    api, identity = FakeApi(), identity_of()
    reference = (await submitted(api, identity)).reference
    api.drop(job_path(identity))
    await submitted(api, identity)
    await retain(api, reference, seconds)
    assert "ttlSecondsAfterFinished" not in api.objects[job_path(identity)]["spec"]


def _die_at(api: FakeApi, step: int, when: str) -> None:
    counted = iter(range(1, 1000))

    def die(_method: str, _path: str, _body: Any) -> None:
        if next(counted) == step:
            raise Died

    setattr(api, when, die)


def _live(api: FakeApi) -> None:
    def nothing(_method: str, _path: str, _body: Any) -> None:
        pass

    api.before = api.after = nothing


# Jobs that continue others.


def follow(api: FakeApi, identity: Identity, *, in_the_making: bool = False) -> dict[str, Any]:
    """The Job that continues that of `identity`, which has failed."""
    first = api.objects[job_path(identity)]
    finish(first, "Failed")
    metadata = copy.deepcopy(first["metadata"])
    metadata |= {"name": identity.job_name(1), "uid": "uid-r1"}
    metadata["annotations"]["airflow-spark-k8s/earlier-jobs"] = json.dumps([first["metadata"]["uid"]])
    if in_the_making:
        metadata["ownerReferences"] = [{"kind": "Job", "uid": first["metadata"]["uid"]}]
    spec = {**copy.deepcopy(first["spec"]), "suspend": in_the_making}
    return api.put(f"{JOBS}/{identity.job_name(1)}", {"metadata": metadata, "spec": spec})


async def test_the_own_job_is_the_one_that_goes_on() -> None:
    api, identity = FakeApi(), identity_of()
    await submitted(api, identity)
    follow(api, identity)
    found = await submitted(api, identity)
    assert (found.how, found.reference.job_name) == ("adopted", identity.job_name(1))
    assert found.reference.application == identity.application


async def test_an_own_job_in_the_making_is_left_to_its_controller() -> None:
    api, identity = FakeApi(), identity_of()
    await submitted(api, identity)
    follow(api, identity, in_the_making=True)
    api.calls.clear()
    found = await submitted(api, identity)
    assert (found.how, found.reference.job_name) == ("adopted", identity.job_name())
    assert all(call.startswith("GET") for call in api.calls)


async def test_a_later_try_takes_over_the_job_that_goes_on_and_leaves_the_old_one_to_its_controller() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, first)
    follow(api, first)
    found = await submitted(api, second)
    assert (found.how, found.reference.job_name) == ("adopted from try 1", first.job_name(1))
    assert sorted(api.of_kind("jobs")) == [first.job_name(), first.job_name(1)]


async def test_a_later_try_removes_what_might_be_started_again_the_oldest_first() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, first)
    follow(api, first, in_the_making=True)
    result = await submitted(api, second)
    assert result.how == "created"
    assert list(api.of_kind("jobs")) == [second.job_name()]
    deletions = [call for call in api.calls if call.startswith("DELETE jobs")]
    assert deletions[0] == f"DELETE jobs/{first.job_name()}"
    assert_complete(api, second, result)


async def test_a_job_that_is_started_again_just_before_the_old_one_goes_is_found() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, first)
    finish(api.objects[job_path(first)], "Failed")
    entered = iter([True])

    def start(method: str, path: str, _body: Any) -> None:
        if method == "DELETE" and next(entered, False):
            follow(api, first)

    api.before = start
    result = await submitted(api, second)
    assert (result.how, result.reference.job_name) == ("adopted from try 1", first.job_name(1))


async def test_a_failed_job_with_a_verdict_stays() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, first)
    job = api.objects[job_path(first)]
    finish(job, "Failed")
    outcome = Outcome(Verdict.DRIVER_FAILED, "exit code 1", "spark", "app", "app-r0")
    job["metadata"]["annotations"] |= outcome_annotation(outcome)
    await submitted(api, second)
    assert sorted(api.of_kind("jobs")) == sorted([first.job_name(), second.job_name()])


async def test_a_submission_that_comes_after_a_later_try_leaves_its_failed_job_alone() -> None:
    api, first, second = FakeApi(), identity_of(1), identity_of(2)
    await submitted(api, second)
    finish(api.objects[job_path(second)], "Failed")
    with pytest.raises(InvalidConfiguration, match="try 2 of this task is at work"):
        await submitted(api, first)
