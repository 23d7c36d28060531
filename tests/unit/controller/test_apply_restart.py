"""What becomes of a restart whose calls fail, and what is seen of Jobs that follow one another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_spark_k8s.controller.apply import Hands, apply
from airflow_spark_k8s.controller.loop import kill
from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.actions import Action, MarkContinued, RemoveByForce, Result, StartAgain, Trouble
from airflow_spark_k8s.exceptions import (
    ClusterError,
    ClusterUnreachable,
    Conflict,
    Forbidden,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from airflow_spark_k8s.kube.watch import Changed, Listed
from tests.fakes.cluster import FakeCluster, Fault
from tests.fakes.objects import DRIVER, DRIVER_LABELS, RUNNING, job, pod, status
from tests.fakes.spark import JOB, PODS, REFERENCE
from tests.unit.controller.harness import in_virtual_time

AGAIN = StartAgain("app-r0", "uid-of-job", ())
NEXT_UID = "uid-of-next"


def applied(action: Action, cluster: FakeCluster, world: World | None = None) -> Result:
    async def main() -> Result:
        now = asyncio.get_running_loop().time
        (result,) = await apply(
            Hands(cluster, world or World(REFERENCE), lambda line: None, now, now), [action]
        )
        return result

    return in_virtual_time(main())


def following(*, making: bool = False, **parts: Any) -> dict[str, Any]:
    """The Job that continues the first one."""
    earlier = {"airflow-spark-k8s/earlier-jobs": json.dumps(["uid-of-job"])}
    made = job(name="app-r1", uid=NEXT_UID, annotations=earlier, spec={"suspend": making}, **parts)
    if making:
        made["metadata"]["ownerReferences"] = [{"kind": "Job", "uid": "uid-of-job"}]
    return made


TROUBLES: dict[str, tuple[Callable[[], ClusterError], Trouble]] = {
    "no right": (lambda: Forbidden("no"), Trouble.REFUSED),
    "the old Job is gone": (lambda: NotFound("no"), Trouble.CONFLICT),
    "too many requests": (lambda: TooManyRequests("slow down"), Trouble.UNCERTAIN),
    "credentials that are out of date": (lambda: Unauthorized("who?"), Trouble.UNCERTAIN),
    "a server that breaks down": (lambda: ServerError("no"), Trouble.UNCERTAIN),
    "no answer": (lambda: ClusterUnreachable("no"), Trouble.UNCERTAIN),
}


@pytest.mark.parametrize(("error", "trouble"), TROUBLES.values(), ids=TROUBLES.keys())
def test_a_restart_meets(error: Callable[[], ClusterError], trouble: Trouble) -> None:
    cluster = FakeCluster(faults=[Fault(lambda *_: True, error, times=100)])
    assert applied(AGAIN, cluster).trouble is trouble


def test_a_namespace_that_is_gone_refuses_nothing() -> None:
    cluster = FakeCluster(faults=[Fault(lambda method, _: method == "POST", lambda: NotFound("no"), times=9)])
    old = job(annotations={"airflow-spark-k8s/continued-by": "app-r1"})
    old["metadata"]["namespace"], old["spec"] = "spark", {"template": {"spec": {}}}
    cluster.put(JOB, old)
    assert applied(AGAIN, cluster).trouble is Trouble.CONFLICT


def test_a_mark_is_taken_in_at_once_and_needs_the_version_that_was_seen() -> None:
    cluster, world = FakeCluster(), World(REFERENCE)
    world.see_job(Listed((cluster.put(JOB, job()),), "1"))
    late = MarkContinued("app-r0", "no such version", "app-r1")
    assert applied(late, cluster, world).trouble is Trouble.CONFLICT
    assert applied(MarkContinued("app-r0", "1", "app-r1"), cluster, world).trouble is Trouble.NONE
    seen = world.observed().job
    assert seen is not None
    assert seen.continued_by == "app-r1"


@pytest.mark.parametrize("there", [None, "another"])
def test_a_pod_that_is_gone_or_another_one_counts_as_removed_by_force(there: str | None) -> None:
    cluster = FakeCluster()
    if there is not None:
        cluster.faults.append(Fault(lambda method, _: method == "PATCH", lambda: NotFound("another"), 1))
        cluster.put(f"{PODS}/d", pod("d", uid=there))
    assert applied(RemoveByForce("d", "uid-of-d"), cluster).trouble is Trouble.NONE
    assert len(cluster.objects) == (there is not None)


def test_a_controller_follows_the_job_that_was_resumed() -> None:
    world = World(REFERENCE)
    world.see_job(Listed((job(), following(making=True)), "1"))
    seen = world.observed()
    assert (seen.job and seen.job.name, seen.next_job and seen.next_job.name) == ("app-r0", "app-r1")
    world.see_job(Changed("MODIFIED", following(version=2)))
    seen = world.observed()
    assert (seen.job and seen.job.name, seen.next_job) == ("app-r1", None)
    assert [earlier.name for earlier in seen.earlier_jobs] == ["app-r0"]
    world.see_job(Changed("DELETED", job()))
    assert world.observed().earlier_jobs == ()
    world.see_job(Changed("DELETED", following(version=3)))
    gone = world.observed().job
    assert gone is not None
    assert (gone.name, gone.deleting) == ("app-r1", True)


def test_one_in_the_making_that_goes_is_forgotten() -> None:
    world = World(REFERENCE)
    world.see_job(Listed((job(), following(making=True)), "1"))
    world.see_job(Listed((job(),), "2"))
    seen = world.observed()
    assert (seen.job and seen.job.deleting, seen.next_job) == (False, None)


def test_what_was_made_is_known_before_a_watch_tells_it_unless_that_knows_more() -> None:
    world = World(REFERENCE)
    world.see_job(Listed((job(),), "1"))
    world.made_job(following(version=2))
    world.see_job(Changed("MODIFIED", following(version=5)))
    world.made_job(following(version=3))
    seen = world.observed().job
    assert seen is not None
    assert (seen.name, seen.resource_version) == ("app-r1", "5")


def test_drivers_of_every_job_of_the_chain_are_seen_and_of_no_other() -> None:
    world = World(REFERENCE)
    pods = [
        pod(name, owner=owner, labels=DRIVER_LABELS, created=f"2026-01-01T00:00:0{number}Z")
        for number, (name, owner) in enumerate([("b", NEXT_UID), ("x", "stranger"), ("a", "uid-of-job")])
    ]
    world.see_pods(Listed(tuple(pods), "1"))
    world.see_job(Listed((job(),), "1"))
    assert [driver.name for driver in world.observed().drivers] == ["a"]
    world.see_job(Changed("ADDED", following()))
    assert [driver.name for driver in world.observed().drivers] == ["b", "a"]


def test_a_driver_that_a_list_of_its_own_does_not_show_is_gone() -> None:
    world = World(REFERENCE)
    running = pod(
        "d", owner="uid-of-job", labels=DRIVER_LABELS, status=status("Running", DRIVER, RUNNING), node="n"
    )
    world.see_pods(Listed((running,), "1"))
    world.found_pods((), world.driver_uids)
    (driver,) = world.observed().drivers
    assert (driver.ended, driver.gone, driver.stopped) == (True, True, False)
    world.found_pods((), {"uid-of-d"})
    assert len(world.observed().drivers) == 1


def test_a_kill_removes_every_job_of_the_application_the_oldest_first() -> None:
    cluster = FakeCluster()
    cluster.put(JOB.replace("r0", "r1"), following())
    cluster.put(JOB, job())
    stranger = job(name="app-r7", uid="stranger")
    cluster.put(JOB.replace("r0", "r7"), stranger)
    in_virtual_time(kill(cluster, REFERENCE))
    assert [path.rpartition("/")[2] for method, path in cluster.calls] == ["app-r0", "app-r1"]
    assert [obj["metadata"]["name"] for obj in cluster.named("jobs")] == ["app-r7"]


def test_a_kill_that_never_ends_is_an_error() -> None:
    cluster = FakeCluster()
    cluster.put(JOB, job())
    cluster.remove = lambda path: None  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="keep being created"):
        in_virtual_time(kill(cluster, REFERENCE))
