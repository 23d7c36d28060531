"""Ten minutes without an API server: what is said, what is asked, and what comes of the application."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.exceptions import ClusterError, ClusterUnreachable, ServerError, TooManyRequests
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import DRIVER, EXECUTOR, status, terminated
from tests.fakes.spark import JOB, PODS, Application
from tests.unit.controller.harness import LoopClock, control, in_virtual_time

BEGIN, END = 30.0, 630.0
POLLS = ":4040/proxy/"


@dataclass(frozen=True)
class Outage:
    error: Callable[[], ClusterError]
    hangs: bool = False
    retry_after_seconds: float = 0.0


OUTAGES = {
    "connections are refused": Outage(lambda: ClusterUnreachable("connection refused")),
    "calls hang": Outage(lambda: ClusterUnreachable("timed out"), hangs=True),
    "500": Outage(lambda: ServerError("etcdserver: no leader", status=500)),
    "503 with Retry-After": Outage(
        lambda: ServerError("shutting down", status=503, retry_after_seconds=45), retry_after_seconds=45
    ),
    "429": Outage(lambda: TooManyRequests("too many requests")),
    "429 with Retry-After": Outage(
        lambda: TooManyRequests("too many requests", retry_after_seconds=50), retry_after_seconds=50
    ),
}
EACH_OUTAGE = pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())


@dataclass
class Run:
    """An application during and after an outage."""

    application: Application
    outcome: Outcome
    lines: list[tuple[float, str]]
    ended_at: float
    asked: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # in the outage
    wrote: int = 0  # calls in the outage

    def __post_init__(self) -> None:
        for at, method, path in self.application.cluster.asked:
            if BEGIN <= at < END:
                self.asked["polls" if POLLS in path else f"{method} {path}"].append(at)
                self.wrote += method not in ("GET", "WATCH")

    @property
    def said(self) -> list[tuple[float, str]]:
        """Lines of the outage."""
        return [(at, line) for at, line in self.lines if BEGIN <= at < END]


Meanwhile = Callable[[Application], None]


def run(
    outage: Outage,
    meanwhile: Meanwhile = lambda application: None,
    *,
    begin: float = BEGIN,
    end: float = END,
    seed: int = 0,
    **options: Any,
) -> Run:
    """One application; `meanwhile` happens in the middle of the outage."""

    async def main() -> Run:
        allocation = AllocationSettings(target=3, batch_size=20)
        application = Application(FakeCluster(), allocation, **{"work_seconds": 900, **options})
        application.submit()
        lines: list[tuple[float, str]] = []
        loop = asyncio.get_running_loop()
        beside = asyncio.ensure_future(_away(application, outage, meanwhile, begin, end))
        outcome = await control(
            application.cluster,
            clock=LoopClock(seed),
            report=lambda line: lines.append((loop.time(), line)),
        )
        ended_at = loop.time()
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)
        await application.stop()
        return Run(application, outcome, lines, ended_at)

    return in_virtual_time(main())


async def _away(
    application: Application, outage: Outage, meanwhile: Meanwhile, begin: float, end: float
) -> None:
    await asyncio.sleep(begin)
    fault = Fault(lambda method, path: True, outage.error, 10**6, hangs=outage.hangs)
    application.cluster.faults.append(fault)
    application.cluster.cut_watches()
    await asyncio.sleep((end - begin) / 2)
    meanwhile(application)
    await asyncio.sleep((end - begin) / 2)
    fault.times = 0


@EACH_OUTAGE
def test_an_application_that_runs_on_is_not_touched(outage: Outage) -> None:
    pods: list[dict[str, str]] = []

    def note(application: Application) -> None:
        pods.append({pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in application.executors()})

    found = run(outage, note)
    assert found.outcome.verdict is Verdict.SUCCEEDED
    assert found.ended_at > 900
    assert found.wrote == 0
    assert len(pods[0]) == 3
    assert len(found.application.ids_used) == 3
    assert found.outcome.executor_counts == {"succeeded": 3}


@EACH_OUTAGE
def test_the_log_speaks_of_it_once_a_minute(outage: Outage) -> None:
    found = run(outage)
    complaints = [at for at, line in found.said if line.endswith("; trying again")]
    assert 5 <= len(complaints) <= 11
    assert all(later - earlier >= 60 for earlier, later in pairwise(complaints))
    others = [line for _, line in found.said if not line.endswith("; trying again")]
    assert len(others) <= 2, "that nobody can ask the driver, and that registration is unknown"
    after = [line for at, line in found.lines if at >= END]
    assert after.count("the API server: works again") == 1


@EACH_OUTAGE
def test_an_api_server_in_trouble_is_asked_less_and_less_often(outage: Outage) -> None:
    found = run(outage)
    watches = {what: times for what, times in found.asked.items() if what != "polls"}
    assert watches, "somebody has to find out that it is over"
    for times in watches.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(times) <= 45
        assert max(gaps) <= 30 + 30 + outage.retry_after_seconds * 1.25, "that it is over is noticed soon"
    assert len(found.asked["polls"]) <= 75
    assert found.ended_at < 960


@EACH_OUTAGE
def test_what_the_server_asks_for_is_kept(outage: Outage) -> None:
    found = run(outage)
    for times in found.asked.values():
        for earlier, later in pairwise(times[1:]):
            assert later - earlier >= outage.retry_after_seconds


def test_pauses_double_and_are_spread() -> None:
    def attempts(seed: int) -> list[float]:
        found = run(OUTAGES["connections are refused"], seed=seed)
        (times,) = [times for what, times in found.asked.items() if what.endswith("/jobs") and "GET" in what]
        return times

    one, other = attempts(1), attempts(2)
    longest = [1.0, 2.0, 4.0, 8.0, 16.0]
    for pauses in (list(_pauses(one)), list(_pauses(other))):
        # The first failure is the one of the watch; the list that follows it comes a pause later.
        for pause, limit in zip(pauses, [*longest[1:], *[30.0] * 50], strict=False):
            assert limit / 2 <= pause <= limit + 0.1
    assert not set(one) & set(other), "triggers of one outage do not come back all at once"


def _pauses(times: list[float]) -> Iterator[float]:
    return (later - earlier for earlier, later in pairwise(times))


ENDS: dict[str, tuple[Meanwhile, Verdict, int | None]] = {
    "it succeeds": (
        lambda application: application.end_driver("app-r0-1", status("Succeeded", DRIVER, terminated(0))),
        Verdict.SUCCEEDED,
        0,
    ),
    "it fails": (
        lambda application: application.end_driver("app-r0-1", status("Failed", DRIVER, terminated(3))),
        Verdict.DRIVER_FAILED,
        3,
    ),
    "it runs out of memory": (
        lambda application: application.end_driver(
            "app-r0-1", status("Failed", DRIVER, terminated(137, "OOMKilled"))
        ),
        Verdict.DRIVER_OUT_OF_MEMORY,
        137,
    ),
    "its Job is deleted": (lambda application: application.cluster.remove(JOB), Verdict.DRIVER_LOST, None),
}


@EACH_OUTAGE
@pytest.mark.parametrize(("end", "verdict", "code"), ENDS.values(), ids=ENDS.keys())
def test_a_driver_that_ends_meanwhile_gets_its_own_verdict(
    outage: Outage, end: Meanwhile, verdict: Verdict, code: int | None
) -> None:
    found = run(outage, end, exit_code=None)
    assert found.outcome.verdict is verdict
    # If the Job is seen before the pods are, a success has no exit code.
    assert found.outcome.exit_code == code or found.outcome.succeeded
    assert END <= found.ended_at < END + 120
    assert len(found.application.ids_used) == 3


@EACH_OUTAGE
def test_a_driver_that_is_replaced_meanwhile_is_followed(outage: Outage) -> None:
    found = run(outage, lambda application: application.evict_driver())
    assert found.outcome.verdict is Verdict.SUCCEEDED
    assert found.outcome.driver_restarts == 1
    assert found.outcome.driver_pod == "app-r0-2"
    assert found.wrote == 0
    assert len(found.application.ids_used) == len(set(found.application.ids_used)) == 6


@EACH_OUTAGE
def test_an_executor_that_dies_meanwhile_is_replaced_once(outage: Outage) -> None:
    def kill(application: Application) -> None:
        pod = application.executors()[0]
        ended = status("Failed", EXECUTOR, terminated(137, "OOMKilled"))
        path = f"{PODS}/{pod['metadata']['name']}"
        application.cluster.put(path, {**pod, "status": ended})

    found = run(outage, kill, work_seconds=1200)
    assert found.outcome.verdict is Verdict.SUCCEEDED
    assert found.application.ids_used == [f"app-r0-1-exec-{number}" for number in (1, 2, 3, 4)]
    assert found.application.most_alive == 3


@pytest.mark.parametrize("begin", [0.0, 1.0, 2.5, 6.05, 9.0, 10.0, 10.3, 10.5, 11.0, 12.5])
@EACH_OUTAGE
def test_an_outage_at_any_moment_of_the_start_only_costs_its_time(outage: Outage, begin: float) -> None:
    found = run(outage, begin=begin, end=begin + 600, work_seconds=5)
    assert found.outcome.verdict is Verdict.SUCCEEDED
    assert len(found.application.ids_used) == len(set(found.application.ids_used)) == 3
    assert found.application.most_alive <= 3
    said = [line for at, line in found.lines if begin <= at < begin + 600 and line.endswith("trying again")]
    assert len(said) <= 22, "the outage, and that executors cannot be created: each once a minute"
