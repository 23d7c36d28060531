from __future__ import annotations

from contextlib import aclosing
from itertools import islice
from typing import Any

import pytest

from airflow_spark_k8s.exceptions import (
    ClusterUnreachable,
    Forbidden,
    Gone,
    ServerError,
    TooManyRequests,
)
from airflow_spark_k8s.kube.cluster import SILENT
from airflow_spark_k8s.kube.watch import Changed, Interrupted, Listed, WatchUpdate, watch_objects
from tests.unit.kube.fake_api import ScriptedCluster


def obj(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def page(version: int, *names: str, more: str = "") -> dict[str, Any]:
    metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return {"metadata": metadata, "items": [obj(name, version) for name in names]}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": obj(name, version)}


def bookmark(version: int) -> dict[str, Any]:
    return event("BOOKMARK", "", version)


EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}}


class Pauses:
    """Sleeps that take no time and are remembered."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def updates(cluster: ScriptedCluster, count: int, pauses: Pauses | None = None) -> list[WatchUpdate]:
    pauses = pauses or Pauses()
    told: list[WatchUpdate] = []
    source = watch_objects(cluster, "/pods", sleep=pauses.sleep, jitter=lambda: 0.5, label_selector="a=b")
    async with aclosing(source) as updates:
        async for update in updates:
            told.append(update)
            if len(told) == count:
                break
    return told


def words(told: list[WatchUpdate]) -> list[str]:
    def word(update: WatchUpdate) -> str:
        match update:
            case Listed(objects, version):
                return f"listed {[item['metadata']['name'] for item in objects]} at {version}"
            case Changed(kind, changed):
                return f"{kind} {changed['metadata']['name']}"
            case Interrupted(error):
                return type(error).__name__

    return [word(update) for update in told]


async def test_a_list_of_several_pages_is_one_update_and_the_watch_goes_on_from_it() -> None:
    cluster = ScriptedCluster(
        [page(5, "a", "b", more="token"), page(5, "c")], [[event("ADDED", "d", 6), event("DELETED", "a", 7)]]
    )
    assert words(await updates(cluster, 3)) == ["listed ['a', 'b', 'c'] at 5", "ADDED d", "DELETED a"]
    assert cluster.listed[1]["continue"] == "token"
    assert cluster.watched[0]["resourceVersion"] == "5"
    assert cluster.watched[0]["allowWatchBookmarks"] == "true"
    assert cluster.watched[0]["labelSelector"] == "a=b"


async def test_a_watch_that_the_server_ends_goes_on_from_the_last_bookmark_without_a_list() -> None:
    cluster = ScriptedCluster(
        [page(5)], [[event("ADDED", "a", 6), bookmark(9)], [event("MODIFIED", "a", 10)]]
    )
    assert words(await updates(cluster, 3)) == ["listed [] at 5", "ADDED a", "MODIFIED a"]
    assert [params["resourceVersion"] for params in cluster.watched] == ["5", "9"]


@pytest.mark.parametrize(
    "lost", [pytest.param(EXPIRED, id="as an event"), pytest.param(Gone("old"), id="as an answer")]
)
async def test_a_forgotten_version_leads_to_a_new_list_and_is_no_interruption(lost: Any) -> None:
    cluster = ScriptedCluster(
        [page(5, "a"), page(9, "b")], [[event("ADDED", "x", 6), lost], [event("ADDED", "c", 10)]]
    )
    told = words(await updates(cluster, 4))
    assert told == ["listed ['a'] at 5", "ADDED x", "listed ['b'] at 9", "ADDED c"]


async def test_a_server_that_forgets_at_once_is_not_listed_in_a_tight_loop() -> None:
    pauses = Pauses()
    cluster = ScriptedCluster([page(5)] * 4, [[EXPIRED]] * 4)
    await updates(cluster, 4, pauses)
    assert pauses.seconds == [0.75, 1.5, 3.0]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ClusterUnreachable("cut"), id="cut"),
        pytest.param(ServerError("500"), id="broken"),
        pytest.param(Forbidden("no right"), id="forbidden"),
    ],
)
async def test_a_broken_watch_is_told_and_ended_by_a_new_list(error: Exception) -> None:
    cluster = ScriptedCluster([page(5), page(8, "a")], [[event("ADDED", "a", 6), error], []])
    told = words(await updates(cluster, 4))
    assert told == ["listed [] at 5", "ADDED a", type(error).__name__, "listed ['a'] at 8"]


async def test_every_failed_attempt_is_told_and_pauses_double_up_to_half_a_minute() -> None:
    pauses = Pauses()
    cluster = ScriptedCluster([ClusterUnreachable("down")] * 8, [])
    told = words(await updates(cluster, 8, pauses))
    assert told == ["ClusterUnreachable"] * 8
    assert pauses.seconds == [0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5]


async def test_pauses_begin_anew_after_an_event() -> None:
    pauses = Pauses()
    down = ClusterUnreachable("down")
    cluster = ScriptedCluster([down, down, page(5), page(7)], [[event("ADDED", "a", 6), down], []])
    await updates(cluster, 6, pauses)
    assert pauses.seconds == [0.75, 1.5, 0.75]


async def test_a_server_that_asks_for_patience_gets_it() -> None:
    pauses = Pauses()
    cluster = ScriptedCluster([TooManyRequests("slow", retry_after_seconds=17.0), page(5)], [])
    await updates(cluster, 2, pauses)
    assert pauses.seconds == [17.0 * (1 + 0.5 / 4)], "not less, and not all callers at once"


async def test_silence_opens_the_watch_anew_without_an_interruption() -> None:
    silent = ClusterUnreachable("nothing came", reason=SILENT)
    cluster = ScriptedCluster([page(5)], [[event("ADDED", "a", 6), silent], [event("ADDED", "b", 7)]])
    assert words(await updates(cluster, 3)) == ["listed [] at 5", "ADDED a", "ADDED b"]
    assert cluster.watched[1]["resourceVersion"] == "6"


async def test_watches_that_end_at_once_are_opened_with_pauses_between() -> None:
    pauses = Pauses()
    cluster = ScriptedCluster([page(5)], [[], [], [event("ADDED", "a", 6)]])
    assert words(await updates(cluster, 2, pauses)) == ["listed [] at 5", "ADDED a"]
    assert pauses.seconds == [0.75, 0.75]


async def test_pages_that_expire_are_listed_from_the_start() -> None:
    cluster = ScriptedCluster([page(5, "a", more="t"), Gone("old token"), page(9, "b")], [[]])
    assert words(await updates(cluster, 1)) == ["listed ['b'] at 9"]


async def test_the_length_of_watches_is_spread_by_the_jitter() -> None:
    numbers = iter([0.0, 0.999])
    cluster = ScriptedCluster([page(5)], [[bookmark(6)], [event("ADDED", "a", 7)]])
    source = watch_objects(cluster, "/pods", sleep=Pauses().sleep, jitter=lambda: next(numbers))
    async with aclosing(source) as changes:
        async for update in changes:
            if isinstance(update, Changed):
                break
    lengths = [int(params["timeoutSeconds"]) for params in islice(cluster.watched, 2)]
    assert lengths == [300, 449]
