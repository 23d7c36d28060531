"""A cluster of values: what plans do to it is seen at the next look, at once and without fail."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from airflow_spark_k8s.core.actions import CreateExecutor, DeletePod, MarkDriver, ReadEvents
from airflow_spark_k8s.core.cleanup import Cleanup, cleanup
from airflow_spark_k8s.core.executor_ids import IdMarks
from airflow_spark_k8s.core.fleet import Fleet, fleet_of
from airflow_spark_k8s.core.history import History
from airflow_spark_k8s.core.pod_state import EndKind, PodState
from airflow_spark_k8s.core.reconcile import Plan
from airflow_spark_k8s.core.recovery import Recovery, recover
from airflow_spark_k8s.core.size import Size
from airflow_spark_k8s.core.snapshot import ExecutorPod, Observed, RegisteredExecutor
from airflow_spark_k8s.core.state import Desired, Scene, State
from tests.fakes.scenes import START, UNKNOWN, Story, driver, executor, failed, observed, says, spark

TICK_SECONDS = 2.0
LEAVING_SECONDS = 30


@dataclass
class Model:
    """One application under one controller after the other."""

    desired: Desired
    now: float = START
    pods: dict[int, ExecutorPod] = field(default_factory=dict)
    marks: IdMarks = field(default_factory=IdMarks)
    history: History = field(default_factory=History)
    stages: dict[int, str] = field(default_factory=lambda: {7: "ACTIVE"})
    slow: set[int] = field(default_factory=set)  # executors that do not register
    leaving_since: dict[int, float] = field(default_factory=dict)  # of pods that were told to end
    busy: set[int] = field(default_factory=set)
    removed: dict[int, str] = field(default_factory=dict)  # executors whose removal the driver tells of
    lingering: bool = False  # deleted pods stay until `leave`
    answers: bool = True  # the driver can be asked
    created: dict[int, Size | None] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    version: int = 1
    story: Story = field(init=False)

    def __post_init__(self) -> None:
        self.story = Story(self.desired, self.now, State(holder="first"))

    @property
    def target(self) -> int:
        settings = self.desired.settings
        assert settings is not None
        return settings.allocation.target

    @property
    def alive(self) -> list[int]:
        """Executors that are there and not over."""
        return [number for number, pod in sorted(self.pods.items()) if not pod.ended]

    @property
    def steps(self) -> list[int]:
        """Steps of the executors that are alive, lowest first."""
        sizes = [self.pods[number].size for number in self.alive]
        return sorted(0 if size is None else size.step for size in sizes)

    def view(self) -> Observed:
        """What a controller sees."""
        marked = driver(marks=self.marks, history=self.history, resource_version=str(self.version))
        known = {
            number: RegisteredExecutor(True, 1, 5, 0, active_tasks=int(number in self.busy))
            for number in self.alive
            if number not in self.slow
        }
        known |= {
            number: RegisteredExecutor(False, 1, 5, 0, remove_reason=why)
            for number, why in self.removed.items()
        }
        answer = {} if self.answers else UNKNOWN
        told = spark(**{"executors": known, "stages": dict(self.stages), "asked_at": self.now, **answer})
        return observed(*self.pods.values(), drivers=(marked,), spark=told)

    def tick(self) -> Plan:
        """One look and what it does; then some time passes."""
        # Whatever stays for longer than its grace period counts as lost with its node, and is replaced.
        over = [number for number, at in self.leaving_since.items() if self.now - at >= LEAVING_SECONDS]
        for number in over:
            del self.leaving_since[number]
            self.pods.pop(number, None)
        self.story.now = self.now
        plan = self.story.look(self.view())
        self.lines += says(plan)
        self.plans.append(plan)
        for action in plan.actions:
            match action:
                case MarkDriver():
                    self.marks = action.marks or self.marks
                    self.history = action.history or self.history
                    self.version += 1
                case CreateExecutor():
                    assert action.executor_id not in self.created
                    self.created[action.executor_id] = action.size
                    self.pods[action.executor_id] = executor(action.executor_id, size=action.size)
                case DeletePod():
                    self._delete(action.name)
                case ReadEvents():
                    raise AssertionError("nobody answers this here")
        self.now += TICK_SECONDS
        return plan

    def settle(self, ticks: int = 8) -> Model:
        """So many ticks."""
        for _ in range(ticks):
            self.tick()
        return self

    def end(self, number: int, state: PodState) -> Model:
        """Let an executor end."""
        self.pods[number] = replace(self.pods[number], state=state)
        return self

    def kill(self, *numbers: int, kind: EndKind = EndKind.OUT_OF_MEMORY, code: int = 137) -> Model:
        """Let executors run out of memory, one after the other, and settle."""
        for number in numbers:
            self.end(number, failed(kind, code)).settle()
        return self

    def leave(self) -> Model:
        """Let pods that were asked to go be gone, and settle."""
        self.pods = {number: pod for number, pod in self.pods.items() if pod.leaving_seconds is None}
        return self.settle()

    def another_controller(self, name: str) -> None:
        """Somebody else goes on, who remembers nothing."""
        self.story = Story(self.desired, self.now, State(holder=name))

    def decided(self) -> tuple[Recovery | None, Cleanup]:
        """What a controller without any memory makes of the cluster as it is."""
        settings = self.desired.settings
        assert settings is not None
        fleet, scene = self._look()
        return (
            recover(settings, self.history, self.stages, self.now),
            cleanup(scene, fleet, settings),
        )

    def _look(self) -> tuple[Fleet, Scene]:
        view = self.view()
        since = {("ended", "uid-d-1", len(self.history.entries)): self.now}
        scene = Scene(self.desired, view, State(holder="new"), since, self.now)
        return fleet_of(scene, view.drivers[-1]), scene

    def _delete(self, name: str) -> None:
        number = next(number for number, pod in self.pods.items() if pod.name == name)
        if self.lingering and not self.pods[number].ended:
            self.pods[number] = replace(self.pods[number], leaving_seconds=LEAVING_SECONDS)
            self.leaving_since[number] = self.now
        else:
            del self.pods[number]
