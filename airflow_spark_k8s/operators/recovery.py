"""The operator's arguments about executors that run out of memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.operators.arguments import check_flag
from airflow_spark_k8s.operators.cluster_operator import ClusterOperator
from airflow_spark_k8s.operators.learning import OFF, RUNS, Recalled, check_learn, keep, recalled
from airflow_spark_k8s.operators.shaping import constants_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_spark_k8s.core.advice import Learnt
    from airflow_spark_k8s.core.outcome import Outcome
    from airflow_spark_k8s.core.request import RecoveryRequest

RECOVERY_FIELDS = (
    "memory_step_factor",
    "max_executor_memory",
    "max_memory_steps",
    "max_executor_ooms",
    "recovery_window_seconds",
    "drain_fraction",
    "sticky_recovery",
    "recovery_node_selector",
    "recovery_tolerations",
    "recovery_priority_class",
)
"""Names of the arguments: those of `core.request.RecoveryRequest`, and of the extras of a connection."""


def recovery_of(task: object) -> RecoveryRequest:
    """The arguments of an operator, rendered, as its attributes have them."""
    from airflow_spark_k8s.core.request import RecoveryRequest

    return RecoveryRequest(**{name: getattr(task, name) for name in RECOVERY_FIELDS})


class RecoveryOperator(ClusterOperator):
    """
    An operator that says how executors are replaced that ran out of memory.

    None always means: as the connection says, else the default.

    :param memory_step_factor: by how much memory grows if an executor with one task ran out of it; None: 1.5.
    :param max_executor_memory: what a whole executor may grow to, such as "16g"; None: the largest node.
    :param max_memory_steps: how often an executor may grow; None: 3.
    :param max_executor_ooms: how many losses within the window are made up for; None: 10.
    :param recovery_window_seconds: the window; None: 3600.
    :param drain_fraction: part of the executors that is retired at once after a second loss, for others that
        take one task at a time; 0: none are; None: 0.25.
    :param sticky_recovery: True: new executors go on taking one task at a time when the stage has finished.
    :param recovery_node_selector: labels of the nodes for recovering executors, beside those of all.
    :param recovery_tolerations: tolerations of recovering executors, as Kubernetes writes them.
    :param recovery_priority_class: priority class of recovering executors.
    :param learn: "tries": a try starts with what earlier tries of the same run found out; "runs": advice of
        earlier runs is read, too; "off": nothing is read or kept.
    :param apply_advice: True: start with the advice of earlier runs instead of only showing it.
    :param kwargs: see `ConfOperator`.
    """

    _known: Learnt | None = None  # what the application was started with; None: not known

    def __init__(
        self,
        *,
        memory_step_factor: float | str | None = None,
        max_executor_memory: int | str | None = None,
        max_memory_steps: int | str | None = None,
        max_executor_ooms: int | str | None = None,
        recovery_window_seconds: float | str | None = None,
        drain_fraction: float | str | None = None,
        sticky_recovery: bool | str | None = None,
        recovery_node_selector: Mapping[str, str] | str | None = None,
        recovery_tolerations: Sequence[Mapping[str, Any]] | str | None = None,
        recovery_priority_class: str | None = None,
        learn: str = "tries",
        apply_advice: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.memory_step_factor = memory_step_factor
        self.max_executor_memory = max_executor_memory
        self.max_memory_steps = max_memory_steps
        self.max_executor_ooms = max_executor_ooms
        self.recovery_window_seconds = recovery_window_seconds
        self.drain_fraction = drain_fraction
        self.sticky_recovery = sticky_recovery
        self.recovery_node_selector = recovery_node_selector
        self.recovery_tolerations = recovery_tolerations
        self.recovery_priority_class = recovery_priority_class
        self.learn = check_learn(learn)
        self.apply_advice = check_flag("apply_advice", apply_advice)
        if self.apply_advice and self.learn != RUNS:
            raise InvalidConfiguration("apply_advice", True, f'has no effect unless learn="{RUNS}"')
        _check_constants(self)

    def _recalled(self, context: Context) -> Recalled:
        """What earlier tries and runs found out; asked of Airflow by the thread that talks to it."""
        return recalled(dict(context), self.learn, apply_advice=self.apply_advice, log=self.log)

    def _learn(self, context: Context, outcome: Outcome) -> None:
        """Keep what this try found out, for the next try and the next run."""
        from airflow_spark_k8s.core.advice import learnt_from

        known, ti = self._known, context["ti"]
        if known is None or self.learn == OFF:
            return
        origin = f"try {ti.try_number} of run {ti.run_id}"
        learnt = learnt_from(outcome.advice, known, origin=origin)
        if learnt.evidence:
            keep(dict(context), learnt, news=learnt != known, push=self.do_xcom_push, log=self.log)


def _check_constants(task: object) -> None:
    constants = constants_of(task, RECOVERY_FIELDS)
    if not constants:
        return  # without the cost of the import, which most DAG files need not pay
    from airflow_spark_k8s.core.recovery_settings import check_recovery
    from airflow_spark_k8s.core.request import RecoveryRequest

    check_recovery(RecoveryRequest(**constants))
