"""
Run a Spark application on Kubernetes as an Airflow task.

The event that resumes a deferred task is `{"reference": …, "outcome": …}`, or, if the trigger could not find
an outcome, `{"reference": …, "error": …}` or `{"reference": …, "wrong_cluster": …}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    TaskDeferralError,
    TaskDeferralTimeout,
)

from airflow_spark_k8s.exceptions import (
    Forbidden,
    Invalid,
    InvalidConfiguration,
    UnknownConnection,
    WrongCluster,
)
from airflow_spark_k8s.operators.arguments import check_count, check_flag, check_template
from airflow_spark_k8s.operators.learning import NOTHING
from airflow_spark_k8s.operators.recovery import RECOVERY_FIELDS, RecoveryOperator
from airflow_spark_k8s.operators.shaping import SHAPING_FIELDS, check_constants
from airflow_spark_k8s.operators.shown import SHOWN_FIELDS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_spark_k8s.core.outcome import Outcome
    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook
    from airflow_spark_k8s.kube.cluster import Cluster
    from airflow_spark_k8s.operators.learning import Recalled
    from airflow_spark_k8s.operators.plan import Plan
    from airflow_spark_k8s.operators.submission import Submission

_BACKSTOP = timedelta(minutes=5)  # Airflow's own timeout runs no code of ours: it must never come first


class SparkKubernetesJobOperator(RecoveryOperator):
    """
    Runs a Spark application: its driver as a Kubernetes Job, its executors created by this task's trigger.

    :param conn_id: connection of type `spark_kubernetes`.
    :param application: a file of the DAG bundle, `local:///…` in the image, or a remote URI.
    :param application_args: arguments of the application.
    :param main_class: class to run; None for Python, or if the jar names it.
    :param name: `spark.app.name`; None: `<dag id>.<task id>`.
    :param conf: Spark properties.
    :param py_files: as `--py-files` of spark-submit; so are `jars`, `files` and `packages`.
    :param image: image of driver and executors; None: from `conf` or the connection.
    :param spark_version: such as "4.3.0"; None: from the connection or the image's tag.
    :param namespace: None: the connection's.
    :param burst_factor: lets executors share memory overhead with their neighbours: a factor such as 1.2, or
        `{"factor": 1.2, "fraction": 0.25}` for a quarter of them; 1: not at all; None: from `conf` or the
        connection.
    :param min_guaranteed_ratio: part of the overhead that stays an executor's own in any case; None: 0.1.
    :param burst_offheap: whether off-heap memory is shared as well.
    :param min_guaranteed_offheap_ratio: part of it that stays an executor's own; None: 0.5.
    :param driver_priority_class: priority class of the driver's pod; None: the connection's.
    :param executor_priority_class: the same for the executors' pods.
    :param executor_qos_class: "Guaranteed" or "Burstable": fail before the start if they would be another.
    :param driver_template: replaces the driver Job's template (YAML text, or a `.yaml`, `.yml` or `.j2` file
        of the DAG bundle) or patches its result (a dict).
    :param executor_template: the same for the executors' pods.
    :param max_driver_restarts: how often a driver that was taken away or deleted is started again; 0: never.
    :param on_lost_node: "wait" (None, too: as the connection says, else this) until a silent node of the
        driver is known to be gone, or "force": start another driver though the old one may still run.
    :param retention_seconds: how long the driver stays in the cluster after the task; None: as configured.
    :param log_lines: how many of the driver's last lines are copied to the task log.
    :param deferrable: False: keep the worker's slot until the application has ended.

    Arguments about executors that run out of memory, and about learning from that: see `RecoveryOperator`.

    The task's `execution_timeout` counts from the start of the task, deferred or not.
    """

    template_fields: Sequence[str] = (
        "conn_id",
        "application",
        "application_args",
        "main_class",
        "name",
        "conf",
        "py_files",
        "jars",
        "files",
        "packages",
        "image",
        "spark_version",
        "namespace",
        *SHAPING_FIELDS,
        *RECOVERY_FIELDS,
        *SHOWN_FIELDS,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "conf": "json",
        **dict.fromkeys(SHOWN_FIELDS, "yaml"),
    }
    ui_color = "#f6c59f"
    overwrite_rtif_after_execution = True  # the manifests are known only after execution

    driver_manifest: str | None  # these are shown, not set: see operators.shown
    driver_containers: str | None
    executor_manifest: str | None
    executor_containers: str | None
    plain_executor_manifest: str | None
    plain_executor_containers: str | None
    other_manifests: str | None

    def __init__(
        self,
        *,
        conn_id: str = "spark_kubernetes_default",
        application: str,
        application_args: Sequence[str] = (),
        main_class: str | None = None,
        name: str | None = None,
        conf: Mapping[str, Any] | None = None,
        py_files: Sequence[str] | str = (),
        jars: Sequence[str] | str = (),
        files: Sequence[str] | str = (),
        packages: Sequence[str] | str = (),
        image: str | None = None,
        spark_version: str | None = None,
        namespace: str | None = None,
        burst_factor: float | str | Mapping[str, Any] | None = None,
        min_guaranteed_ratio: float | str | None = None,
        burst_offheap: bool | str | None = None,
        min_guaranteed_offheap_ratio: float | str | None = None,
        driver_priority_class: str | None = None,
        executor_priority_class: str | None = None,
        executor_qos_class: str | None = None,
        driver_template: str | Mapping[str, Any] | None = None,
        executor_template: str | Mapping[str, Any] | None = None,
        max_driver_restarts: int = 3,
        on_lost_node: str | None = None,
        retention_seconds: int | None = None,
        log_lines: int = 100,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(conf=conf, **kwargs)
        self.conn_id = conn_id
        self.application = application
        self.application_args = application_args
        self.main_class = main_class
        self.name = name
        self.py_files = py_files
        self.jars = jars
        self.files = files
        self.packages = packages
        self.image = image
        self.spark_version = spark_version
        self.namespace = namespace
        self.burst_factor = burst_factor
        self.min_guaranteed_ratio = min_guaranteed_ratio
        self.burst_offheap = burst_offheap
        self.min_guaranteed_offheap_ratio = min_guaranteed_offheap_ratio
        self.driver_priority_class = driver_priority_class
        self.executor_priority_class = executor_priority_class
        self.executor_qos_class = executor_qos_class
        self.driver_template = check_template("driver_template", driver_template)
        self.executor_template = check_template("executor_template", executor_template)
        self.max_driver_restarts = check_count("max_driver_restarts", max_driver_restarts)
        self.on_lost_node = on_lost_node
        self.retention_seconds = (
            None if retention_seconds is None else check_count("retention_seconds", retention_seconds)
        )
        self.log_lines = check_count("log_lines", log_lines)
        self.deferrable = check_flag("deferrable", deferrable)
        self._show({})
        check_constants(self)

    def execute(self, context: Context) -> Any:
        """
        Submit the application and defer; the summary at once if it is already over or `deferrable` is False.

        :raises AirflowFailException: for a configuration that cannot work; a retry would not help.
        """
        try:
            hook, submission = self._start(context)
        except UnknownConnection:
            raise  # Airflow says the same while its database is away: a retry may help
        except (InvalidConfiguration, Invalid) as error:
            raise AirflowFailException(str(error)) from error
        if submission.outcome is not None:
            return self._conclude(hook, submission.reference, submission.outcome, context)
        return self._defer(submission.reference, context)

    def execute_complete(
        self,
        context: Context,
        event: Mapping[str, Any],
        manifests: Mapping[str, str] | None = None,
        known: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
    ) -> Any:
        """
        The application's summary; raises what its verdict asks for.

        :param manifests: what "Rendered Template" goes on showing; None: not known.
        :param known: what the application was started with; None: not known.
        :param conn_id: the connection that it was submitted with; None: what the field says now.
        """
        from airflow_spark_k8s.core.advice import learnt_of
        from airflow_spark_k8s.core.outcome import Outcome
        from airflow_spark_k8s.core.spec import ApplicationReference
        from airflow_spark_k8s.operators.failure import unwatched

        self._show(manifests or {})
        self._known = learnt_of(known)
        self.conn_id = conn_id or self.conn_id
        hook = self._hook()
        reference = ApplicationReference(**event["reference"])
        if "outcome" in event:
            return self._conclude(hook, reference, Outcome.from_dict(event["outcome"]), context)
        if "wrong_cluster" in event:
            # Another try would start a second driver while the first one, out of reach, may still run.
            error = WrongCluster(event["wrong_cluster"])
            raise AirflowFailException(str(error)) from error
        removed = self._remove(hook, reference.namespace, reference.ti_id, reference)
        raise unwatched(reference, event["error"], removed=removed)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        What `next_method` returns.

        Airflow may have given up the trigger: it could not be loaded, or no triggerer was there for too long.
        Then nobody watches the application any more, and what runs of it is removed.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout):
            self._give_up(context)
            raise

    def _give_up(self, context: Context) -> None:
        try:
            hook, plan = self._plan(context, NOTHING)
            # A success that nobody has read is left for a retry.
            self._remove(hook, plan.application.namespace, plan.identity.ti_id, only_running=True)
        except Exception as error:
            # The reader of the log wants to know why the task failed, not what came after it.
            self.log.warning("The application may still run: %s: %s", type(error).__name__, error)

    def _start(self, context: Context) -> tuple[SparkKubernetesHook, Submission]:
        hook, plan = self._plan(context, self._recalled(context))
        try:
            return hook, self._submit(hook, plan, context)
        except (InvalidConfiguration, Invalid, Forbidden) as error:
            if not plan.lesson.conf:
                raise
            # By a LimitRange, perhaps: what is to help must not keep the application from starting.
            self.log.warning("With what was learnt, the cluster refuses the application: %s", error)
        hook, plan = self._plan(context, NOTHING)
        return hook, self._submit(hook, plan, context)

    def _plan(self, context: Context, recalled: Recalled) -> tuple[SparkKubernetesHook, Plan]:
        from airflow_spark_k8s.operators.configuration import max_field_length
        from airflow_spark_k8s.operators.plan import arguments_of, make_plan
        from airflow_spark_k8s.operators.shown import shown_fields, shown_whole

        hook = self._hook()
        settings = self._settings(hook)
        ti = context["ti"]
        arguments = arguments_of(self, self._full_conf(), default_name=f"{ti.dag_id}.{ti.task_id}")
        plan = make_plan(arguments, settings, dict(context), recalled)
        if plan.lesson.text is not None:
            self.log.info("%s", plan.lesson.text)
        shown = shown_fields(plan.manifests)
        self._show(shown)
        if any(len(text) > max_field_length() for text in shown.values()):
            self.log.info("::group::Manifests")
            self.log.info("%s", shown_whole(plan.manifests))
            self.log.info("::endgroup::")
        return hook, plan

    def _submit(self, hook: SparkKubernetesHook, plan: Plan, context: Context) -> Submission:
        from airflow_spark_k8s.operators.configuration import outage_patience_seconds
        from airflow_spark_k8s.operators.submission import Watching, submit_application
        from airflow_spark_k8s.operators.worker_loop import WorkerLoop

        watching = Watching(not self.deferrable, self._deadline(context), outage_patience_seconds())
        self._worker = WorkerLoop()
        self._submitting = (hook, plan.application.namespace, plan.identity.ti_id)
        try:
            submission = self._worker.run(
                lambda: submit_application(
                    hook,
                    plan,
                    log=self.log,
                    watching=watching,
                )
            )
        except CancelledError as error:
            raise AirflowException(f"stopped while submitting {plan.identity.application}") from error
        self._known = replace(plan.lesson.known, limit_mib=submission.node_limit_mib)
        return submission

    def _defer(self, reference: ApplicationReference, context: Context) -> NoReturn:
        from airflow_spark_k8s.controller.clock import SystemClock
        from airflow_spark_k8s.operators.configuration import (
            minimum_trigger_seconds,
            outage_patience_seconds,
        )
        from airflow_spark_k8s.triggers.spark_kubernetes_job import SparkKubernetesJobTrigger

        deadline = self._deadline(context)
        timeout = None
        if deadline is not None:
            timeout = timedelta(seconds=max(0.0, deadline - SystemClock().now())) + _BACKSTOP
        self.defer(
            trigger=SparkKubernetesJobTrigger(
                conn_id=self.conn_id,
                reference=asdict(reference),
                deadline_epoch_seconds=deadline,
                patience_seconds=outage_patience_seconds(),
                hold_seconds=minimum_trigger_seconds(),
            ),
            method_name="execute_complete",
            kwargs={
                "manifests": {name: getattr(self, name) for name in SHOWN_FIELDS},
                "known": None if self._known is None else self._known.as_dict(),
                "conn_id": self.conn_id,
            },
            timeout=timeout,
        )

    def _conclude(
        self,
        hook: SparkKubernetesHook,
        reference: ApplicationReference,
        outcome: Outcome,
        context: Context,
    ) -> dict[str, Any]:
        from airflow_spark_k8s.operators.conclusion import conclude
        from airflow_spark_k8s.operators.configuration import retention_seconds
        from airflow_spark_k8s.operators.failure import failure_of
        from airflow_spark_k8s.operators.summary import summary_lines

        keep = retention_seconds() if self.retention_seconds is None else self.retention_seconds

        async def concluded(cluster: Cluster) -> None:
            nonlocal outcome
            outcome = await conclude(
                cluster, reference, outcome, log_lines=self.log_lines, retention_seconds=keep, log=self.log
            )

        self._with_cluster(hook, reference, concluded)
        for line in summary_lines(outcome):
            self.log.info("%s", line)
        self._learn(context, outcome)
        summary = outcome.as_dict()
        error = failure_of(outcome, self.conn_id)
        if error is None:
            return summary
        if self.do_xcom_push:
            self._push(context, summary)
        raise error

    def _push(self, context: Context, summary: dict[str, Any]) -> None:
        try:
            context["ti"].xcom_push(key="return_value", value=summary)
        except Exception as error:
            # The reader of the log wants to know why the application failed, not what came after it.
            self.log.warning("The summary was not pushed as XCom: %s: %s", type(error).__name__, error)

    def _deadline(self, context: Context) -> float | None:
        """Seconds since the epoch at which the task's time is up; None: never."""
        start = context["ti"].start_date
        if self.execution_timeout is None or start is None:
            return None
        return start.timestamp() + self.execution_timeout.total_seconds()

    def _show(self, manifests: Mapping[str, str | None]) -> None:
        for name in SHOWN_FIELDS:
            setattr(self, name, manifests.get(name))
