from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_spark_k8s.core.actions import CreateExecutor, ListPods, ReadEvents, RecordOutcome, Trouble
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.history import EndedExecutor, History
from airflow_spark_k8s.core.object_events import Account
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.pod_state import EndKind, Pending
from airflow_spark_k8s.core.reconcile import Plan
from airflow_spark_k8s.core.snapshot import Observed
from airflow_spark_k8s.exceptions import (
    ApplicationTimedOut,
    DriverMisconfigured,
    DriverRefused,
    DriverStartFailed,
    ExecutorStartFailed,
    ImagePullFailed,
    QuotaExceeded,
    QuotaUsedUp,
    Unschedulable,
)
from tests.fakes.scenes import (
    START,
    Story,
    acts,
    desired,
    driver,
    executor,
    failed,
    job,
    observed,
    says,
    spark,
)
from tests.unit.core.test_object_events import NO_NODE, NO_SECRET, account, kubelet
from tests.unit.core.test_refusal import QUOTA, RIGHT, TIMEOUT

AT = "2026-11-30T10:00:00Z"
SILENT = Pending("ContainerCreating", "")
NO_ROOM = account(kubelet("FailedCreate", f'Error creating: pods "app-r0-x" is forbidden: {QUOTA}', AT))
DENIED = account(
    kubelet("FailedCreate", 'Error creating: admission webhook "w" denied the request: unsigned', AT)
)
AWAY = account(kubelet("FailedCreate", f"Error creating: {TIMEOUT}", AT))
NOT_MOUNTED = account(kubelet("FailedMount", NO_SECRET, AT))
MARKED = driver(marks=IdMarks(3, 3, "x"))


def pending(state: Pending, **fields: Any) -> Observed:
    """A driver that has not started."""
    return observed(drivers=(driver(state, ip="", **fields),))


class Cluster:
    """A view that stays as it is; whoever reads events gets those in `accounts`."""

    def __init__(self, view: Observed, accounts: dict[str, Account], story: Story | None = None) -> None:
        self.view, self.accounts = view, accounts
        self.story = story or Story()
        self.plans: list[Plan] = []
        self.reads: list[tuple[float, ReadEvents]] = []

    def look(self) -> Plan:
        plan = self.story.look(self.view)
        self.plans.append(plan)
        for action in acts(plan):
            if isinstance(action, ReadEvents):
                now = self.story.now
                self.reads.append((now - START, action))
                events = self.accounts.get(action.uid, Account(0)).events
                known = {**self.view.accounts, action.uid: Account(now, now, events)}
                self.view = replace(self.view, accounts=known)
        return plan

    def until(self, seconds: float) -> Cluster:
        """Look whenever a plan says so, until the time is up or something is decided."""
        while self.outcome is None:
            plan = self.look()
            due = plan.requeue_after_seconds
            if any(isinstance(action, ReadEvents) for action in plan.actions):
                due = 0.0
            if due is None or self.story.now + due > START + seconds:
                self.story.now = START + seconds
                self.look()
                break
            self.story.now += due
        return self

    @property
    def outcome(self) -> Outcome | None:
        return self.story.state.outcome

    @property
    def lines(self) -> list[str]:
        return [line for plan in self.plans for line in says(plan)]


STARTS: dict[str, tuple[Observed, dict[str, Account], float, type[Exception]]] = {
    "the image is never pulled": (pending(Pending("ErrImageNeverPull", "x")), {}, 10, ImagePullFailed),
    "the image is bad": (pending(Pending("InvalidImageName")), {}, 10, ImagePullFailed),
    "the image does not come": (pending(Pending("ErrImagePull", "no such host")), {}, 300, ImagePullFailed),
    "the image's signature is not accepted": (
        pending(Pending("SignatureValidationFailed", "image pull failed for x because the signature")),
        {},
        300,
        ImagePullFailed,
    ),
    "a ConfigMap is missing": (
        pending(Pending("CreateContainerConfigError", 'configmap "nope" not found')),
        {},
        60,
        DriverMisconfigured,
    ),
    "a Secret of a volume is missing": (pending(SILENT), {"uid-d-1": NOT_MOUNTED}, 120, DriverMisconfigured),
    "the container cannot be made": (pending(Pending("RunContainerError", "x")), {}, 120, DriverStartFailed),
    "a webhook refuses the driver": (observed(drivers=()), {"uid-of-job": DENIED}, 80, DriverRefused),
    "a webhook refuses the next driver": (
        observed(drivers=(driver(failed(EndKind.DISRUPTED)),)),
        {"uid-of-job": DENIED},
        80,
        DriverRefused,
    ),
    "the executors' image does not come": (
        observed(executor(1, Pending("ErrImagePull", "no")), drivers=(MARKED,)),
        {},
        300,
        ExecutorStartFailed,
    ),
    "the executors' images do not come, each for its reason": (
        observed(
            executor(1, Pending("ErrImagePull", "no")),
            executor(2, Pending("InvalidImageName", "no")),
            drivers=(MARKED,),
        ),
        {},
        300,
        ExecutorStartFailed,
    ),
}


@pytest.mark.parametrize(("view", "accounts", "seconds", "error"), STARTS.values(), ids=STARTS.keys())
def test_what_is_hopeless_ends_the_application(
    view: Observed, accounts: dict[str, Account], seconds: float, error: type[Exception]
) -> None:
    assert Cluster(view, accounts).until(seconds - 1).outcome is None
    cluster = Cluster(view, accounts).until(seconds + 1)
    assert cluster.outcome is not None
    assert type(cluster.outcome.error()) is error
    stops = [action for plan in cluster.plans for action in plan.actions if isinstance(action, RecordOutcome)]
    assert {action.stop for action in stops} == {True}


WAITING: dict[str, tuple[Observed, dict[str, Account], str]] = {
    "no node for the driver": (
        pending(Pending("Unschedulable", NO_NODE), node=None, requests="cpu 1, memory 1408Mi"),
        {},
        f"driver pod d-1 is pending: Unschedulable: {NO_NODE}; it requests cpu 1, memory 1408Mi",
    ),
    "no room for the driver": (
        observed(drivers=()),
        {"uid-of-job": NO_ROOM},
        f"Job app-r0 has no driver pod: no room in the quota: {QUOTA}",
    ),
    "a webhook that is away": (
        observed(drivers=()),
        {"uid-of-job": AWAY},
        f"Job app-r0 has no driver pod: an admission webhook does not answer: {TIMEOUT}",
    ),
    "a Job of which no event tells": (observed(drivers=()), {}, "Job app-r0 has no driver pod yet"),
    "a network": (
        pending(SILENT),
        {"uid-d-1": account(kubelet("FailedCreatePodSandBox", "no addresses left", AT))},
        "driver pod d-1 is pending on node-1: FailedCreatePodSandBox: no addresses left",
    ),
    "no node for an executor": (
        observed(
            executor(1),
            executor(2, Pending("Unschedulable", NO_NODE), requests="cpu 2"),
            executor(3, Pending("Unschedulable", NO_NODE), requests="cpu 2"),
            drivers=(MARKED,),
        ),
        {},
        f"executors wait: Unschedulable: {NO_NODE}; it requests cpu 2 (2 of them)",
    ),
    "a Secret of the executors": (
        observed(executor(1, SILENT), executor(2, SILENT), drivers=(MARKED,)),
        {"uid-d-1-exec-1": NOT_MOUNTED},
        f"executors wait: FailedMount: {NO_SECRET} (executor 1; 2 are being started)",
    ),
    "images of some executors": (
        observed(executor(1), executor(2, Pending("ErrImagePull", "no")), drivers=(MARKED,)),
        {},
        "executors wait: ErrImagePull: no (1 of them)",
    ),
    "images of some executors, and no node for others": (
        observed(
            executor(1, Pending("Unschedulable", NO_NODE)),
            executor(2, Pending("ErrImagePull", "no")),
            drivers=(MARKED,),
        ),
        {},
        "executors wait: ErrImagePull: no (1 of them)",
    ),
}


@pytest.mark.parametrize(("view", "accounts", "line"), WAITING.values(), ids=WAITING.keys())
def test_what_may_pass_is_said_within_a_minute_and_waits(
    view: Observed, accounts: dict[str, Account], line: str
) -> None:
    cluster = Cluster(view, accounts).until(60)
    assert line in cluster.lines
    assert cluster.until(7200).outcome is None
    assert cluster.lines.count(line) == 1


def test_events_are_read_seldom_and_by_uid() -> None:
    cluster = Cluster(pending(SILENT), {}).until(1500)
    assert [seconds for seconds, _ in cluster.reads] == [15, 30, 60, 120, 240, 480, 780, 1080, 1380]
    assert {action for _, action in cluster.reads} == {ReadEvents("d-1", "Pod", "uid-d-1")}


def test_of_many_executors_that_wait_for_the_same_one_is_asked_about() -> None:
    waiting = [executor(number, SILENT) for number in (1, 2)]
    waiting += [executor(number, Pending("Unschedulable", NO_NODE)) for number in (3, 4)]
    cluster = Cluster(observed(*waiting, drivers=(MARKED,)), {}).until(25)
    assert [(seconds, action.name) for seconds, action in cluster.reads] == [
        (15, "d-1-exec-1"),
        (20, "d-1-exec-3"),
    ]


def test_a_registry_that_the_status_does_not_quote_is_asked_about_in_the_events() -> None:
    cluster = Cluster(pending(Pending("ImagePullBackOff", 'Back-off pulling image "a"')), {}).until(6)
    assert [seconds for seconds, _ in cluster.reads] == [5]


def test_without_the_right_to_read_events_that_is_said_once_and_hardly_asked() -> None:
    view = replace(
        pending(SILENT), events_refused='events is forbidden: User "x" cannot list resource "events"'
    )
    cluster = Cluster(view, {}).until(7200)
    assert [seconds for seconds, _ in cluster.reads] == [15, *range(315, 7200, 300)]
    assert [line for line in cluster.lines if "cannot list" in line] == [
        f"why pods wait is known only from their status: {view.events_refused}"
    ]


def test_the_wait_for_an_image_goes_on_whatever_the_reason_is_called() -> None:
    cluster = Cluster(pending(Pending("ErrImagePull", "no such host")), {}).until(200)
    cluster.view = pending(Pending("ImagePullBackOff", "Back-off"))
    outcome = cluster.until(301).outcome
    assert outcome is not None
    assert "Back-off" in outcome.message


def test_events_that_were_read_long_ago_are_no_verdict() -> None:
    known = {"uid-d-1": replace(NOT_MOUNTED, asked_at=START + 20, read_at=START + 20)}
    story = Story()
    story.look(pending(SILENT))
    plan = story.look(replace(pending(SILENT), accounts=known), after=500)
    assert story.state.outcome is None
    assert ReadEvents("d-1", "Pod", "uid-d-1") in plan.actions
    denied = {"uid-of-job": replace(DENIED, asked_at=START + 20, read_at=START + 20)}
    story = Story()
    for seconds in (0, 20, 500):
        story.look(replace(observed(drivers=()), accounts=denied), after=seconds)
    assert story.state.outcome is None


def test_a_driver_that_has_started_since_is_not_judged_by_its_events() -> None:
    known = {"uid-d-1": replace(NOT_MOUNTED, asked_at=START + 130, read_at=START + 130)}
    story = Story()
    story.look(pending(SILENT))
    story.look(replace(observed(), accounts=known), after=200)
    assert story.state.outcome is None


def _refused(text: str) -> Story:
    """A controller whose executors the server does not create."""
    story = Story(desired(target=1))
    story.fails = lambda action: Trouble.REFUSED if isinstance(action, CreateExecutor) else Trouble.NONE
    story.words = text
    return story


def _asking(story: Story, seconds: int) -> None:
    """The controller marks its ids and asks for executors for so many seconds."""
    if story.state.claim is None:
        story.look(observed())
    for _ in range(seconds):
        holder = story.state.claim.holder if story.state.claim else "me-1"
        view = observed(drivers=(driver(marks=IdMarks(1, 0, holder)),))
        story.look(view, after=1)


def test_executors_that_are_refused_for_good_end_the_application() -> None:
    story = _refused(RIGHT)
    _asking(story, 60)
    assert story.state.outcome is None
    _asking(story, 30)
    outcome = story.state.outcome
    assert outcome is not None
    assert isinstance(outcome.error(), ExecutorStartFailed)
    assert RIGHT in outcome.message


def test_executors_that_were_refused_once_and_not_asked_for_since_may_be_created_by_now() -> None:
    # Simulation, seed 35592: the right was back, and another trigger had taken over in the meantime.
    story = _refused(RIGHT)
    _asking(story, 20)
    others = observed(drivers=(driver(marks=IdMarks(1, 0, "somebody-else-1")),))
    for _ in range(12):
        story.look(others, after=10)
    assert story.state.outcome is None


def test_nothing_is_hopeless_before_the_pods_are_listed() -> None:
    story = Story()
    story.fails = lambda action: Trouble.UNCERTAIN if isinstance(action, ListPods) else Trouble.NONE
    hopeless = pending(Pending("CreateContainerConfigError", 'secret "late" not found'))
    story.look(hopeless)
    for _ in range(5):
        assert ListPods() in acts(story.look(hopeless, after=100))
    story.fails = lambda action: Trouble.NONE
    story.look(hopeless, after=100)
    story.look(hopeless)
    assert story.state.outcome is not None
    assert isinstance(story.state.outcome.error(), DriverMisconfigured)


def test_executors_without_room_in_the_quota_wait() -> None:
    story = _refused(f'pods "d-1-exec-1" is forbidden: {QUOTA}')
    _asking(story, 600)
    assert story.state.outcome is None


OVERDUE: dict[str, tuple[Observed, dict[str, Account], type[Exception], str]] = {
    "the driver had no node": (
        pending(Pending("Unschedulable", NO_NODE), node=None),
        {},
        Unschedulable,
        f"driver pod d-1 has not started: Unschedulable: {NO_NODE}",
    ),
    "the driver had no room": (
        observed(drivers=()),
        {"uid-of-job": NO_ROOM},
        QuotaUsedUp,
        f"the driver has no pod: FailedCreate: no room in the quota: {QUOTA}",
    ),
    "the executors had no node": (
        observed(executor(1, Pending("Unschedulable", NO_NODE)), drivers=(MARKED,)),
        {},
        Unschedulable,
        f"no executor has started: Unschedulable: {NO_NODE}",
    ),
    "some executors had no node": (
        observed(executor(1), executor(2, Pending("Unschedulable", NO_NODE)), drivers=(MARKED,)),
        {},
        ApplicationTimedOut,
        "execution_timeout passed",
    ),
    "executors had run": (
        observed(
            executor(2, Pending("Unschedulable", NO_NODE)),
            drivers=(
                driver(
                    marks=IdMarks(3, 3, "x"),
                    history=History(entries={1: EndedExecutor(1, "failed", "exit code 1", START)}),
                ),
            ),
            spark=spark(),
        ),
        {},
        ApplicationTimedOut,
        "execution_timeout passed",
    ),
    "nobody said why the driver does not start": (
        pending(SILENT),
        {},
        ApplicationTimedOut,
        "execution_timeout passed",
    ),
    "it had started": (observed(), {}, ApplicationTimedOut, "execution_timeout passed"),
}


@pytest.mark.parametrize(("view", "accounts", "error", "text"), OVERDUE.values(), ids=OVERDUE.keys())
def test_a_task_whose_time_is_up_says_what_it_waited_for(
    view: Observed, accounts: dict[str, Account], error: type[Exception], text: str
) -> None:
    cluster = Cluster(view, accounts, Story(desired(deadline=START + 100))).until(101)
    assert cluster.outcome is not None
    assert cluster.outcome.verdict is Verdict.TIMED_OUT
    assert type(cluster.outcome.error()) is error
    assert text in cluster.outcome.message


def test_a_quota_that_never_had_room_is_caught_as_a_quota() -> None:
    outcome = Outcome(Verdict.TIMED_OUT, "no room", "n", "a", "a-r0", cause="quota")
    error = outcome.error()
    assert isinstance(error, QuotaUsedUp)
    assert isinstance(error, QuotaExceeded)
    assert error.summary["cause"] == "quota"
    assert str(error) == "no room"


def test_a_job_that_is_not_active_needs_no_pod() -> None:
    cluster = Cluster(observed(drivers=(), job=replace(job(), deleting=True)), {})
    cluster.look()
    assert cluster.reads == []


def test_a_registry_that_is_away_and_a_pause_before_it_is_asked_again_are_one_wait() -> None:
    story, reasons = Story(), ("RegistryUnavailable", "ImagePullBackOff")
    plans = [story.look(pending(Pending(reasons[n % 2], "no answer")), after=60) for n in range(8)]
    outcomes = [
        action.outcome for plan in plans for action in acts(plan) if isinstance(action, RecordOutcome)
    ]
    assert outcomes
    assert outcomes[0].verdict is Verdict.DRIVER_START_FAILED
    assert outcomes[0].cause == "image"


def test_a_job_without_a_pod_is_told_of_whatever_else_is_said_of_it() -> None:
    audited = kubelet("PolicyViolation", "policy require-labels/check fail: no team", "2026-11-30T10:00:09Z")
    other = kubelet("SomethingElse", "a controller of somebody", "2026-11-30T10:00:10Z")
    account_of_job = Account(0, 0, (*NO_ROOM.events, *account(audited, other).events))
    cluster = Cluster(observed(drivers=()), {job().uid: account_of_job}).until(30)
    assert [line for line in cluster.lines if "has no driver pod: no room in the quota" in line]
