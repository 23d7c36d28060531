"""Whatever goes wrong, in whatever order: the end is true, no id is used twice, no limit is passed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_spark_k8s.core.outcome import Outcome, Verdict
from airflow_spark_k8s.core.spec import AllocationSettings
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Gone,
    QuotaExceeded,
    ServerError,
    TooManyRequests,
)
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import EXECUTOR, status, terminated
from tests.fakes.spark import PODS, Application
from tests.unit.controller.harness import LoopClock, control, in_virtual_time

ERRORS: list[Callable[[], ClusterError]] = [
    lambda: ClusterUnreachable("timed out"),
    lambda: ServerError("etcd leader changed", status=500),
    lambda: TooManyRequests("slow down", retry_after_seconds=3),
    lambda: QuotaExceeded("exceeded quota", status=403),
    lambda: Conflict("changed", status=409),
    lambda: Gone("too old", status=410),
]

LOST_ANSWERS = ERRORS[:2]

FATES = [
    status("Failed", EXECUTOR, terminated(137, "OOMKilled")),
    status("Failed", EXECUTOR, terminated(1, seconds=2)),
    status("Failed", EXECUTOR, terminated(52)),
    status("Failed", EXECUTOR, terminated(143), conditions={"DisruptionTarget": "EvictionByEvictionAPI"}),
    status("Failed", reason="Evicted", message="the node was low on memory"),
    status("Succeeded", EXECUTOR, terminated(0, "OOMKilled")),
]


class Chaos:
    """A random run of one application."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.cluster = FakeCluster(watch_delay_seconds=self.random.choice([0, 0, 0.2, 1.0]))
        target = self.random.randint(1, 6)
        self.allocation = AllocationSettings(
            target=target,
            batch_size=self.random.randint(1, 4),
            max_pending_pods=self.random.choice([2**31 - 1, self.random.randint(1, 3)]),
        )
        fates = {
            number: self.random.choice(FATES)
            for number in self.random.sample(range(1, 20), self.random.randint(0, 6))
        }
        self.application = Application(
            self.cluster, self.allocation, work_seconds=20, max_driver_restarts=100, fates=fates
        )
        self.most_pending = 0

    async def end(self) -> Outcome:
        """The outcome, after everything that went wrong."""
        self.cluster.listeners.append(self._count)
        self.application.submit()
        mischief = asyncio.get_running_loop().create_task(self._mischief())
        outcomes = await asyncio.gather(*[self._controller() for _ in range(self.random.randint(1, 2))])
        mischief.cancel()
        await self.application.stop()
        assert len({outcome.verdict for outcome in outcomes}) == 1
        return outcomes[0]

    async def _controller(self) -> Outcome:
        """The outcome of a controller that is replaced whenever it dies."""
        while True:
            clock = LoopClock(self.random.randint(0, 10**6))
            task = asyncio.ensure_future(control(self.cluster, clock=clock))
            lifetime = self.random.choice([1000.0, self.random.uniform(0, 30)])
            done, _ = await asyncio.wait({task}, timeout=lifetime)
            if done:
                return task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(self.random.uniform(0, 5))

    async def _mischief(self) -> None:
        for _ in range(self.random.randint(0, 12)):
            await asyncio.sleep(self.random.uniform(0, 8))
            self.random.choice([self._break_calls, self._break_calls, self._evict, self._delete_executor])()

    def _break_calls(self) -> None:
        broken = self.random.choice(["POST", "PATCH", "DELETE", "GET", "WATCH"])
        error = self.random.choice(ERRORS)
        # A server that refuses has done nothing; one that breaks down may have.
        lost = error in LOST_ANSWERS and self.random.random() < 0.6
        times = self.random.randint(1, 6)
        self.cluster.faults.append(Fault(lambda method, path: method == broken, error, times, lost))

    def _evict(self) -> None:
        pods = [pod for pod in self.cluster.named("pods") if "-exec-" not in pod["metadata"]["name"]]
        if pods and pods[-1]["status"]["phase"] == "Running":
            self.application.evict_driver()

    def _delete_executor(self) -> None:
        pods = [p for p in self.application.executors() if p["status"]["phase"] == "Running"]
        if pods:
            self.cluster.remove(f"{PODS}/{self.random.choice(pods)['metadata']['name']}")

    def _count(self, kind: str, path: str, obj: object) -> None:
        phases = [pod["status"]["phase"] for pod in self.application.executors()]
        self.most_pending = max(self.most_pending, phases.count("Pending"))


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_mixture_of_faults_ends_well(seed: int) -> None:
    chaos = Chaos(seed)
    outcome = in_virtual_time(chaos.end())
    assert outcome.verdict is Verdict.SUCCEEDED
    doubled = [name for name, count in Counter(chaos.application.ids_used).items() if count > 1]
    assert doubled == []
    assert chaos.application.most_alive <= chaos.allocation.target
    assert chaos.most_pending <= chaos.allocation.max_pending_pods
