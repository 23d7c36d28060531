"""What the demo sees of an application, and how it shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airflow_spark_k8s.core.executor_pod import EXECUTOR_CONTAINER
from airflow_spark_k8s.core.labels import LABEL_APPLICATION, ROLE_DRIVER, SPARK_ROLE
from airflow_spark_k8s.core.pod_state import Failed, Pending, Running, Succeeded
from airflow_spark_k8s.core.snapshot import DriverPod, ExecutorPod, driver_pod, executor_pod_of
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.spark_rest import Answered, SparkRest

_OF_AN_EXECUTOR = re.compile(r"\[\S+-exec-(\d+)\] ")


@dataclass(frozen=True, slots=True)
class ExecutorRow:
    """One executor, there or gone."""

    number: int
    cores: str
    memory: str  # limit of its container
    state: str
    color: str = "default"


@dataclass(frozen=True, slots=True)
class View:
    """One look at the application."""

    driver: str = "not there yet"
    requested: int = 0  # executor ids handed out so far
    pending: int = 0
    running: int = 0
    registered: int | None = None  # None: the driver's REST API does not answer
    completed_tasks: int = 0
    total_tasks: int = 0
    executors: tuple[ExecutorRow, ...] = ()

    def line(self) -> str:
        """The view in one line, for terminals that cannot be redrawn."""
        return (
            f"driver {self.driver} | executors: requested {self.requested}, pending {self.pending}, "
            f"running {self.running}, registered {_or_dash(self.registered)} | "
            f"tasks {self.completed_tasks}/{self.total_tasks}"
        )

    def panel(self, title: str, task_state: str, seconds: float) -> RenderableType:
        """The view as a panel with the executors and a progress bar of Spark tasks."""
        facts = Table.grid(padding=(0, 2))
        facts.add_row("Airflow task", Text(task_state, style="bold"))
        facts.add_row("Spark driver", Text(self.driver, style="bold"))
        facts.add_row(
            "Executors",
            f"requested [bold]{self.requested}[/]  pending [yellow]{self.pending}[/]  "
            f"running [cyan]{self.running}[/]  registered [green]{_or_dash(self.registered)}[/]",
        )
        executors = Table.grid(padding=(0, 2))
        for row in self.executors:
            state = f"[{row.color}]{escape(row.state)}[/]"
            executors.add_row(
                f"  {row.number}", f"{row.cores} core{'' if row.cores == '1' else 's'}", row.memory, state
            )
        tasks = Table.grid(padding=(0, 2))
        tasks.add_row("Spark tasks", f"{self.completed_tasks} of {self.total_tasks or '?'}")
        bar = ProgressBar(total=max(self.total_tasks, 1), completed=self.completed_tasks, width=60)
        content = Group(facts, executors, tasks, bar)
        return Panel(content, title=f"{title}  {seconds:.0f} s", expand=False, padding=(0, 1))


async def look(cluster: Cluster, namespace: str, before: View) -> View:
    """The newest application of the namespace; tasks never go back, though the REST API ends first."""
    pods = await cluster.request(
        "GET", f"/api/v1/namespaces/{namespace}/pods", params={"labelSelector": LABEL_APPLICATION}
    )
    items = list(pods["items"])
    driver = _newest_driver(items)
    if driver is None:
        return before
    found = [(pod, item) for item in items if (pod := executor_pod_of(item))]
    executors = [(pod, item) for pod, item in found if pod.driver_uid == driver.uid]
    registered, completed, total = await _ask_driver(cluster, namespace, driver)
    if isinstance(driver.state, Succeeded):
        # The driver's interface closes before its last tasks could be asked for.
        completed = before.total_tasks
    return View(
        driver=f"{type(driver.state).__name__.lower()} ({driver.name})",
        requested=driver.marks.reserved,
        pending=sum(isinstance(pod.state, Pending) for pod, _ in executors),
        running=sum(isinstance(pod.state, Running) for pod, _ in executors),
        registered=registered,
        completed_tasks=max(before.completed_tasks, completed),
        total_tasks=max(before.total_tasks, total),
        executors=tuple(_rows(before.executors, driver, executors)),
    )


def told(lines: Iterable[str]) -> list[str]:
    """`lines` of a trigger's log for a terminal: of an executor's own log only that it is there."""
    texts: list[str] = []
    for line in lines:
        match = _OF_AN_EXECUTOR.match(line)
        text = f"(the task's log has the last lines of executor {match.group(1)})" if match else line
        if match is None or text not in texts:
            texts.append(text)
    return texts


def executor_table(summary: Mapping[str, Any]) -> Table:
    """The executors of an application's summary, as the operator pushes it to XCom."""
    table = Table(title=f"Executors of {summary['driver_pod']}", title_justify="left")
    for heading in ("pod", "node", "cores", "tasks", "state", "exit code", "reason"):
        table.add_column(heading)
    for row in summary["executors"]:
        cells = (
            f"…-exec-{row['executor_id']}",
            row["node"],
            row["cores"],
            row["completed_tasks"],
            row["state"],
            row["exit_code"],
            row["reason"] or "",
        )
        table.add_row(*map(_or_dash, cells))
    return table


def _rows(
    before: Iterable[ExecutorRow], driver: DriverPod, executors: Iterable[tuple[ExecutorPod, Manifest]]
) -> Iterator[ExecutorRow]:
    """The executors seen so far; pods that were deleted are known from the driver's annotation."""
    rows = {row.number: row for row in before}
    for pod, item in executors:
        rows[pod.executor_id] = _row(pod, item)
    for number, entry in driver.history.entries.items():
        if number in rows and entry.reason:
            rows[number] = replace(
                rows[number], state=entry.reason, color="red" if entry.state == "failed" else "yellow"
            )
    yield from (rows[number] for number in sorted(rows))


def _row(pod: ExecutorPod, item: Manifest) -> ExecutorRow:
    spark = next(each for each in item["spec"]["containers"] if each["name"] == EXECUTOR_CONTAINER)
    cores = next((each["value"] for each in spark["env"] if each["name"] == "SPARK_EXECUTOR_CORES"), "?")
    memory = str(spark["resources"].get("limits", {}).get("memory", "?"))
    if isinstance(pod.state, Failed):
        return ExecutorRow(pod.executor_id, cores, memory, pod.state.ending.text, "red")
    color = (
        "green" if isinstance(pod.state, Running) else "yellow" if isinstance(pod.state, Pending) else "dim"
    )
    state = type(pod.state).__name__.lower()
    if pod.leaving_seconds is not None and isinstance(pod.state, Running):
        state, color = "is asked to leave", "yellow"
    return ExecutorRow(pod.executor_id, cores, memory, state, color)


def _newest_driver(items: list[dict[str, Any]]) -> DriverPod | None:
    drivers = [
        driver_pod(item) for item in items if item["metadata"]["labels"].get(SPARK_ROLE) == ROLE_DRIVER
    ]
    return max(drivers, key=lambda driver: driver.created, default=None)


async def _ask_driver(cluster: Cluster, namespace: str, driver: DriverPod) -> tuple[int | None, int, int]:
    rest = SparkRest(cluster, namespace, driver.name, driver.name)
    executors, jobs = await rest.executors(), await rest.jobs()
    registered = sum(e.is_active for e in executors.data) if isinstance(executors, Answered) else None
    if not isinstance(jobs, Answered):
        return registered, 0, 0
    return registered, jobs.data.complete_tasks, jobs.data.total_tasks


def _or_dash(value: object) -> str:
    return "–" if value is None else str(value)
