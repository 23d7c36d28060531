"""Watches one Spark application and allocates its executors, in Airflow's triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_spark_k8s.core.labels import LABEL_APPLICATION
from airflow_spark_k8s.exceptions import InvalidConfiguration, UnknownConnection, WrongCluster
from airflow_spark_k8s.version_compat import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from airflow_spark_k8s.controller.clock import Clock
    from airflow_spark_k8s.core.outcome import Outcome
    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.kube.cluster import Cluster

_ASKING_SECONDS = 18.0  # both together less than the 30 s that Airflow allows a killed trigger
_REMOVING_SECONDS = 10.0
_HEAVY_MODULES = ("airflow_spark_k8s.controller.loop", "airflow_spark_k8s.kube.client")
_CONNECTION_PAUSES_SECONDS = (1, 2, 4, 8, 15, 30, 60, 60)
_IN_HAND = frozenset({"scheduled", "queued", "running"})  # a worker is about to see to an ended application


class SparkKubernetesJobTrigger(BaseTrigger):
    """
    Fires once, with the application's outcome, or with what kept the trigger from finding one.

    :param conn_id: connection to the cluster.
    :param reference: the application: the fields of `core.spec.ApplicationReference`.
    :param deadline_epoch_seconds: when the application is stopped; None: never.
    :param patience_seconds: how long the cluster may be out of sight; None: for ever.
    :param hold_seconds: the event does not come earlier than this after the start.
    """

    _asked: ClassVar[bool] = False  # whether a trigger of this process has asked Airflow anything

    def __init__(
        self,
        *,
        conn_id: str,
        reference: dict[str, str],
        deadline_epoch_seconds: float | None = None,
        patience_seconds: float | None = None,
        hold_seconds: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id
        self.reference = dict(reference)
        self.deadline_epoch_seconds = deadline_epoch_seconds
        self.patience_seconds = patience_seconds
        self.hold_seconds = hold_seconds
        self._fired = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments: identifiers only, since Airflow stores them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "conn_id": self.conn_id,
                "reference": self.reference,
                "deadline_epoch_seconds": self.deadline_epoch_seconds,
                "patience_seconds": self.patience_seconds,
                "hold_seconds": self.hold_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event; see `operators.spark_kubernetes_job` for what it holds."""
        warm_up = asyncio.create_task(self._warm_up())
        try:
            event = await self._watch()
        finally:
            warm_up.cancel()
        # Airflow calls on_kill for a trigger that works on after its event: nothing may follow the yield.
        self._fired = True
        yield TriggerEvent({**event, "reference": self.reference})  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """
        Remove the application, if the task was really killed.

        Airflow also calls this when it moves the trigger to another triggerer. So the task's state is asked
        for: while it is deferred, some trigger looks after its application, and a later try has already
        adopted or removed that of this one.
        """
        if self._fired:
            return
        try:
            state = await asyncio.wait_for(self._task_state(), _ASKING_SECONDS)
            if state == "deferred":
                self.log.info("The task is still deferred: the application goes on.")
                return
            await asyncio.wait_for(self._remove(state), _REMOVING_SECONDS)
        except Exception as error:
            self.log.warning(
                "The application stays (%s). To remove it by hand: kubectl -n %s delete jobs -l %s=%s",
                str(error) or type(error).__name__,
                self.reference["namespace"],
                LABEL_APPLICATION,
                self.reference["application"],
            )

    async def _warm_up(self) -> None:
        """
        Ask Airflow something now, so that it answers fast when the task is killed.

        The first question of a process makes the triggerer build an API server within itself, which can take
        longer than it gives a killed trigger.
        """
        if SparkKubernetesJobTrigger._asked:
            return
        SparkKubernetesJobTrigger._asked = True
        with suppress(Exception):
            await self._task_state()

    async def _watch(self) -> dict[str, Any]:
        from airflow_spark_k8s.controller.clock import SystemClock

        clock = SystemClock()
        started = clock.monotonic()
        for module in _HEAVY_MODULES:
            # Seconds of work on a cold start, which the other triggers of this process should not wait for.
            await asyncio.to_thread(import_module, module)
        try:
            return {"outcome": (await self._outcome()).as_dict()}
        except WrongCluster as error:
            self.log.error("%s", error)
            await clock.sleep(max(0.0, self.hold_seconds - (clock.monotonic() - started)))
            return {"wrong_cluster": str(error)}
        except Exception as error:
            # Raising here would end the task without a step on a worker, and leave the application alone.
            self.log.exception("The application cannot be watched any longer")
            await clock.sleep(max(0.0, self.hold_seconds - (clock.monotonic() - started)))
            return {"error": f"{type(error).__name__}: {error}"}

    async def _outcome(self) -> Outcome:
        from airflow_spark_k8s.controller.clock import SystemClock
        from airflow_spark_k8s.controller.loop import run

        clock = SystemClock()
        cluster = await self._cluster_in_time(clock)
        try:
            return await run(
                cluster,
                self._application(),
                clock=clock,
                report=self._report,
                deadline_epoch_seconds=self.deadline_epoch_seconds,
                patience_seconds=self.patience_seconds,
                hold_seconds=self.hold_seconds,
            )
        finally:
            await cluster.close()

    async def _cluster_in_time(self, clock: Clock) -> Cluster:
        """The cluster; Airflow's answer to who that is may take a while when all of Airflow restarts."""
        for seconds in _CONNECTION_PAUSES_SECONDS:
            try:
                return await self._cluster()
            except Exception as error:
                if isinstance(error, InvalidConfiguration) and not isinstance(error, UnknownConnection):
                    raise
                self.log.warning(
                    "Connection %s cannot be read: %s; next try in %s s", self.conn_id, error, seconds
                )
                await clock.sleep(seconds)
        return await self._cluster()

    def _report(self, line: str) -> None:
        self.log.info("%s", line)

    def _application(self) -> ApplicationReference:
        from airflow_spark_k8s.core.spec import ApplicationReference

        return ApplicationReference(**self.reference)

    async def _task_state(self) -> str | None:
        """State of the task instance at this moment; None if it has none or is gone."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from asgiref.sync import sync_to_async

        ti = self.task_instance
        if ti is None:
            raise LookupError("this trigger belongs to no task instance")
        states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        key = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        state: str | None = states.get(ti.run_id, {}).get(key)
        return state

    async def _cluster(self) -> Cluster:
        from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook

        return await SparkKubernetesHook(self.conn_id).cluster_of(self._application(), lasting=True)

    async def _remove(self, state: str | None) -> None:
        from airflow_spark_k8s.triggers.removal import remove_applications

        cluster = await self._cluster()
        try:
            deleted = await remove_applications(
                cluster,
                self.reference["namespace"],
                self.reference["ti_id"],
                only_running=state in _IN_HAND,
            )
        finally:
            await cluster.close()
        for name in deleted:
            self.log.info("Removed Job %s: its task is %s", name, state or "cleared")
