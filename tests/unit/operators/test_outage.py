"""An API server that is away for a minute while a worker submits, or while it takes the last step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.controller.patience import Patience
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    ServerError,
    TooManyRequests,
)
from airflow_spark_k8s.operators.conclusion import conclude
from airflow_spark_k8s.operators.submission import Submission
from tests.fakes.cluster import FakeCluster, Fault
from tests.unit.controller.harness import LoopClock, in_virtual_time
from tests.unit.kube.fake_api import FakeApi
from tests.unit.operators.test_conclusion import FAILED, JOB, LOG, REFERENCE, Cluster, Lines, says
from tests.unit.operators.test_submission import Log, plan, submitted_plan

ERRORS: dict[str, Callable[[], ClusterError]] = {
    "refused": lambda: ClusterUnreachable("connection refused"),
    "503": lambda: ServerError("shutting down", status=503),
    "429": lambda: TooManyRequests("slow down", retry_after_seconds=15),
}
EACH_ERROR = pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())


class Away(FakeApi):
    """Is away for `seconds` from its call with this number on."""

    def __init__(
        self, call: int, seconds: float, error: Callable[[], ClusterError], *, answers_only: bool = False
    ) -> None:
        super().__init__()
        self.attempts: set[float] = set()  # moments of those that failed
        self._left = call
        self._until: float | None = None
        self._seconds = seconds
        self._error = error
        if answers_only:
            self.after = self._fail
        else:
            self.before = self._fail

    def _fail(self, method: str, path: str, body: Any) -> None:
        now = asyncio.get_running_loop().time()
        self._left -= 1
        if self._left < 0 and self._until is None:
            self._until = now + self._seconds
        if self._until is not None and now < self._until:
            self.attempts.add(now)
            raise self._error()


PLAN = plan()


def _submitted(cluster: Away) -> tuple[Submission, Log, float]:
    async def main() -> tuple[Submission, Log, float]:
        log = Log()
        submission = await submitted_plan(cluster, log, PLAN)
        return submission, log, asyncio.get_running_loop().time()

    return in_virtual_time(main())


def _calls() -> int:
    cluster = FakeApi()
    in_virtual_time(submitted_plan(cluster, Log(), PLAN))
    return len(cluster.calls)


CALLS = _calls()


@pytest.mark.parametrize("seconds", [20, 60])
@pytest.mark.parametrize("answers_only", [False, True], ids=["calls are lost", "answers are lost"])
@EACH_ERROR
def test_a_submission_outlasts_an_outage_at_any_of_its_calls(
    error: Callable[[], ClusterError], answers_only: bool, seconds: int
) -> None:
    assert CALLS > 15
    for call in range(CALLS):
        cluster = Away(call, seconds, error, answers_only=answers_only)
        submission, log, ended_at = _submitted(cluster)
        (job,) = cluster.of_kind("jobs").values()
        assert job["spec"]["suspend"] is False, f"from call {call} on"
        assert submission.reference.job_uid == job["metadata"]["uid"]
        assert seconds <= ended_at < seconds + 30
        assert len(cluster.attempts) <= 20
        waiting = [line for line in [*log.lines, *log.warnings] if line.endswith("; trying again")]
        assert 1 <= len(waiting) <= 2, f"from call {call} on"


@EACH_ERROR
def test_a_submission_gives_up_an_api_server_that_stays_away(error: Callable[[], ClusterError]) -> None:
    cluster = Away(0, 10**6, error)

    async def main() -> tuple[str, float]:
        with pytest.raises(ClusterError) as raised:
            await submitted_plan(cluster, Log(), PLAN)
        return str(raised.value), asyncio.get_running_loop().time()

    message, seconds = in_virtual_time(main())
    assert message == str(error())
    assert 60 < seconds <= 90
    assert cluster.objects == {}


def _concluded(
    cluster: FakeCluster, error: Callable[[], ClusterError], begin: int, seconds: float
) -> tuple[Outcome, Lines, float]:
    """The last step; the API server is away from its call with the number `begin` on."""

    async def main() -> tuple[Outcome, Lines, float]:
        says(cluster, "one\ntwo\n")
        log, loop = Lines(), asyncio.get_running_loop()

        def away(method: str, path: str) -> bool:
            return len(cluster.asked) > begin and loop.time() < seconds

        cluster.faults.append(Fault(away, error, 10**6))
        outcome = await conclude(cluster, REFERENCE, FAILED, log_lines=2, retention_seconds=60, log=log)
        return outcome, log, loop.time()

    return in_virtual_time(main())


class Counted(Cluster):
    """Retention is set by a JSON patch, which fails as every other call does."""

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        if isinstance(more.get("body"), list):
            await self._step()
            fault = self._fault(method, path)
            if fault is not None:
                raise fault.error()
        return await super().request(method, path, **more)


def _cluster() -> FakeCluster:
    cluster = Counted()
    cluster.put(JOB, {"kind": "Job", "metadata": {"name": "a-r0", "uid": "uid-job"}, "spec": {}})
    return cluster


@pytest.mark.parametrize("seconds", [20, 60])
@pytest.mark.parametrize("begin", [0, 1], ids=["before the log", "after the log"])
@EACH_ERROR
def test_the_last_step_outlasts_an_outage(
    error: Callable[[], ClusterError], begin: int, seconds: int
) -> None:
    cluster = _cluster()
    outcome, log, ended_at = _concluded(cluster, error, begin, seconds)
    assert outcome == FAILED
    assert "two" in log.infos
    assert cluster.objects[JOB]["spec"]["ttlSecondsAfterFinished"] == 60
    assert seconds <= ended_at < seconds + 30
    assert sum(line.endswith("; trying again") for line in log.warnings) <= 2
    assert sum(line.endswith(": works again") for line in log.warnings) == 1


@EACH_ERROR
def test_an_outage_that_lasts_does_not_change_the_verdict(error: Callable[[], ClusterError]) -> None:
    cluster = _cluster()
    outcome, log, ended_at = _concluded(cluster, error, 0, 10**6)
    assert outcome == FAILED
    assert ended_at <= 95, "all calls together"
    assert any(line.startswith("The log of driver pod") for line in log.warnings)
    assert any("stays longer than asked for" in line for line in log.warnings)
    assert [path for _, _, path in cluster.asked].count(LOG) >= 5


@pytest.mark.parametrize(
    "error",
    [Forbidden("you may not", status=403), ClusterUnreachable("x", reason="ClientConnectorCertificateError")],
    ids=["a missing right", "somebody else's certificate"],
)
def test_what_waiting_does_not_help_is_told_at_once(error: ClusterError) -> None:
    async def main() -> float:
        async def call() -> None:
            raise error

        with pytest.raises(type(error)):
            await Patience(LoopClock(), 90, print).of("it", call)
        return asyncio.get_running_loop().time()

    assert in_virtual_time(main()) == 0
