"""What the demo sees of an application, and how it shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airflow_spark_k8s.core.labels import LABEL_APPLICATION, ROLE_DRIVER, SPARK_ROLE
from airflow_spark_k8s.core.pod_state import Pending, Running, Succeeded
from airflow_spark_k8s.core.snapshot import DriverPod, driver_pod, executor_pod_of
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.spark_rest import Answered, SparkRest


@dataclass(frozen=True, slots=True)
class View:
    """One look at the application."""

    driver: str = "not there yet"
    requested: int = 0  # executor ids handed out so far
    pending: int = 0
    running: int = 0
    registered: int | None = None  # None: the driver's REST interface does not answer
    completed_tasks: int = 0
    total_tasks: int = 0

    def line(self) -> str:
        """The view in one line, for terminals that cannot be redrawn."""
        return (
            f"driver {self.driver} | executors: requested {self.requested}, pending {self.pending}, "
            f"running {self.running}, registered {_or_dash(self.registered)} | "
            f"tasks {self.completed_tasks}/{self.total_tasks}"
        )

    def panel(self, task_state: str, seconds: float) -> RenderableType:
        """The view as a panel with a progress bar of Spark tasks."""
        facts = Table.grid(padding=(0, 2))
        facts.add_row("Airflow task", Text(task_state, style="bold"))
        facts.add_row("Spark driver", Text(self.driver, style="bold"))
        facts.add_row(
            "Executors",
            f"requested [bold]{self.requested}[/]  pending [yellow]{self.pending}[/]  "
            f"running [cyan]{self.running}[/]  registered [green]{_or_dash(self.registered)}[/]",
        )
        facts.add_row("Spark tasks", f"{self.completed_tasks} of {self.total_tasks or '?'}")
        bar = ProgressBar(total=max(self.total_tasks, 1), completed=self.completed_tasks, width=60)
        return Panel(Group(facts, bar), title=f"spark_pi  {seconds:.0f} s", expand=False, padding=(0, 1))


async def look(cluster: Cluster, namespace: str, before: View) -> View:
    """The newest application of the namespace; tasks never go back, though the REST interface ends first."""
    pods = await cluster.request(
        "GET", f"/api/v1/namespaces/{namespace}/pods", params={"labelSelector": LABEL_APPLICATION}
    )
    items = list(pods["items"])
    driver = _newest_driver(items)
    if driver is None:
        return before
    executors = [pod for item in items if (pod := executor_pod_of(item)) and pod.driver_uid == driver.uid]
    registered, completed, total = await _ask_driver(cluster, namespace, driver)
    if isinstance(driver.state, Succeeded):
        # The driver's interface closes before its last tasks could be asked for.
        completed = before.total_tasks
    return View(
        driver=f"{type(driver.state).__name__.lower()} ({driver.name})",
        requested=driver.marks.reserved,
        pending=sum(isinstance(pod.state, Pending) for pod in executors),
        running=sum(isinstance(pod.state, Running) for pod in executors),
        registered=registered,
        completed_tasks=max(before.completed_tasks, completed),
        total_tasks=max(before.total_tasks, total),
    )


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
