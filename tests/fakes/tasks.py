"""A driver that gives tasks to its executors, and executors whose memory is limited, on a FakeCluster."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.cluster import JSON
from tests.fakes.objects import DRIVER, EXECUTOR, status, terminated
from tests.fakes.spark import PODS, Application

TICK_SECONDS = 0.25
KILL_SECONDS = 4.0
"""So long tasks that need too much memory together take until the kernel notices."""


@dataclass
class Task:
    """One task of the only stage."""

    need_mib: int
    seconds: float = 6.0
    charged: int = 0  # executors that died under it by their own fault
    left_seconds: float = 0.0
    done: bool = False


@dataclass
class Worker:
    """One executor at work."""

    cores: int
    limit_mib: int
    tasks: list[Task] = field(default_factory=list)
    over_seconds: float = 0.0  # for how long its tasks have needed too much

    @property
    def too_much(self) -> bool:
        return sum(task.need_mib for task in self.tasks) > self.limit_mib


@dataclass
class Tasked(Application):
    """
    One application with one stage of tasks; the hungriest task is always given out first.

    Tasks on an executor that fails are charged for it, tasks on one whose pod was deleted are not.
    """

    tasks: list[Task] = field(default_factory=list)
    max_task_failures: int = 4
    cores: int = 2
    heap_mib: int = 1024
    overhead_mib: int = 384
    exit_as: tuple[int, str] = (137, "OOMKilled")  # of an executor whose tasks need too much
    workers: dict[str, Worker] = field(default_factory=dict)
    sizes: dict[str, JSON] = field(default_factory=dict)  # pod -> its size, if it has one of its own
    made: dict[str, JSON] = field(default_factory=dict)  # pod -> as it was created
    deaths: list[str] = field(default_factory=list)  # pods that ran out of memory, in order

    @property
    def stage(self) -> str:
        """State of the stage."""
        if all(task.done for task in self.tasks):
            return "COMPLETE"
        return "FAILED" if self._failed() else "ACTIVE"

    async def _executor(self, path: str) -> None:
        self.made[path.rpartition("/")[2]] = self.cluster.objects[path]
        await super()._executor(path)

    async def _driver(self, name: str) -> None:
        self.exit_code = None
        beside = asyncio.ensure_future(super()._driver(name))
        while self._phase(name) != "Running" or not self._known(name):  # noqa: ASYNC110
            await asyncio.sleep(TICK_SECONDS)
        while not self._failed() and not all(task.done for task in self.tasks):
            self._work(name)
            await asyncio.sleep(TICK_SECONDS)
        beside.cancel()
        await asyncio.sleep(1)
        code = 1 if self._failed() else 0
        self.end_driver(name, status("Failed" if code else "Succeeded", DRIVER, terminated(code)))

    def _failed(self) -> bool:
        return any(task.charged >= self.max_task_failures for task in self.tasks)

    def _work(self, driver: str) -> None:
        present = {f"{driver}-exec-{number}" for number in self._working(driver)}
        for name in present - self.workers.keys():
            self.workers[name] = self._worker(name)
        for name in self.workers.keys() - present:
            del self.workers[name]  # deleted: nothing is charged
        running = {id(task) for worker in self.workers.values() for task in worker.tasks}
        waiting = [task for task in self.tasks if not task.done and id(task) not in running]
        waiting.sort(key=lambda task: -task.need_mib)
        # multi-task executors first: the worst that a scheduler may do
        for name, worker in sorted(self.workers.items(), key=lambda item: -item[1].cores):
            leaving = self.cluster.objects[f"{PODS}/{name}"]["metadata"].get("deletionTimestamp")
            while waiting and len(worker.tasks) < worker.cores and not leaving:
                worker.tasks.append(waiting.pop(0))
                worker.tasks[-1].left_seconds = worker.tasks[-1].seconds
            self._advance(name, worker)

    def _advance(self, name: str, worker: Worker) -> None:
        worker.over_seconds = worker.over_seconds + TICK_SECONDS if worker.too_much else 0.0
        if worker.over_seconds >= KILL_SECONDS:
            for task in worker.tasks:
                task.charged += 1
            worker.tasks.clear()
            self.deaths.append(name)
            self._set(f"{PODS}/{name}", status("Failed", EXECUTOR, terminated(*self.exit_as)))
            return
        for task in list(worker.tasks):
            task.left_seconds -= 0.0 if worker.too_much else TICK_SECONDS
            if task.left_seconds <= 0:
                task.done = True
                worker.tasks.remove(task)

    def _worker(self, name: str) -> Worker:
        annotations = self.cluster.objects[f"{PODS}/{name}"]["metadata"].get("annotations") or {}
        size: dict[str, Any] = json.loads(annotations.get("airflow-spark-k8s/size", "{}"))
        self.sizes |= {name: size} if size else {}
        limit_mib = size.get("heap_mib", self.heap_mib) + size.get("overhead_mib", self.overhead_mib)
        return Worker(size.get("cores", self.cores), limit_mib)

    def _serve_rest(self, name: str) -> None:
        super()._serve_rest(name)
        root = f"{PODS}/{name}:4040/proxy/api/v1/applications/{name}"
        self.cluster.texts[f"{root}/stages"] = self._answering(name, lambda: [self._stage()])

    def _stage(self) -> JSON:
        done = sum(task.done for task in self.tasks)
        return {
            "stageId": 7,
            "attemptId": 0,
            "status": self.stage,
            "numTasks": len(self.tasks),
            "numCompletedIndices": done,
            "numActiveTasks": sum(len(worker.tasks) for worker in self.workers.values()),
        }

    def _told(self, driver: str, number: int) -> JSON:
        worker = self.workers.get(f"{driver}-exec-{number}")
        active = len(worker.tasks) if worker else 0
        return {**super()._told(driver, number), "activeTasks": active, "totalCores": self.cores}
