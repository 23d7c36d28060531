"""One task as Airflow runs it: tries, workers that submit, triggers that watch, users who interrupt."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from airflow_spark_k8s.controller.loop import kill, run
from airflow_spark_k8s.controller.submission import submit_patiently
from airflow_spark_k8s.core.outcome import Outcome
from airflow_spark_k8s.core.spec import ApplicationReference
from airflow_spark_k8s.exceptions import ClusterError
from airflow_spark_k8s.kube.submit import retain
from airflow_spark_k8s.local.simulation import requests
from airflow_spark_k8s.local.simulation.process import Process, ProcessDied
from airflow_spark_k8s.local.simulation.scenario import IMMORTAL, Interruption, Lifetime, TryPlan
from airflow_spark_k8s.local.simulation.stage import NAMESPACE, Stage
from airflow_spark_k8s.local.simulation.truth import check_outcome
from airflow_spark_k8s.triggers.removal import remove_applications

RETENTION_SECONDS = 30
_REMOVAL_SECONDS = 10.0  # what a killed trigger may take


@dataclass(frozen=True, slots=True)
class Ended:
    """How the task ended."""

    state: str  # success, failed or killed
    killed: str | None  # the application that was killed; None: none was


class Task:
    """The task instance of one simulation."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._palette = stage.scenario.application.palette % requests.PALETTE
        self._chance = stage.scenario.chance("airflow")
        self._leftovers: list[asyncio.Task[None]] = []  # of tries that are over for Airflow
        self._number = 0  # of the try at work
        self._orphans = False  # a submission was stopped: gc has to remove what it left

    async def run(self) -> Ended:
        """The end of the task, after as many tries as it takes."""
        while True:
            self._number += 1
            plans = self._stage.scenario.tries
            plan = plans[min(self._number, len(plans)) - 1]
            attempt = _Try(self._stage, self, self._number, plan)
            state = await attempt.run()
            self._stage.trace.say("airflow", f"try {self._number}: {state or 'another try'}")
            if state is not None:
                await self._await_leftovers()
                return Ended(state, attempt.application if state == "killed" else None)
            if plan.changed and not self._stage.is_calm:
                self._palette = (self._palette + 1) % requests.PALETTE
            await asyncio.sleep(self._chance.choice([0.0, self._chance.uniform(0, 60)]))

    @property
    def palette(self) -> int:
        """What the task submits now."""
        return self._palette

    def leave(self, work: asyncio.Task[None]) -> None:
        """Let some work continue although its try is over."""
        self._leftovers.append(work)

    def stopped(self) -> None:
        """Note that a worker was stopped while it submitted: one of its calls may still take effect."""
        self._orphans = True

    async def collect_orphans(self) -> None:
        """Do what `gc` does some time later: remove what belongs to tries that are over."""
        while self._orphans:
            process = self._stage.process("gc")
            try:
                for number in range(1, self._number + 1):
                    ti_id = requests.identity_of(number).ti_id
                    names = await process.run(
                        remove_applications(self._stage.wire(process), NAMESPACE, ti_id)
                    )
                    self._stage.trace.say(process.name, f"removed {names}")
                return
            except ClusterError as error:
                self._stage.trace.say(process.name, f"failed: {error}")
            await asyncio.sleep(10)

    async def _await_leftovers(self) -> None:
        for work in self._leftovers:
            await work


class _Try:
    """One try of the task."""

    def __init__(self, stage: Stage, task: Task, number: int, plan: TryPlan) -> None:
        self._stage = stage
        self._task = task
        self._number = number
        self._plan = plan
        self._chance = stage.scenario.chance(f"try {number}")
        self._identity = requests.identity_of(number)
        self._deadline: float | None = None
        self.application: str | None = None  # that it watches

    async def run(self) -> str | None:
        """State of the task after this try; None: there is another one."""
        submission = asyncio.create_task(self._submitted())
        if self._interruption is not None and self._plan.stopped_after is not None:
            await asyncio.wait([submission], timeout=self._plan.stopped_after)
            if not submission.done():
                return await self._stopped(submission)
        reference = await submission
        if reference is None:
            return None
        self.application = reference.application
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        keepers = [
            asyncio.create_task(self._keep(reference, index, outcome)) for index in range(self._plan.triggers)
        ]
        patience = None if self._interruption is None else self._plan.interrupted_after
        await asyncio.wait([outcome], timeout=patience)
        if not outcome.done():
            return await self._interrupted(reference, keepers)
        self._task.leave(asyncio.create_task(self._let_go(keepers)))
        return await self._concluded(reference, outcome.result())

    @property
    def _interruption(self) -> Interruption | None:
        return None if self._stage.is_calm else self._plan.interruption

    # the worker's first step

    async def _submitted(self) -> ApplicationReference | None:
        """The application; None if the worker died or gave up."""
        stage, steps = self._stage, None if self._stage.is_calm else self._plan.worker_steps
        worker = stage.process("worker", steps=steps)
        if self._plan.deadline_seconds is not None:
            self._deadline = worker.clock.now() + self._plan.deadline_seconds
            stage.deadlines.append(self._deadline)
        manifests = requests.manifests(self._task.palette, self._number)
        application = requests.application(self._task.palette)
        stage.targets[manifests.application] = application.allocation.target
        stage.limits[manifests.application] = application.max_driver_restarts
        submission = submit_patiently(
            stage.wire(worker),
            manifests,
            self._identity,
            clock=worker.clock,
            report=lambda line: stage.log(worker.name, line),
        )
        try:
            submitted = await worker.run(submission)
        except ProcessDied:
            stage.trace.count("worker died in the submission")
            stage.trace.say(worker.name, "died")
            return None
        except ClusterError as error:
            stage.trace.say(worker.name, f"gave up: {error}")
            with suppress(ClusterError, ProcessDied):
                await worker.run(self._removal(worker))
            return None
        stage.trace.say(worker.name, f"{submitted.how}: {submitted.reference.job_name}")
        return submitted.reference

    async def _stopped(self, submission: asyncio.Task[ApplicationReference | None]) -> str | None:
        """The worker gets SIGTERM while it submits: it stops, and removes what it has submitted."""
        stage, interruption = self._stage, self._plan.interruption
        stage.trace.count(f"{interruption} in the submission")
        stage.trace.say("airflow", f"try {self._number}: {interruption} in the submission")
        self._task.stopped()
        submission.cancel()
        await asyncio.wait([submission])
        self.application = requests.manifests(self._task.palette, self._number).application
        worker = stage.process("worker")
        with suppress(ClusterError, TimeoutError, ProcessDied):
            async with asyncio.timeout(_REMOVAL_SECONDS):
                await worker.run(self._removal(worker))
        return "killed" if interruption is Interruption.KILL else None

    async def _removal(self, process: Process, *, only_running: bool = False) -> None:
        wire = self._stage.wire(process)
        names = await remove_applications(wire, NAMESPACE, self._identity.ti_id, only_running=only_running)
        self._stage.trace.say(process.name, f"removed {names}")

    # triggers

    async def _keep(
        self, reference: ApplicationReference, index: int, outcome: asyncio.Future[Outcome]
    ) -> None:
        """A trigger that is started again whenever its process dies."""
        lifetimes = list(self._plan.lifetimes[index :: self._plan.triggers])
        while True:
            lifetime = lifetimes.pop(0) if lifetimes and not self._stage.is_calm else IMMORTAL
            try:
                found = await self._watch(reference, lifetime)
            except Exception as error:
                self._stage.broken(f"a controller raised {_named(error)}")
                return
            if found is not None:
                if not outcome.done():
                    outcome.set_result(found)
                return
            self._stage.trace.count("trigger restarted")
            await asyncio.sleep(self._chance.choice([0.0, self._chance.uniform(0, 40)]))

    async def _watch(self, reference: ApplicationReference, lifetime: Lifetime) -> Outcome | None:
        """What a trigger finds out; None if it dies before."""
        stage = self._stage
        stage.check_record("the trigger's kwargs", json.dumps([asdict(reference), self._deadline]))
        process = stage.process("trigger", steps=lifetime.steps)
        watching = run(
            stage.wire(process),
            reference,
            clock=process.clock,
            report=lambda line: stage.log(process.name, line),
            deadline_epoch_seconds=self._deadline,
            holder=process.name,
        )
        death = None
        if lifetime.seconds is not None:
            death = asyncio.get_running_loop().call_later(lifetime.seconds, process.die)
        try:
            found = await process.run(watching)
        except ProcessDied:
            stage.trace.say(process.name, "died")
            return None
        finally:
            process.alive = False
            if death is not None:
                death.cancel()
        stage.trace.say(process.name, f"outcome: {found.verdict}: {found.message}")
        check_outcome(stage, reference, found)
        # The payload of the event is the XCom, too.
        stage.check_record("the outcome", json.dumps(found.as_dict()))
        return found

    async def _let_go(self, keepers: list[asyncio.Task[None]]) -> None:
        """Stop the triggers that still watch: Airflow does not need them any more."""
        if self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.uniform(0, 40))
        for keeper in keepers:
            keeper.cancel()
        for result in await asyncio.gather(*keepers, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    # its end

    async def _concluded(self, reference: ApplicationReference, outcome: Outcome) -> str | None:
        stage = self._stage
        worker = stage.process("worker")
        with suppress(ClusterError, ProcessDied):
            job = outcome.job_of(reference)
            await worker.run(retain(stage.wire(worker), job, RETENTION_SECONDS))
            stage.retained.append(job.job_uid)
        if outcome.succeeded:
            return "success"
        return "failed" if self._number >= 3 else None

    async def _interrupted(
        self, reference: ApplicationReference, keepers: list[asyncio.Task[None]]
    ) -> str | None:
        stage = self._stage
        interruption = self._plan.interruption
        stage.trace.count(str(interruption))
        stage.trace.say("airflow", f"try {self._number}: {interruption}")
        if interruption is Interruption.CLEAR:
            self._task.leave(asyncio.create_task(self._let_go(keepers)))
            if self._chance.random() < 0.5:  # else no triggerer is alive to do it
                self._task.leave(asyncio.create_task(self._cleared()))
            return None
        if self._chance.random() < 0.5:
            self._task.leave(asyncio.create_task(self._let_go(keepers)))
        else:
            await self._let_go(keepers)
        await self._killed(reference)
        return "killed"

    async def _cleared(self) -> None:
        """Do what the trigger's `on_kill` does, while the next try may be at work already."""
        await asyncio.sleep(self._chance.choice([0.0, self._chance.uniform(0, 20)]))
        process = self._stage.process("trigger")
        with suppress(ClusterError, TimeoutError, ProcessDied):
            async with asyncio.timeout(_REMOVAL_SECONDS):
                await process.run(self._removal(process, only_running=True))

    async def _killed(self, reference: ApplicationReference) -> None:
        """Remove the application; if one process fails to, another one tries."""
        while True:
            process = self._stage.process("killer")
            removal = (
                kill(self._stage.wire(process), reference)
                if self._chance.random() < 0.5
                else self._removal(process)
            )
            try:
                async with asyncio.timeout(_REMOVAL_SECONDS * 3):
                    await process.run(removal)
                return
            except (ClusterError, TimeoutError) as error:
                self._stage.trace.say(process.name, f"failed: {error}")
            await asyncio.sleep(self._chance.uniform(1, 10))


def _named(error: BaseException) -> str:
    """The innermost errors of an exception that may be a group."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_named(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"
