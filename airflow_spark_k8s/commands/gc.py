"""
Find applications in the cluster whose task instance is over, and remove them.

Only objects of this Airflow deployment are looked at; what a task instance still uses is never touched.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_spark_k8s.commands.gc_database import airflow_server, check_database, known_tasks
from airflow_spark_k8s.commands.gc_judgement import Judgement, Known, Rules, duration, judge
from airflow_spark_k8s.core.labels import check_label_value, is_dns_label
from airflow_spark_k8s.exceptions import InvalidConfiguration, SparkKubernetesError

if TYPE_CHECKING:
    from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook
    from airflow_spark_k8s.kube.leftovers import FoundApplication, Inventory, Removal

HELP = "find applications whose task instance is over, and remove them"

DEFAULT_GRACE_SECONDS = 300.0

_DEFAULT_DEPLOYMENT = "airflow"
_HEADINGS = ("JOB", "DAG", "TASK", "RUN", "MAP", "TRY", "AGE", "ORPHAN", "WHY")


@dataclass(frozen=True, slots=True)
class _Row:
    """One application and what is to become of it."""

    application: FoundApplication
    judgement: Judgement
    task_state: str | None  # None: not scheduled yet, or there is no such task instance
    age_seconds: float


@dataclass(frozen=True, slots=True)
class _Survey:
    """All that was found in one namespace."""

    namespace: str
    deployment: str
    rows: tuple[_Row, ...]
    notes: tuple[str, ...]

    @property
    def orphans(self) -> list[_Row]:
        return [row for row in self.rows if row.judgement.orphan]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("--conn-id", required=True, metavar="ID", help="connection to the cluster")
    parser.add_argument("--namespace", metavar="N", help="where to look (default: the connection's)")
    parser.add_argument("--dry-run", action="store_true", help="only list")
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    parser.add_argument(
        "--grace",
        type=float,
        default=DEFAULT_GRACE_SECONDS,
        metavar="SECONDS",
        help="leave what is younger (default: %(default).0f)",
    )
    parser.add_argument(
        "--unknown",
        action="store_true",
        help="also remove what this Airflow has no task instance for, whatever the DAG; may be another's",
    )
    parser.add_argument("--json", action="store_true", help="print JSON; needs --dry-run or --yes")


def run(arguments: argparse.Namespace) -> int:
    """Exit code: 0 nothing is left to remove, 1 something was not removed, 2 nothing could be found out."""
    try:
        _check(arguments)
        return _run(arguments)
    except (SparkKubernetesError, ConnectionError) as error:
        print(f"airflow-spark-k8s gc: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _check(arguments: argparse.Namespace) -> None:
    if arguments.namespace is not None and not is_dns_label(arguments.namespace):
        raise InvalidConfiguration("--namespace", arguments.namespace, "is no name of a namespace")
    if not 0 <= arguments.grace < float("inf"):
        raise InvalidConfiguration("--grace", arguments.grace, "must be a number of seconds, 0 or more")
    if arguments.dry_run and arguments.yes:
        raise InvalidConfiguration("--yes", True, "has no effect with --dry-run; say one of them")
    if arguments.dry_run or arguments.yes:
        return
    if arguments.json:
        raise InvalidConfiguration("--json", True, "leaves nobody to ask: add --dry-run or --yes")
    if not sys.stdin.isatty():
        raise InvalidConfiguration(
            "--yes", False, "nobody can be asked, standard input is no terminal: add --dry-run or --yes"
        )


def _run(arguments: argparse.Namespace) -> int:
    with airflow_server():
        from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook

        # First: with a database that is out of reach, connections would only be missing.
        check_database()
        hook = SparkKubernetesHook(arguments.conn_id)
        survey = _survey(hook, arguments)
    for note in survey.notes:
        print(note, file=sys.stderr)
    if not arguments.json:
        print("\n".join(_lines(survey)))
    if not arguments.dry_run and survey.orphans and not (arguments.yes or _agreed(survey)):
        print("Nothing was removed.")
        return 1
    removals: Sequence[Removal] = ()
    if not arguments.dry_run and survey.orphans:
        with airflow_server():
            removals = asyncio.run(_remove(hook, survey))
    if arguments.json:
        print(json.dumps(_as_dict(survey, removals, dry_run=arguments.dry_run), indent=2))
    else:
        print("\n".join(_removed_lines(removals)), end="\n" if removals else "")
    return 1 if any(removal.error for removal in removals) else 0


def _survey(hook: SparkKubernetesHook, arguments: argparse.Namespace) -> _Survey:
    from airflow_spark_k8s.controller.clock import SystemClock
    from airflow_spark_k8s.operators.configuration import SECTION, deployment_id

    deployment = check_label_value(deployment_id(), field=f"[{SECTION}] deployment_id")
    namespace = arguments.namespace or hook.settings.namespace
    inventory = asyncio.run(_find(hook, namespace, deployment))
    # After the cluster: a task instance may start while its objects are listed, but not begin in the past.
    known = known_tasks(found.task for found in inventory.applications if found.task is not None)
    rules = Rules(
        now_epoch_seconds=SystemClock().now(),
        grace_seconds=arguments.grace,
        deployment_is_named=deployment != _DEFAULT_DEPLOYMENT,
        unknown=arguments.unknown,
    )
    rows = tuple(_row(found, known, rules) for found in inventory.applications)
    return _Survey(namespace, deployment, rows, inventory.unlisted)


async def _find(hook: SparkKubernetesHook, namespace: str, deployment: str) -> Inventory:
    from airflow_spark_k8s.kube.leftovers import find_applications

    async with await hook.cluster() as cluster:
        return await find_applications(cluster, namespace, deployment)


async def _remove(hook: SparkKubernetesHook, survey: _Survey) -> tuple[Removal, ...]:
    from airflow_spark_k8s.kube.leftovers import remove

    async with await hook.cluster() as cluster:
        return await remove(cluster, survey.namespace, [row.application for row in survey.orphans])


def _row(found: FoundApplication, known: Known, rules: Rules) -> _Row:
    task = None if found.task is None else known.tasks.get(found.task)
    return _Row(
        application=found,
        judgement=judge(found, known, rules),
        task_state=None if task is None else task.state,
        age_seconds=max(0.0, rules.now_epoch_seconds - found.created_epoch_seconds),
    )


def _agreed(survey: _Survey) -> bool:
    pieces = sum(len(row.application.pieces) for row in survey.orphans)
    question = f"Remove {_count(len(survey.orphans), 'orphan')} ({_count(pieces, 'object')})? [y/N] "
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _lines(survey: _Survey) -> list[str]:
    where = f"in namespace {survey.namespace} of deployment {survey.deployment}"
    if not survey.rows:
        return [f"No application {where}."]
    total = f"{_count(len(survey.rows), 'application')} {where}, {_count(len(survey.orphans), 'orphan')}."
    cells = [_HEADINGS, *map(_cells, survey.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    return [*table, "", total]


def _cells(row: _Row) -> tuple[str, ...]:
    found, task = row.application, row.application.task
    named = ("?", "?", "?", "?")
    if task is not None:
        map_index = "-" if task.map_index < 0 else str(task.map_index)
        named = (task.dag_id, task.task_id, task.run_id, map_index)
    gone = "" if found.has_job else f" (no Job: {_count(len(found.pieces), 'object')})"
    return (
        found.pieces[-1].name if found.has_job else f"{found.name}{gone}",
        *named,
        "?" if found.try_number is None else str(found.try_number),
        duration(row.age_seconds),
        "yes" if row.judgement.orphan else "no",
        row.judgement.why,
    )


def _removed_lines(removals: Sequence[Removal]) -> list[str]:
    return [
        f"{removal.piece}: "
        + ("removed" if removal.removed else removal.error or "is gone, or somebody else has it by now")
        for removal in removals
    ]


def _as_dict(survey: _Survey, removals: Sequence[Removal], *, dry_run: bool) -> dict[str, Any]:
    came_of = {removal.piece: removal for removal in removals}
    return {
        "namespace": survey.namespace,
        "deployment": survey.deployment,
        "dry_run": dry_run,
        "notes": list(survey.notes),
        "applications": [_row_as_dict(row, came_of) for row in survey.rows],
    }


def _row_as_dict(row: _Row, came_of: dict[Any, Removal]) -> dict[str, Any]:
    found, task = row.application, row.application.task
    return {
        "application": found.name,
        "has_job": found.has_job,
        "dag_id": task and task.dag_id,
        "task_id": task and task.task_id,
        "run_id": task and task.run_id,
        "map_index": task and task.map_index,
        "try_number": found.try_number,
        "age_seconds": round(row.age_seconds),
        "task_state": row.task_state,
        "orphan": row.judgement.orphan,
        "why": row.judgement.why,
        "objects": [
            {
                "kind": piece.kind,
                "name": piece.name,
                "removed": piece in came_of and came_of[piece].removed,
                "error": came_of[piece].error if piece in came_of else None,
            }
            for piece in found.pieces
        ],
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
