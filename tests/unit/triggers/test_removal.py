from __future__ import annotations

import json

import pytest

from airflow_spark_k8s.exceptions import Conflict
from airflow_spark_k8s.kube.cluster import JSON
from airflow_spark_k8s.triggers.removal import remove_applications

from .jobs import NAMESPACE, JobsOnly, job


async def test_only_jobs_of_this_try_are_removed() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"), job("other-r0", "ti-2"))
    assert await remove_applications(cluster, NAMESPACE, "ti-1") == ["mine-r0"]
    assert list(cluster.jobs) == ["other-r0"]


async def test_what_they_own_goes_with_them() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    await remove_applications(cluster, NAMESPACE, "ti-1")
    assert [options["propagationPolicy"] for options in cluster.deletions] == ["Background"]


async def test_nothing_to_remove_is_no_error() -> None:
    assert await remove_applications(JobsOnly(), NAMESPACE, "ti-1") == []


async def test_a_job_that_is_going_already_is_not_deleted_again() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1", deleting=True))
    assert await remove_applications(cluster, NAMESPACE, "ti-1") == []


async def test_a_job_that_a_later_try_adopts_meanwhile_stays() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    cluster.before_delete = lambda: cluster.touch("mine-r0", ti_id="ti-2")
    assert await remove_applications(cluster, NAMESPACE, "ti-1") == []
    assert list(cluster.jobs) == ["mine-r0"]


async def test_a_job_whose_status_changes_meanwhile_is_removed_all_the_same() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    changes = [lambda: cluster.touch("mine-r0"), lambda: None]
    cluster.before_delete = lambda: changes.pop(0)()
    assert await remove_applications(cluster, NAMESPACE, "ti-1") == ["mine-r0"]


async def test_a_job_that_never_stands_still_is_an_error() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1"))
    cluster.before_delete = lambda: cluster.touch("mine-r0")
    with pytest.raises(Conflict, match="ti-1"):
        await remove_applications(cluster, NAMESPACE, "ti-1")


async def test_an_ended_job_stays_if_only_running_ones_are_meant() -> None:
    cluster = JobsOnly(job("over-r0", "ti-1", ended=True), job("running-r0", "ti-1"))
    assert await remove_applications(cluster, NAMESPACE, "ti-1", only_running=True) == ["running-r0"]


async def test_an_ended_job_whose_verdict_was_read_is_kept_for_its_retention() -> None:
    cluster = JobsOnly(
        job("kept-r0", "ti-1", ended=True, ttl_seconds=600), job("unread-r0", "ti-1", ended=True)
    )
    assert await remove_applications(cluster, NAMESPACE, "ti-1") == ["unread-r0"]


async def test_a_running_job_is_removed_however_short_its_retention() -> None:
    cluster = JobsOnly(job("mine-r0", "ti-1", ttl_seconds=600))
    assert await remove_applications(cluster, NAMESPACE, "ti-1") == ["mine-r0"]


def _following(name: str, *earlier: str, failed: bool = False) -> JSON:
    """A Job that continues others; one that failed has no verdict yet."""
    made = job(name, "ti-1")
    made["metadata"]["annotations"] = {"airflow-spark-k8s/earlier-jobs": json.dumps(earlier)}
    made["status"]["conditions"] = [{"type": "Failed", "status": "True"}] if failed else []
    return made


async def test_of_jobs_that_go_on_for_one_another_the_oldest_goes_first() -> None:
    cluster = JobsOnly(
        _following("app-r10", *"abcdefghij"), _following("app-r9", *"abcdefghi"), _following("app-r0")
    )
    assert await remove_applications(cluster, NAMESPACE, "ti-1") == ["app-r0", "app-r9", "app-r10"]


async def test_a_failed_job_that_may_be_continued_has_not_ended() -> None:
    cluster = JobsOnly(_following("app-r0", failed=True))
    assert await remove_applications(cluster, NAMESPACE, "ti-1", only_running=True) == ["app-r0"]
