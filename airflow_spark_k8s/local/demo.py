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

import httpx
from rich.console import Console
from rich.live import Live

import airflow_spark_k8s
from airflow_spark_k8s.exceptions import ClusterError
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.local.airflow import AirflowDidNotStart, LocalAirflow, LogLine
from airflow_spark_k8s.local.cluster import LocalCluster, LocalClusterDidNotStart
from airflow_spark_k8s.local.demo_scenarios import Scenario
from airflow_spark_k8s.local.demo_view import View, executor_table, look, told
from airflow_spark_k8s.local.descendants import end_on_signals

ENDED = frozenset({"success", "failed"})
LOOK_SECONDS = 1.0
LIMIT_SECONDS = 600.0


def example_dags() -> Path:
    """Folder of the example DAGs: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(airflow_spark_k8s.__file__).parent
    inside = package / "example_dags"
    return inside if inside.is_dir() else package.parent / "example_dags"


def run_demo(scenario: Scenario, *, keep: bool) -> int:
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
            code = _Demo(scenario, console, cluster, airflow).run()
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
    scenario: Scenario
    console: Console
    cluster: LocalCluster
    airflow: LocalAirflow
    started: float = field(default_factory=time.monotonic)
    told: int = 0  # lines of the trigger that were shown already
    _shown: str = ""  # the last view, where there is no terminal

    def run(self) -> int:
        dag_id = self.scenario.dag_id
        self.airflow.wait_for_dag(dag_id)
        run_id = self.airflow.trigger(dag_id)
        self.console.print(f"Triggered {dag_id}, run {run_id}: {self.scenario.about}", highlight=False)
        state = asyncio.run(self._follow(run_id))
        lines, wanted = self._log(run_id), self.scenario.result
        result = next((line.text[line.text.index(wanted) :] for line in lines if wanted in line.text), None)
        if state != "success" or result is None:
            self._print("\n".join(line.text for line in lines[-40:]))
            self.console.print(f"[bold red]The DAG run ended in state {state}.[/]")
            return 1
        self._tell(lines)
        self._print("")
        self.console.print(
            executor_table(self.airflow.xcom(dag_id, run_id, self.scenario.task_id)),
            f"[bold green]{result}[/]  ({time.monotonic() - self.started:.0f} s)",
        )
        return 0

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _tell(self, lines: list[LogLine]) -> None:
        """Print what the trigger has written since the last time."""
        texts = told(line.text for line in lines if "airflow_spark_k8s.triggers" in line.logger)
        for text in texts[self.told :]:
            self._print(f"  {text}")
        self.told = max(self.told, len(texts))

    async def _follow(self, run_id: str) -> str:
        api = await ApiServer.open(ClusterSettings(kube_config_path=str(self.cluster.kubeconfig_path)))
        view, began = View(), time.monotonic()
        try:
            with Live(console=self.console, auto_refresh=False, transient=False) as live:
                while True:
                    with suppress(ClusterError):
                        view = await look(api, self.cluster.namespace, view)
                    await self._update(live, view, run_id, time.monotonic() - began)
                    state = await asyncio.to_thread(self.airflow.run_state, self.scenario.dag_id, run_id)
                    if state in ENDED or time.monotonic() - began > LIMIT_SECONDS:
                        return state
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await api.close()

    async def _update(self, live: Live, view: View, run_id: str, seconds: float) -> None:
        self._tell(await asyncio.to_thread(self._log, run_id))
        if not self.console.is_terminal:
            if view.line() != self._shown:
                self._shown = view.line()
                self._print(self._shown)
            return
        task = await asyncio.to_thread(self._task_state, run_id)
        live.update(view.panel(self.scenario.dag_id, task, seconds), refresh=True)

    def _log(self, run_id: str) -> list[LogLine]:
        """The task's log so far; nothing while Airflow has none to show."""
        with suppress(httpx.HTTPError):
            return list(self.airflow.task_log(self.scenario.dag_id, run_id, self.scenario.task_id))
        return []

    def _task_state(self, run_id: str) -> str:
        task = self.airflow.task_instance(self.scenario.dag_id, run_id, self.scenario.task_id)
        return str(task.get("state") or "waiting")


def _keep(console: Console, cluster: LocalCluster, airflow: LocalAirflow) -> None:
    console.print(
        f"\nAirflow: {airflow.url}  user [bold]{airflow.username}[/]  password [bold]{airflow.password}[/]"
    )
    kubectl = f"kubectl --kubeconfig {cluster.kubeconfig_path} get pods"
    console.print(f"Cluster: {kubectl}", highlight=False, soft_wrap=True)
    console.print("Ctrl-C ends both.")
    signal.pause()
