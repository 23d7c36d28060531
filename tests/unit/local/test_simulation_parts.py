"""The parts of simulations: requests, processes, the wire, the truth, the summary."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.resources import CONFIG_MAPS
from airflow_spark_k8s.local.simulation import requests
from airflow_spark_k8s.local.simulation.campaign import Summary
from airflow_spark_k8s.local.simulation.event_loop import SimulationLoop
from airflow_spark_k8s.local.simulation.process import Process, ProcessDied
from airflow_spark_k8s.local.simulation.scenario import Temper, draw
from airflow_spark_k8s.local.simulation.simulate import Report, simulate
from airflow_spark_k8s.local.simulation.trace import Trace
from airflow_spark_k8s.local.simulation.weather import Kind, Spell, Weather
from airflow_spark_k8s.local.simulation.wire import Gate, Wire
from airflow_spark_k8s.templates.render import render

T = TypeVar("T")
MAPS = "/api/v1/namespaces/default/configmaps"


def _run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=lambda: SimulationLoop(random.Random(1))) as runner:
        return runner.run(main)


class Way:
    """A process, a cluster, and the wire between them; make it on a loop."""

    def __init__(self, kind: Kind | None = None, *, share: float = 1.0, end: float = 1000.0) -> None:
        loop: Any = asyncio.get_running_loop()
        self.cluster = PaperCluster(timers=loop)
        self.process = Process("p", random.Random(1))
        self.gate = Gate()
        self.trace = Trace(loop.time)
        spells = () if kind is None else (Spell(kind, 0.0, end, share),)
        weather = Weather(spells, random.Random(1), 0.01, loop.time)
        self.wire = Wire(self.cluster.client(), self.process, weather, self.gate, self.trace, 0)

    async def create(self, name: str = "map") -> None:
        body = {"metadata": {"name": name, "namespace": "default"}}
        await self.wire.request("POST", MAPS, body=body, timeout_seconds=10)

    @property
    def created(self) -> list[str]:
        maps = self.cluster.store.list(CONFIG_MAPS, "default")
        return [each["metadata"]["name"] for each in maps if each["metadata"]["name"] != "kube-root-ca.crt"]


@pytest.mark.parametrize("palette", [0, 7])
def test_a_later_try_is_what_would_have_been_rendered_for_it(palette: int) -> None:
    found = requests.manifests(palette, 2)
    wanted = render(
        requests.application(palette),
        requests.identity_of(2),
        context={},
        auth_secret=requests.AUTH_SECRET,
    )
    assert (found.job, found.executor, found.spec_hash) == (wanted.job, wanted.executor, wanted.spec_hash)
    assert json.dumps(found.config_maps) == json.dumps(wanted.config_maps)
    assert found.secret["metadata"] == wanted.secret["metadata"]


def test_a_seed_always_gives_the_same_scenario() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
    tempers = Counter(draw(seed).temper for seed in range(100))
    assert set(tempers) == set(Temper)


def test_no_fault_is_planned_for_the_calm() -> None:
    for seed in range(100):
        scenario = draw(seed)
        assert all(spell.end <= scenario.calm_at for spell in scenario.spells)
        assert all(mishap.at <= scenario.calm_at for mishap in scenario.mishaps)


ERRORS: dict[Kind, type[ClusterError]] = {
    Kind.UNAUTHORIZED: Unauthorized,
    Kind.FORBIDDEN: Forbidden,
    Kind.NO_SUCH_PAGE: ClusterUnreachable,
    Kind.CONFLICT: Conflict,
    Kind.TOO_MANY: TooManyRequests,
    Kind.UNAVAILABLE: ServerError,
    Kind.REFUSED: ClusterUnreachable,
}


@pytest.mark.parametrize(("kind", "error"), ERRORS.items(), ids=[kind.value for kind in ERRORS])
def test_a_call_that_is_refused_has_no_effect(kind: Kind, error: type[ClusterError]) -> None:
    async def main() -> None:
        way = Way(kind)
        with pytest.raises(error):
            await way.create()
        await asyncio.sleep(60)
        assert way.created == []
        assert way.trace.counts == {kind.value: 1}

    _run(main())


def test_a_refusal_says_what_an_api_server_says() -> None:
    async def main() -> None:
        way = Way(Kind.FORBIDDEN)
        said = (
            'configmaps is forbidden: User "airflow" cannot {} resource "configmaps" in API group "" in the'
        )
        with pytest.raises(Forbidden, match=re.escape(said.format("create"))):
            await way.create()
        with pytest.raises(Forbidden, match=re.escape(said.format("list"))):
            await way.wire.request("GET", MAPS)
        with pytest.raises(Forbidden, match=re.escape(said.format("watch"))):
            async for _ in way.wire.watch(MAPS, params={}, timeout_seconds=10):
                pass
        with pytest.raises(
            Forbidden, match=re.escape('jobs.batch "j" is forbidden: User "airflow" cannot patch')
        ):
            await way.wire.request("PATCH", "/apis/batch/v1/namespaces/default/jobs/j", body={})

    _run(main())


def test_a_call_whose_answer_is_lost_has_its_effect() -> None:
    async def main() -> None:
        way = Way(Kind.LOST_ANSWER)
        with pytest.raises(ClusterUnreachable):
            await way.create()
        assert way.created == ["map"]

    _run(main())


@pytest.mark.parametrize("kind", [Kind.HUNG, Kind.SLOW])
def test_no_call_takes_longer_than_its_timeout(kind: Kind) -> None:
    async def main() -> None:
        way = Way(kind)
        for number in range(20):
            before = asyncio.get_running_loop().time()
            with pytest.raises(ClusterUnreachable) if kind is Kind.HUNG else _nothing():
                await way.create(f"map-{number}")
            assert asyncio.get_running_loop().time() - before <= 10.001
        before_all = way.created
        await asyncio.sleep(60)
        assert way.created == before_all, "what arrives arrives in time"

    _run(main())


class _nothing:  # noqa: N801 (a context manager that reads like one)
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_credentials_are_asked_for_again_when_they_are_refused() -> None:
    async def main() -> None:
        way = Way()
        way.gate.demanded = 1
        with pytest.raises(Unauthorized):
            await way.create()
        way.gate.given_out = 1
        await way.create()

    _run(main())


async def _seen(way: Way, seconds: float = 60.0) -> list[str]:
    """Names of the maps that a watch shows, and the error that ends it."""
    seen: list[str] = []

    async def watch() -> None:
        version = str(way.cluster.store.version)
        params = {"watch": "true", "resourceVersion": version}
        try:
            async for event in way.wire.watch(MAPS, params=params, timeout_seconds=30):
                seen.append(event["object"]["metadata"]["name"])  # noqa: PERF401 (it has to be there at once)
        except ClusterUnreachable as error:
            seen.append(str(error.reason))

    task = asyncio.create_task(watch())
    await asyncio.sleep(1)
    for name in ("a", "b", "c"):
        metadata = {"name": name, "namespace": "default"}
        way.cluster.store.create(CONFIG_MAPS, {"metadata": metadata})
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait([task])
    return seen


WATCHES: dict[Kind | None, Callable[[list[str]], bool]] = {
    None: lambda seen: seen == ["a", "b", "c", "Silent"],
    Kind.LATE_EVENT: lambda seen: seen == ["a", "b", "c", "Silent"],
    Kind.LOST_EVENT: lambda seen: seen == ["None"],
    Kind.WATCH_CUT: lambda seen: seen == ["None"],
    Kind.WATCH_SILENT: lambda seen: seen == ["Silent"],
    Kind.REPEATED_EVENT: lambda seen: seen == ["a", "a", "b", "a", "b", "c", "Silent"],
}


@pytest.mark.parametrize("kind", WATCHES, ids=str)
def test_what_a_watch_shows(kind: Kind | None) -> None:
    async def main() -> list[str]:
        return await _seen(Way(kind))

    assert WATCHES[kind](_run(main()))


def test_open_watches_can_be_cut() -> None:
    async def main() -> list[str]:
        way = Way()
        asyncio.get_running_loop().call_later(5, way.wire.cut_watches)
        return await _seen(way)

    assert _run(main()) == ["a", "b", "c", "None"]


@pytest.mark.parametrize(("steps", "calls"), [(0, 0), (6, 3), (7, 4)], ids=["at once", "before", "after"])
def test_a_process_dies_before_a_call_or_before_it_has_the_answer(steps: int, calls: int) -> None:
    async def main() -> None:
        way = Way()

        async def work() -> None:
            for number in range(10):
                await way.create(f"map-{number}")

        way.process = way.wire._process = Process("p", random.Random(1), steps=steps)
        with pytest.raises(ProcessDied):
            await way.process.run(work())
        assert way.created == [f"map-{number}" for number in range(calls)]

    _run(main())


def test_what_a_process_raises_is_raised() -> None:
    async def main() -> None:
        async def work() -> None:
            raise LookupError("nothing")

        with pytest.raises(LookupError):
            await Process("p", random.Random(1)).run(work())

    _run(main())


def test_a_clock_that_jumps_back_is_not_followed_back() -> None:
    async def main() -> None:
        clock = Process("p", random.Random(1)).clock
        before = clock.now()
        clock.jump(100.0)
        clock.jump(-200.0)
        assert clock.now() == pytest.approx(before - 100)
        assert clock.latest() == pytest.approx(before + 100)

    _run(main())


def test_a_summary_names_the_seeds_that_failed() -> None:
    summary = Summary()
    for seed, problems in ((1, ()), (2, ("it broke", "and more"))):
        summary.add(Report(seed, problems, "digest", (), Counter({"409": 2}), 1, 3, "success", 10.0))
    assert summary.lines() == [
        "2 simulations: 2 applications, 6 pods; tasks: 2 success",
        "         4  409",
        "seed 2: it broke",
        "1 of 2 failed",
    ]


def test_two_runs_of_a_seed_are_the_same() -> None:
    assert simulate(11, all_lines=True).lines == simulate(11, all_lines=True).lines


def test_a_process_dies_when_it_wakes_up() -> None:
    async def main() -> None:
        process = Process("p", random.Random(1), steps=1)
        with pytest.raises(ProcessDied):
            await process.run(_sleepy(process))
        assert asyncio.get_running_loop().time() == 2.0

    async def _sleepy(process: Process) -> None:
        for _ in range(5):
            await process.clock.sleep(1)

    _run(main())
