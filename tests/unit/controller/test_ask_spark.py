"""What one question to a driver's REST API gives, if the driver does not run what it should."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_spark_k8s.controller.clock import SystemClock
from airflow_spark_k8s.controller.complaints import Complaints
from airflow_spark_k8s.controller.observe import Observer, ask_spark
from airflow_spark_k8s.controller.world import World
from airflow_spark_k8s.core.reconcile import AskSpark
from airflow_spark_k8s.core.snapshot import Reach
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import NotFound

ROOT = "/api/v1/namespaces/spark/pods/d-1:4040/proxy/api/v1/applications"
ASK = AskSpark("d-1", "uid-d-1", 4040, 1.0)


class Pages:
    """A cluster behind whose pod proxy there are only these pages."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self._pages = pages

    async def text(self, path: str, **options: Any) -> str:
        page = self._pages.get(path)
        if page is None:
            raise NotFound("404 page not found", status=404)
        return json.dumps(page)


def observer(pages: Mapping[str, Any]) -> Observer:
    cluster: Any = Pages(pages)
    world = World(ApplicationReference("spark", "app", "app-r0", "uid-of-job", "ti"))
    clock = SystemClock()
    return Observer(cluster, world, clock, Complaints(clock, print), lambda: 0.0)


@pytest.mark.parametrize("application", ["local-1700000000000", "chosen-by-the-code"])
async def test_an_application_under_another_id_is_asked_for_its_master(application: str) -> None:
    properties = {"sparkProperties": [["spark.master", "local[*]"], ["spark.executor.instances", "0"]]}
    pages = {ROOT: [{"id": application}], f"{ROOT}/{application}/environment": properties}
    view = await ask_spark(observer(pages), ASK)
    assert (view.reach, view.application_id, view.master, view.instances) == (
        Reach.NO,
        application,
        "local[*]",
        "0",
    )


@pytest.mark.parametrize("listed", [[], [{"id": "d-1"}]], ids=["none yet", "ours, a moment later"])
async def test_a_driver_without_another_application_starts(listed: list[dict[str, str]]) -> None:
    view = await ask_spark(observer({ROOT: listed}), ASK)
    assert (view.reach, view.application_id, view.master) == (Reach.NO, None, None)
