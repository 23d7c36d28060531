"""Everything that one simulation is made of."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.client import InProcessCluster
from airflow_spark_k8s.local.kubelet_node import NodeOffer
from airflow_spark_k8s.local.manifests import is_terminal
from airflow_spark_k8s.local.paper_cluster import PaperCluster
from airflow_spark_k8s.local.paper_spark import PaperSpark, SparkModel
from airflow_spark_k8s.local.simulation import requests
from airflow_spark_k8s.local.simulation.process import Process
from airflow_spark_k8s.local.simulation.scenario import Scenario
from airflow_spark_k8s.local.simulation.trace import Trace
from airflow_spark_k8s.local.simulation.watcher import Watcher
from airflow_spark_k8s.local.simulation.weather import Weather
from airflow_spark_k8s.local.simulation.wire import Gate, Wire

NAMESPACE = "default"

_SECRETS = (requests.AUTH_SECRET.decode(), requests.PASSWORD)


@dataclass
class Stage:
    """The cluster, the network in front of it, and what watches it."""

    scenario: Scenario
    trace: Trace
    cluster: PaperCluster
    spark: PaperSpark
    weather: Weather
    watcher: Watcher
    targets: dict[str, int]  # application (by its label) -> executors that it asked for
    limits: dict[str, int] = field(default_factory=dict)  # the same -> driver restarts that it allows
    gate: Gate = field(default_factory=Gate)
    processes: list[Process] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)  # of every try, in seconds since the epoch
    retained: list[str] = field(default_factory=list)  # uids of Jobs that were given their retention
    problems: list[str] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def build(cls, scenario: Scenario, trace: Trace) -> Stage:
        """The stage for a scenario, on the running loop."""
        loop: Any = asyncio.get_running_loop()
        application = scenario.application
        cluster = PaperCluster(
            seed=scenario.seed,
            timers=loop,
            nodes=[NodeOffer(name=f"node-{number}") for number in range(1, scenario.nodes + 1)],
            history=scenario.history,
        )
        model = SparkModel(
            tasks=application.tasks,
            exit_code=application.exit_code,
            term_seconds=application.term_seconds,
            ui=application.ui,
            registration_seconds=application.registration_seconds,
        )
        spark = PaperSpark(cluster, model)
        weather = Weather(scenario.spells, scenario.chance("weather"), scenario.latency, loop.time)
        targets: dict[str, int] = {}
        stage: Stage
        watcher = Watcher(cluster, trace, targets, _SECRETS, lambda text: stage.broken(text))
        loop.set_exception_handler(lambda _, context: stage.broken(_described(context)))
        stage = cls(scenario, trace, cluster, spark, weather, watcher, targets)
        return stage

    def broken(self, text: str) -> None:
        """Report that a promise was broken, and end the simulation."""
        self.trace.say("PROBLEM", text)
        self.problems.append(text)
        self.stopped.set()

    def process(self, kind: str, *, steps: int | None = None) -> Process:
        """A new process of Airflow."""
        name = f"{kind}-{next(self._numbers)}"
        process = Process(name, self.scenario.chance(name), steps=steps)
        process.generation = self.gate.given_out
        self.processes.append(process)
        return process

    def wire(self, process: Process) -> Wire:
        """A process's connection to the API server."""
        network = len(self.wires) % 2
        cluster = InProcessCluster(self.cluster.api, sharing=True)
        wire = Wire(cluster, process, self.weather, self.gate, self.trace, network)
        self.wires.append(wire)
        return wire

    def log(self, name: str, line: str) -> None:
        """Take in one line of a controller's log."""
        self.check_record(f"the log of {name}", line)
        self.trace.say(name, line)

    def check_record(self, what: str, content: str) -> None:
        """Report a secret in something that Airflow or the cluster stores."""
        for secret in _SECRETS:
            if secret in content:
                self.broken(f"a secret is in {what}")

    @property
    def is_calm(self) -> bool:
        """Whether the time of faults is over."""
        return self.now >= self.scenario.calm_at

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return float(self.cluster.timers.time())

    def live_pods(self, role: str) -> list[Manifest]:
        """Pods of a Spark role that have not ended."""
        return [pod for pod in self.cluster.pods(NAMESPACE, f"spark-role={role}") if not is_terminal(pod)]


def _described(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context['message']}: {type(error).__name__}: {error}" if error else str(context["message"])
