"""One controller from submission to outcome, on a simulated cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from airflow_spark_k8s.controller.loop import kill
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.progress import Progress
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    QuotaExceeded,
    ServerError,
    TooManyRequests,
)
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import DRIVER, EXECUTOR, status, terminated, waiting
from tests.fakes.spark import CONFIG_MAP, JOB, PODS, REFERENCE, Application
from tests.unit.controller.harness import EPOCH, control, in_virtual_time

OUT_OF_MEMORY = status("Failed", EXECUTOR, terminated(137, "OOMKilled"))
AT_ONCE = status("Failed", EXECUTOR, terminated(1, seconds=2))


@dataclass
class Run:
    """What one application came to."""

    application: Application
    outcome: Outcome
    lines: list[str]
    seconds: float
    steps: list[Progress] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


Mischief = Callable[[Application], Awaitable[None]]


async def _nothing(application: Application) -> None:
    pass


def _run(
    mischief: Mischief = _nothing,
    *,
    allocation: AllocationSettings | None = None,
    options: dict[str, Any] | None = None,
    **application_options: Any,
) -> Run:
    """One application under one controller, with `mischief` beside them."""

    async def main() -> Run:
        application = Application(
            FakeCluster(), allocation or AllocationSettings(target=3, batch_size=2), **application_options
        )
        application.submit()
        lines: list[str] = []
        steps: list[Progress] = []
        beside = asyncio.ensure_future(mischief(application))
        outcome = await control(application.cluster, lines, on_progress=steps.append, **(options or {}))
        seconds = asyncio.get_running_loop().time()
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        await application.stop()
        return Run(application, outcome, lines, seconds, steps)

    return in_virtual_time(main())


def test_executors_come_in_rounds_of_the_batch_size() -> None:
    run = _run(allocation=AllocationSettings(target=5, batch_size=2, batch_delay_seconds=3))
    assert run.outcome.verdict is Verdict.SUCCEEDED
    times = [at for at, _ in run.application.cluster.created]
    rounds = sorted(Counter(round(at) for at in times).items())
    assert [size for _, size in rounds] == [2, 2, 1]
    assert all(later - earlier >= 3 for (earlier, _), (later, _) in pairwise(rounds))


def test_the_summary_of_a_success_lists_every_executor() -> None:
    outcome = _run().outcome
    assert outcome.exit_code == 0
    assert outcome.application_id == outcome.driver_pod == "app-r0-1"
    assert outcome.spark_version == "4.3.0"
    assert outcome.executor_counts == {"succeeded": 3}
    assert [(row.executor_id, row.state, row.node) for row in outcome.executors] == [
        (1, "succeeded", "node-2"),
        (2, "succeeded", "node-2"),
        (3, "succeeded", "node-2"),
    ]
    assert Outcome.from_dict(outcome.as_dict()) == outcome


def test_progress_goes_from_waiting_to_registered() -> None:
    steps = _run().steps
    assert steps[0].driver_state == "waiting"
    assert max(step.requested for step in steps) == 2
    assert any(step.registered == 3 for step in steps)
    assert all(one != next_one for one, next_one in pairwise(steps))


def test_an_outcome_is_held_back_until_the_given_age() -> None:
    assert _run(options={"hold_seconds": 500}).seconds >= 500


def test_an_executor_out_of_memory_is_replaced_with_its_reason() -> None:
    run = _run(fates={2: OUT_OF_MEMORY})
    row = next(row for row in run.outcome.executors if row.executor_id == 2)
    assert (row.state, row.reason, row.exit_code) == ("failed", "OOMKilled, exit code 137", 137)
    assert run.outcome.executor_counts == {"failed": 1, "succeeded": 3}
    assert run.lines.count("executor 2 failed: OOMKilled, exit code 137") == 1
    assert f"{PODS}/app-r0-1-exec-2" not in run.application.cluster.objects


def test_executors_that_end_with_their_driver_are_not_replaced() -> None:
    async def stop_slowly(application: Application) -> None:
        await asyncio.sleep(25)
        application.rest_up = False
        await asyncio.sleep(1)
        for pod in application.executors():
            path = f"{PODS}/{pod['metadata']['name']}"
            application.cluster.put(path, {**pod, "status": status("Succeeded", EXECUTOR, terminated(0))})
        await asyncio.sleep(8)
        application.end_driver("app-r0-1", status("Succeeded", DRIVER, terminated(0)))

    run = _run(stop_slowly, exit_code=None)
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert len(run.application.ids_used) == 3
    assert len(run.application.executors()) == 3, "their logs are kept as long as the driver's"


def test_a_broken_executor_image_does_not_burn_pods() -> None:
    run = _run(
        allocation=AllocationSettings(target=2, batch_size=20),
        fates=dict.fromkeys(range(1, 1000), AT_ONCE),
        options={"deadline_epoch_seconds": EPOCH + 3600},
    )
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert 10 < len(run.application.ids_used) < 50


def test_an_executor_that_runs_but_does_not_register_is_replaced() -> None:
    run = _run(registers=lambda number: number != 2)
    row = next(row for row in run.outcome.executors if row.executor_id == 2)
    assert (row.state, row.reason) == ("deleted", "did not register within 300 s")
    assert 300 < run.seconds < 400


def test_nothing_is_replaced_while_registration_is_unknown() -> None:
    def forbid(application: Application) -> Fault:
        return Fault(lambda _, path: "/proxy/" in path, lambda: Forbidden("pods/proxy", status=403), 10**6)

    async def mischief(application: Application) -> None:
        application.cluster.faults.append(forbid(application))

    run = _run(
        mischief,
        exit_code=None,
        registers=lambda number: False,
        options={"deadline_epoch_seconds": EPOCH + 2000},
    )
    assert len(run.application.ids_used) == 3
    assert sum("cannot ask the driver" in line for line in run.lines) == 1
    assert "registered" in run.text
    assert "unknown registered" in run.text


def _out_of_reach(kind: str, error: Callable[[], ClusterError], first: float, last: float) -> Mischief:
    async def mischief(application: Application) -> None:
        await asyncio.sleep(first)
        fault = Fault(lambda method, path: kind in (method, "ALL"), error, 10**6)
        application.cluster.faults.append(fault)
        application.cluster.cut_watches()
        await asyncio.sleep(last - first)
        fault.times = 0

    return mischief


CREATION_ERRORS: dict[str, Callable[[], ClusterError]] = {
    "the quota is used up": lambda: QuotaExceeded("exceeded quota: pods", status=403),
    "the server asks for patience": lambda: TooManyRequests("slow down", retry_after_seconds=7),
    "the calls time out": lambda: ClusterUnreachable("timed out"),
    "the server breaks down": lambda: ServerError("etcd", status=500),
}


@pytest.mark.parametrize("error", CREATION_ERRORS.values(), ids=CREATION_ERRORS.keys())
def test_creation_that_fails_for_a_while_is_retried_with_pauses(error: Callable[[], ClusterError]) -> None:
    run = _run(_out_of_reach("POST", error, 0, 200))
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert len(run.application.ids_used) == len(set(run.application.ids_used)) == 3
    attempts = sum(method == "POST" for method, _ in run.application.cluster.calls)
    assert attempts < 25
    assert "executors cannot be created" in run.text
    assert sum("executors cannot be created" in line for line in run.lines) <= 5


def test_an_api_server_away_for_ten_minutes_changes_nothing() -> None:
    away = _out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 15, 615)
    run = _run(away, work_seconds=100)
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert len(run.application.ids_used) == len(set(run.application.ids_used))
    complaints = [line for line in run.lines if "watching Job" in line]
    assert 2 <= len(complaints) <= 13
    assert complaints[-1].endswith("works again")


def test_an_evicted_driver_is_followed_by_a_new_one_with_new_executors() -> None:
    async def evict(application: Application) -> None:
        await asyncio.sleep(15)
        application.evict_driver()

    run = _run(evict, work_seconds=20)
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert run.outcome.driver_pod == "app-r0-2"
    assert run.outcome.driver_restarts == 1
    assert [row.pod for row in run.outcome.executors] == [f"app-r0-2-exec-{number}" for number in (1, 2, 3)]


def test_a_driver_that_is_evicted_too_often_is_lost() -> None:
    async def evict(application: Application) -> None:
        for _ in range(3):
            await asyncio.sleep(15)
            application.evict_driver()

    run = _run(evict, exit_code=None, max_driver_restarts=1)
    assert run.outcome.verdict is Verdict.DRIVER_LOST
    assert "max_driver_restarts is 1" in run.outcome.message
    assert run.application.cluster.objects[JOB]["spec"]["activeDeadlineSeconds"] == 1
    assert run.application.drivers <= 3


FAILURES = {
    "exit code 3": (terminated(3), Verdict.DRIVER_FAILED, 3),
    "killed for memory": (terminated(137, "OOMKilled"), Verdict.DRIVER_OUT_OF_MEMORY, 137),
    "command not found": (
        terminated(128, "StartError", message="no such file"),
        Verdict.DRIVER_START_FAILED,
        128,
    ),
}


@pytest.mark.parametrize(("state", "verdict", "code"), FAILURES.values(), ids=FAILURES.keys())
def test_a_driver_that_fails_is_a_failure(state: dict[str, Any], verdict: Verdict, code: int) -> None:
    async def fail(application: Application) -> None:
        await asyncio.sleep(20)
        application.end_driver("app-r0-1", status("Failed", DRIVER, state))

    run = _run(fail, exit_code=None)
    assert (run.outcome.verdict, run.outcome.exit_code) == (verdict, code)
    assert run.outcome.error() is not None
    assert "activeDeadlineSeconds" not in run.application.cluster.objects[JOB]["spec"]


def test_a_job_that_ignores_its_failed_driver_is_ended() -> None:
    async def fail(application: Application) -> None:
        await asyncio.sleep(5)
        application.cluster.put(
            f"{PODS}/app-r0-1", {**application.driver, "status": status("Failed", DRIVER, terminated(3))}
        )

    run = _run(fail, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_FAILED
    assert run.application.cluster.objects[JOB]["spec"]["activeDeadlineSeconds"] == 1


def test_an_image_that_cannot_be_pulled_ends_the_wait_with_its_reason() -> None:
    async def wait(application: Application) -> None:
        await asyncio.sleep(1.5)
        state = waiting("ImagePullBackOff", 'Back-off pulling image "nope"')
        application.cluster.put(
            f"{PODS}/app-r0-1", {**application.driver, "status": status("Pending", DRIVER, state)}
        )

    async def mischief(application: Application) -> None:
        application._set = lambda *args, **kwargs: None  # type: ignore[method-assign]
        await wait(application)

    run = _run(mischief, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_START_FAILED
    assert 'Back-off pulling image "nope"' in run.outcome.message
    assert run.seconds > 300


def test_a_deadline_removes_the_job_and_shows_the_last_log_lines() -> None:
    async def log(application: Application) -> None:
        application.cluster.texts[f"{PODS}/app-r0-1/log"] = lambda params: "reading\nstill reading"
        await asyncio.sleep(0)

    run = _run(log, exit_code=None, options={"deadline_epoch_seconds": EPOCH + 60})
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert 60 <= run.seconds < 65
    assert run.application.cluster.named("jobs") == []
    assert run.lines.count("[app-r0-1] still reading") == 1


def test_a_deadline_is_kept_though_the_api_server_is_away() -> None:
    away = _out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 20, 2000)
    run = _run(away, exit_code=None, options={"deadline_epoch_seconds": EPOCH + 60})
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert 60 + 90 <= run.seconds < 60 + 130


def test_a_deadline_is_kept_though_the_api_server_never_answered() -> None:
    away = _out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 0, 2000)
    run = _run(away, exit_code=None, options={"deadline_epoch_seconds": EPOCH + 60})
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert run.outcome.driver_pod is None


def test_a_job_that_somebody_removes_is_no_success() -> None:
    async def remove(application: Application) -> None:
        await asyncio.sleep(20)
        application.cluster.remove(JOB)

    run = _run(remove, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_LOST
    assert "removed" in run.outcome.message


def test_another_job_of_the_same_name_is_not_ours() -> None:
    async def replace_job(application: Application) -> None:
        await asyncio.sleep(20)
        application.cluster.remove(JOB)
        application.cluster.put(
            JOB, {"metadata": {"name": "app-r0", "uid": "another"}, "spec": {}, "status": {}}
        )

    run = _run(replace_job, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_LOST
    assert JOB in run.application.cluster.objects


def test_a_driver_of_another_version_is_ended() -> None:
    run = _run(version="4.2.1")
    assert run.outcome.verdict is Verdict.SPARK_VERSION_MISMATCH
    assert "Spark 4.2.1" in run.outcome.message
    assert "4.3.0" in run.outcome.message
    assert run.application.ids_used == []


@pytest.mark.parametrize(
    "environment",
    [
        {"spark.master": "local[4]", "spark.executor.instances": "0"},
        {"spark.master": "k8s://https://x", "spark.executor.instances": "4"},
    ],
    ids=["another master", "executors of its own"],
)
def test_a_driver_that_took_over_is_ended(environment: dict[str, str]) -> None:
    run = _run(environment=environment)
    assert run.outcome.verdict is Verdict.DRIVER_TOOK_OVER
    assert run.application.ids_used == []


def test_settings_that_are_gone_end_the_application() -> None:
    async def remove(application: Application) -> None:
        application.cluster.remove(CONFIG_MAP)
        await asyncio.sleep(0)

    run = _run(remove, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_START_FAILED
    assert "app-app" in run.outcome.message


def test_settings_that_come_late_are_read() -> None:
    async def hide(application: Application) -> None:
        config_map = application.cluster.objects[CONFIG_MAP]
        application.cluster.remove(CONFIG_MAP)
        await asyncio.sleep(30)
        application.cluster.put(CONFIG_MAP, config_map)

    assert _run(hide).outcome.verdict is Verdict.SUCCEEDED


def test_a_recorded_outcome_is_said_again_at_once() -> None:
    async def main() -> tuple[Outcome, Outcome]:
        application = Application(FakeCluster(), AllocationSettings(target=1), exit_code=7)
        application.submit()
        first = await control(application.cluster)
        for pod in application.cluster.named("pods"):
            application.cluster.remove(f"{PODS}/{pod['metadata']['name']}")
        again = await control(application.cluster)
        await application.stop()
        return first, again

    first, again = in_virtual_time(main())
    assert first == again
    assert first.exit_code == 7


def test_an_outcome_that_cannot_be_recorded_is_said_all_the_same() -> None:
    forbidden = _out_of_reach("PATCH", lambda: Forbidden("patch jobs", status=403), 20, 5000)
    run = _run(forbidden)
    assert run.outcome.verdict is Verdict.SUCCEEDED


def test_kill_removes_the_job_and_is_content_if_it_is_gone() -> None:
    async def main() -> None:
        application = Application(FakeCluster(), AllocationSettings(target=1))
        application.submit()
        await kill(application.cluster, REFERENCE)
        assert JOB not in application.cluster.objects
        await kill(application.cluster, REFERENCE)
        application.cluster.put(
            JOB, {"metadata": {"name": "app-r0", "uid": "another"}, "spec": {}, "status": {}}
        )
        await kill(application.cluster, REFERENCE)
        assert JOB in application.cluster.objects
        await application.stop()

    in_virtual_time(main())


def test_kill_tells_that_the_cluster_did_not_do_it() -> None:
    async def main() -> None:
        cluster = FakeCluster(faults=[Fault(lambda *_: True, lambda: ServerError("no", status=500))])
        await kill(cluster, REFERENCE)

    with pytest.raises(ServerError):
        in_virtual_time(main())
