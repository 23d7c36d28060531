"""How one application under one controller ends, on a simulated cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.controller.loop import kill
from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    ServerError,
    SightLost,
    TooManyRequests,
)
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import DRIVER, RUNNING, status, terminated, waiting
from tests.fakes.spark import CONFIG_MAP, JOB, PODS, REFERENCE, Application
from tests.unit.controller.harness import EPOCH, control, in_virtual_time, out_of_reach, run_application


def test_an_evicted_driver_is_followed_by_a_new_one_with_new_executors() -> None:
    async def evict(application: Application) -> None:
        await asyncio.sleep(15)
        application.evict_driver()

    run = run_application(evict, work_seconds=20)
    assert run.outcome.verdict is Verdict.SUCCEEDED
    assert run.outcome.driver_pod == "app-r0-2"
    assert run.outcome.driver_restarts == 1
    assert [row.pod for row in run.outcome.executors] == [f"app-r0-2-exec-{number}" for number in (1, 2, 3)]


def test_a_driver_that_is_evicted_too_often_is_lost() -> None:
    async def evict(application: Application) -> None:
        for _ in range(3):
            await asyncio.sleep(15)
            application.evict_driver()

    run = run_application(evict, exit_code=None, max_driver_restarts=1)
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

    run = run_application(fail, exit_code=None)
    assert (run.outcome.verdict, run.outcome.exit_code) == (verdict, code)
    assert run.outcome.error() is not None
    assert "activeDeadlineSeconds" not in run.application.cluster.objects[JOB]["spec"]


def test_a_job_that_ignores_its_failed_driver_is_ended() -> None:
    async def fail(application: Application) -> None:
        await asyncio.sleep(5)
        application.cluster.put(
            f"{PODS}/app-r0-1", {**application.driver, "status": status("Failed", DRIVER, terminated(3))}
        )

    run = run_application(fail, exit_code=None)
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

    run = run_application(mischief, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_START_FAILED
    assert 'Back-off pulling image "nope"' in run.outcome.message
    assert run.seconds > 300


def test_a_driver_that_starts_while_nobody_sees_it_is_not_given_up() -> None:
    away = out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 10, 200)

    async def mischief(application: Application) -> None:
        path, put = f"{PODS}/app-r0-1", application._set
        application._set = lambda *args, **kwargs: None  # type: ignore[method-assign]
        await asyncio.sleep(1.5)
        state = waiting("CreateContainerConfigError", 'secret "late" not found')
        application.cluster.put(path, {**application.driver, "status": status("Pending", DRIVER, state)})
        outage = asyncio.ensure_future(away(application))
        await asyncio.sleep(40)
        application._set = put  # type: ignore[method-assign]
        running = status("Running", DRIVER, RUNNING, podIP="10.0.0.1", conditions={"Ready": ""})
        put(path, running, nodeName="node-1")
        await outage

    run = run_application(mischief)
    assert run.outcome.verdict is Verdict.SUCCEEDED, run.text
    assert run.seconds > 200


def test_settings_that_come_while_nobody_can_look_are_not_given_up() -> None:
    away = out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 5, 200)

    async def mischief(application: Application) -> None:
        settings = application.cluster.objects[CONFIG_MAP]
        application.cluster.remove(CONFIG_MAP)
        outage = asyncio.ensure_future(away(application))
        await asyncio.sleep(100)
        application.cluster.put(CONFIG_MAP, settings)
        await outage

    run = run_application(mischief)
    assert run.outcome.verdict is Verdict.SUCCEEDED, run.text


def test_a_deadline_removes_the_job_and_shows_the_last_log_lines() -> None:
    async def log(application: Application) -> None:
        application.cluster.texts[f"{PODS}/app-r0-1/log"] = lambda params: "reading\nstill reading"
        await asyncio.sleep(0)

    run = run_application(log, exit_code=None, options={"deadline_epoch_seconds": EPOCH + 60})
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert 60 <= run.seconds < 65
    assert run.application.cluster.named("jobs") == []
    assert run.lines.count("[app-r0-1] still reading") == 1


def test_a_deadline_is_kept_though_the_api_server_is_away() -> None:
    away = out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 20, 2000)
    run = run_application(away, exit_code=None, options={"deadline_epoch_seconds": EPOCH + 60})
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert 60 + 90 <= run.seconds < 60 + 130


def test_a_deadline_is_kept_though_the_api_server_never_answered() -> None:
    away = out_of_reach("ALL", lambda: ClusterUnreachable("connection refused"), 0, 2000)
    run = run_application(away, exit_code=None, options={"deadline_epoch_seconds": EPOCH + 60})
    assert run.outcome.verdict is Verdict.TIMED_OUT
    assert run.outcome.driver_pod is None


def _unreachable() -> ClusterUnreachable:
    return ClusterUnreachable("connection refused")


@pytest.mark.parametrize("start", [0, 20], ids=["from the start", "later"])
def test_a_cluster_that_stays_away_ends_the_wait_and_leaves_the_application_alone(start: float) -> None:
    away = out_of_reach("ALL", _unreachable, start, 10**6)
    run = run_application(away, exit_code=None, options={"patience_seconds": 1200})
    assert run.outcome.verdict is Verdict.SIGHT_LOST
    assert start + 1200 <= run.seconds < start + 1300
    assert "connection refused" in run.outcome.message
    error = run.outcome.error()
    assert isinstance(error, SightLost)
    assert isinstance(error, ClusterUnreachable)
    job = run.application.cluster.objects[JOB]
    assert "activeDeadlineSeconds" not in job["spec"]
    assert "airflow-spark-k8s/outcome" not in job["metadata"].get("annotations", {})


OUTAGES = {
    "refused connections": _unreachable,
    "server errors": lambda: ServerError("etcdserver: leader changed", status=500),
    "too many requests": lambda: TooManyRequests("slow down", retry_after_seconds=20),
}


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES.keys())
def test_half_an_hour_without_the_api_server_is_survived(error: Callable[[], ClusterError]) -> None:
    away = out_of_reach("ALL", error, 20, 1820)
    run = run_application(away, work_seconds=3000, options={"patience_seconds": 7200})
    assert run.outcome.verdict is Verdict.SUCCEEDED
    said = [line for line in run.lines if "trying again" in line]
    assert 20 <= len(said) <= 32  # about once a minute, one line for all that is asked


def test_several_short_outages_do_not_add_up() -> None:
    async def mischief(application: Application) -> None:
        for start in (20, 900, 1800):
            await out_of_reach("ALL", _unreachable, start, start + 700)(application)

    run = run_application(mischief, work_seconds=4000, options={"patience_seconds": 800})
    assert run.outcome.verdict is Verdict.SUCCEEDED


def test_a_job_that_somebody_removes_is_no_success() -> None:
    async def remove(application: Application) -> None:
        await asyncio.sleep(20)
        application.cluster.remove(JOB)

    run = run_application(remove, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_LOST
    assert "removed" in run.outcome.message


def test_another_job_of_the_same_name_is_not_ours() -> None:
    async def replace_job(application: Application) -> None:
        await asyncio.sleep(20)
        application.cluster.remove(JOB)
        application.cluster.put(
            JOB, {"metadata": {"name": "app-r0", "uid": "another"}, "spec": {}, "status": {}}
        )

    run = run_application(replace_job, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_LOST
    assert JOB in run.application.cluster.objects


def test_a_driver_of_another_version_is_ended() -> None:
    run = run_application(version="4.2.1")
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
    run = run_application(environment=environment)
    assert run.outcome.verdict is Verdict.DRIVER_TOOK_OVER
    assert run.application.ids_used == []


def test_settings_that_are_gone_end_the_application() -> None:
    async def remove(application: Application) -> None:
        application.cluster.remove(CONFIG_MAP)
        await asyncio.sleep(0)

    run = run_application(remove, exit_code=None)
    assert run.outcome.verdict is Verdict.DRIVER_START_FAILED
    assert "app-app" in run.outcome.message


def test_settings_that_come_late_are_read() -> None:
    async def hide(application: Application) -> None:
        config_map = application.cluster.objects[CONFIG_MAP]
        application.cluster.remove(CONFIG_MAP)
        await asyncio.sleep(30)
        application.cluster.put(CONFIG_MAP, config_map)

    assert run_application(hide).outcome.verdict is Verdict.SUCCEEDED


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
    forbidden = out_of_reach("PATCH", lambda: Forbidden("patch jobs", status=403), 20, 5000)
    run = run_application(forbidden)
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
