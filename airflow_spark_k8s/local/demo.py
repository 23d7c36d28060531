"""The demo: a real DAG through a real Airflow and real Spark, on this machine."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

import airflow_spark_k8s
from airflow_spark_k8s.exceptions import ClusterError
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.airflow import AirflowDidNotStart, LocalAirflow, LogLine
from airflow_spark_k8s.local.cluster import LocalCluster, LocalClusterDidNotStart
from airflow_spark_k8s.local.demo_view import View, executor_table, look
from airflow_spark_k8s.local.descendants import end_on_signals

DAG_ID = "spark_pi"
TASK_ID = "pi"
RESULT = "Pi is roughly"
ENDED = frozenset({"success", "failed"})
LOOK_SECONDS = 1.0
LIMIT_SECONDS = 600.0


def example_dags() -> Path:
    """Folder of the example DAGs: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(airflow_spark_k8s.__file__).parent
    inside = package / "example_dags"
    return inside if inside.is_dir() else package.parent / "example_dags"


def run_demo(*, keep: bool) -> int:
    """Exit code of the demo: 0 if the DAG succeeded and the driver printed its result."""
    end_on_signals()
    console = Console()
    try:
        with ExitStack() as stack:
            console.print("Starting the local cluster …")
            cluster = stack.enter_context(LocalCluster())
            console.print(f"The cluster answers on {cluster.server}. Starting Airflow …", highlight=False)
            airflow = stack.enter_context(
                LocalAirflow(example_dags(), cluster.kubeconfig_path, _connection_extra(cluster))
            )
            code = _Demo(console, cluster, airflow).run()
            if keep:
                _keep(console, cluster, airflow)
            return code
    except (AirflowDidNotStart, LocalClusterDidNotStart) as error:
        print(error, file=sys.stderr)
        return 1


def _connection_extra(cluster: LocalCluster) -> dict[str, Any]:
    extra = cluster.connection_extra()
    return {name: value for name, value in extra.items() if name != "kube_config_path"}


@dataclass
class _Demo:
    console: Console
    cluster: LocalCluster
    airflow: LocalAirflow
    started: float = field(default_factory=time.monotonic)

    def run(self) -> int:
        self.airflow.wait_for_dag(DAG_ID)
        run_id = self.airflow.trigger(DAG_ID)
        self.console.print(f"Triggered {DAG_ID}, run {run_id}")
        state = asyncio.run(self._follow(run_id))
        lines = list(self.airflow.task_log(DAG_ID, run_id, TASK_ID))
        result = next((line.text[line.text.index(RESULT) :] for line in lines if RESULT in line.text), None)
        if state != "success" or result is None:
            self._print("\n".join(line.text for line in lines[-40:]))
            self.console.print(f"[bold red]The DAG run ended in state {state}.[/]")
            return 1
        self._show(run_id, lines, result)
        return 0

    def _show(self, run_id: str, lines: list[LogLine], result: str) -> None:
        self.console.print("\nWhat the trigger did, from the task's log:")
        for line in lines:
            if "airflow_spark_k8s.triggers" in line.logger:
                self._print(f"  {line.text}")
        self.console.print(executor_table(self.airflow.xcom(DAG_ID, run_id, TASK_ID)))
        self.console.print(f"[bold green]{result}[/]  ({time.monotonic() - self.started:.0f} s)")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    async def _follow(self, run_id: str) -> str:
        api = await ApiServer.open(ClusterSettings(kube_config_path=str(self.cluster.kubeconfig_path)))
        view, began, shown = View(), time.monotonic(), ""
        try:
            with Live(console=self.console, auto_refresh=False, transient=False) as live:
                while True:
                    with suppress(ClusterError):
                        view = await look(api, self.cluster.namespace, view)
                    task = await asyncio.to_thread(self._task_state, run_id)
                    live.update(view.panel(task, time.monotonic() - began), refresh=self.console.is_terminal)
                    if not self.console.is_terminal and view.line() != shown:
                        shown = view.line()
                        self._print(shown)
                    state = await asyncio.to_thread(self.airflow.run_state, DAG_ID, run_id)
                    if state in ENDED or time.monotonic() - began > LIMIT_SECONDS:
                        return state
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await api.close()

    def _task_state(self, run_id: str) -> str:
        return str(self.airflow.task_instance(DAG_ID, run_id, TASK_ID).get("state") or "waiting")


def _keep(console: Console, cluster: LocalCluster, airflow: LocalAirflow) -> None:
    console.print(
        f"\nAirflow: {airflow.url}  user [bold]{airflow.username}[/]  password [bold]{airflow.password}[/]"
    )
    kubectl = f"kubectl --kubeconfig {cluster.kubeconfig_path} get pods"
    console.print(f"Cluster: {kubectl}", highlight=False, soft_wrap=True)
    console.print("Ctrl-C ends both.")
    signal.pause()
