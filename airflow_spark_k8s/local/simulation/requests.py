"""The applications that simulations submit: few enough to be rendered once per process."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import LABEL_TRY
from airflow_spark_k8s.core.request import ApplicationRequest, Shaping
from airflow_spark_k8s.core.resolve import resolve
from airflow_spark_k8s.core.spec import Application, Identity, Manifests
from airflow_spark_k8s.templates.render import render

PALETTE = 24
"""The number of different applications."""

AUTH_SECRET = b"never-to-be-seen-authentication-secret"
PASSWORD = "never-to-be-seen-password"  # noqa: S105 (that is its purpose)

_DEADLINE_SECONDS = 7200.0


def identity_of(number: int) -> Identity:
    """The identity of the task's try with this number."""
    return identify("simulation", "dag", "task", "run", -1, number, f"ti-{number}")


@cache
def application(palette: int) -> Application:
    """One of the applications."""
    chance = random.Random(f"palette {palette}")  # noqa: S311
    conf = {
        "spark.executor.instances": str(1 + palette % 12),
        "spark.executor.memory": "512m",
        "spark.kubernetes.allocation.batch.size": str(chance.choice([1, 2, 5, 20])),
        "spark.hadoop.fs.s3a.secret.key": PASSWORD,
    }
    if chance.random() < 0.3:
        conf["spark.kubernetes.allocation.maxPendingPods"] = str(chance.randint(1, 5))
    if chance.random() < 0.2:
        conf["spark.kubernetes.allocation.recoveryMode.enabled"] = "false"
    shaping = Shaping()
    if chance.random() < 0.4:
        shaping = Shaping(burst_factor={"factor": 1.2, "fraction": chance.choice([0.25, 0.5, 1])})
    return resolve(
        ApplicationRequest(
            application="local:///opt/spark/examples/src/main/python/pi.py",
            image="apache/spark:4.3.0",
            conf=conf,
            max_driver_restarts=chance.choice([0, 1, 3, 3, 20]),
            execution_timeout_seconds=_DEADLINE_SECONDS,
            shaping=shaping,
        )
    )


@cache
def manifests(palette: int, number: int) -> Manifests:
    """The application as the task's try with this number submits it; not to be changed."""
    if number == 1:
        return render(application(palette), identity_of(1), context={}, auth_secret=AUTH_SECRET)
    first = manifests(palette, 1)
    others = asdict(first)
    return replace(first, **{name: _of_try(others[name], number) for name in _NAMED})


_NAMED = ("job", "config_maps", "executor", "plain_executor", "secret")


def _of_try(manifest: Any, number: int) -> Any:
    """
    The manifest of the first try changed into that of a later one: only names differ, and rendering is slow.

    Base64 values in the Secret keep the names of the first try.
    """
    text, before, after = json.dumps(manifest), identity_of(1), identity_of(number)
    label = f'"{LABEL_TRY}": "%d"'
    for old, new in (
        (before.application, after.application),
        (f'"{before.ti_id}"', f'"{after.ti_id}"'),
        (label % 1, label % number),
        ((label % 1).replace('"', '\\"'), (label % number).replace('"', '\\"')),
        (f'\\"{before.ti_id}\\"', f'\\"{after.ti_id}\\"'),
    ):
        text = text.replace(old, new)
    return json.loads(text)
