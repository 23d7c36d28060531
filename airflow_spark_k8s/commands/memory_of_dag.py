"""The memory that the pods of one DAG's task would get: the DAG file is loaded, nothing is submitted."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_spark_k8s.commands.memory_report import Report, floor_note, report_of
from airflow_spark_k8s.exceptions import InvalidConfiguration

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings
    from airflow_spark_k8s.operators.plan import Plan
    from airflow_spark_k8s.templates.quality import RenderedPod

_FALLBACK_IMAGE = "spark:4.3.0"
_RUN_ID = "memory"
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class TaskMemory:
    """What the pods of one task get."""

    driver: Report
    executor: Report
    plain_executor: Report | None  # of the executors that do not burst; None: all are alike
    fraction: Fraction | None  # of the executors, that bursts; None: all are alike
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> dict[str, Report]:
        """Heading and content of each column of a table."""
        columns = {"driver": self.driver, "executor": self.executor}
        if self.plain_executor is not None:
            columns["executor, not bursting"] = self.plain_executor
        return columns

    @property
    def as_dict(self) -> dict[str, Any]:
        """The flat object that `--json` prints: an executor's values, then those of the other pods."""
        others = {"driver": self.driver, "plain": self.plain_executor}
        found: dict[str, Any] = self.executor.as_dict
        for prefix, report in others.items():
            if report is not None:
                found |= {f"{prefix}_{name}": value for name, value in report.as_dict.items()}
        fraction = None if self.fraction is None else float(self.fraction)
        return {**found, "burst_fraction": fraction, "notes": " ".join(self.notes)}


def memory_of_task(path: str, task_id: str, *, conn_id: str | None, map_index: int | None) -> TaskMemory:
    """
    What the pods of a task get at its first try, for a run on the DAG's start date with default parameters.

    What the DAG file prints goes to standard error.

    :param task_id: the task's id, or DAG id, dot and task id.
    :param conn_id: connection to take defaults from; None: the task's own.
    :param map_index: of a mapped task; None: the first.
    :raises InvalidConfiguration: if there is no such task, or a value of it cannot work.
    """
    with _quiet():
        task, dag = _find(path, task_id)
        context = _context(dag, task, map_index)
        task = _rendered(task, context)
        settings, notes = _settings(conn_id or task.conn_id)
        return _memory(_plan(task, settings, context), notes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Airflow logs, with tracebacks, what is said in one line here."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(disabled)


def _find(path: str, task_id: str) -> tuple[Any, DAG]:
    from airflow_spark_k8s.operators.spark_kubernetes_job import SparkKubernetesJobOperator

    dags = _dags(path)
    tasks = {f"{dag.dag_id}.{task.task_id}": (task, dag) for dag in dags for task in dag.tasks}
    found = [name for name, (task, _) in tasks.items() if task_id in (task.task_id, name)]
    if not found:
        known = ", ".join(tasks) or "none"
        raise InvalidConfiguration("--task", task_id, f"no such task in {path}; there are: {known}")
    if len(found) > 1:
        raise InvalidConfiguration("--task", task_id, f"say which one: {' or '.join(found)}")
    task, dag = tasks[found[0]]
    kind = getattr(task, "operator_class", type(task))
    if not (isinstance(kind, type) and issubclass(kind, SparkKubernetesJobOperator)):
        raise InvalidConfiguration("--task", task_id, "is no task of SparkKubernetesJobOperator")
    return task, dag


def _dags(path: str) -> list[DAG]:
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.dag_processing.importers import get_importer_registry

    file = Path(path).resolve()
    importer = get_importer_registry().get_importer(file) if file.is_file() else None
    if importer is None:
        raise InvalidConfiguration("--dag", path, "is no file that Airflow reads DAGs from")
    # Not the bag itself loads the file: it would log what is said in one line here.
    bag = BundleDagBag(dag_folder=file, collect_dags=False, bundle_path=_bundle(file))
    found = importer.import_file(file, bundle_path=bag.bundle_path, safe_mode=False)
    for problem in found.errors:
        # the last line of a traceback has the type as well
        what = (problem.stacktrace or problem.message).strip().splitlines()[-1]
        raise InvalidConfiguration("--dag", path, f"cannot be loaded: {what}")
    dags: list[Any] = found.dags
    for dag in dags:
        try:
            dag.validate()
            bag.bag_dag(dag)
        except Exception as error:
            raise InvalidConfiguration("--dag", path, f"cannot be loaded: {error}") from error
    return sorted(bag.dags.values(), key=lambda dag: dag.dag_id)


def _bundle(file: Path) -> Path:
    """Root of the DAG's bundle: the configured folder if the file is in there, else the file's own folder."""
    from airflow.sdk import conf

    folder = Path(os.path.expanduser(conf.get("core", "dags_folder", fallback="") or "/nowhere")).resolve()
    return folder if file.is_relative_to(folder) else file.parent


@dataclass(slots=True)
class _FirstTry:
    """What templates and the operator ask of a task instance; what takes a run is refused."""

    task: Any
    dag_id: str
    task_id: str
    map_index: int
    run_id: str = _RUN_ID
    try_number: int = 1
    id: str = field(default="00000000-0000-0000-0000-000000000000")

    def xcom_pull(self, *_args: object, **_kwargs: object) -> object:
        """Never anything: there is no run whose tasks have pushed."""
        raise LookupError("it needs the XCom of a run")


def _context(dag: DAG, task: Any, map_index: int | None) -> dict[str, Any]:
    from airflow.sdk.definitions.param import process_params
    from airflow.sdk.execution_time.context import ConnectionAccessor, MacrosAccessor, VariableAccessor

    ti = _FirstTry(task, dag.dag_id, task.task_id, _map_index(task, map_index))
    date = task.start_date or dag.start_date
    context = {
        "dag": dag,
        "task": task,
        "ti": ti,
        "task_instance": ti,
        "run_id": _RUN_ID,
        "dag_run": SimpleNamespace(run_id=_RUN_ID, conf={}, logical_date=date),
        "macros": MacrosAccessor(),
        "var": {
            "value": VariableAccessor(deserialize_json=False),
            "json": VariableAccessor(deserialize_json=True),
        },
        "conn": ConnectionAccessor(),
    }
    if date is not None:
        context |= {
            "logical_date": date,
            "ds": f"{date:%Y-%m-%d}",
            "ds_nodash": f"{date:%Y%m%d}",
            "ts": date.isoformat(),
            "ts_nodash": f"{date:%Y%m%dT%H%M%S}",
        }
    try:
        context["params"] = process_params(dag, task, {}, suppress_exception=False)
    except Exception as error:
        raise InvalidConfiguration("params", None, f"have no value without a run: {error}") from error
    return context


def _map_index(task: Any, wanted: int | None) -> int:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    if not isinstance(task, MappedOperator):
        if wanted is not None:
            raise InvalidConfiguration("--map-index", wanted, "the task is not mapped")
        return -1
    index = wanted or 0
    count = _mapped_count(task._get_specified_expand_input().value)
    if index < 0 or (count is not None and index >= count):
        expected = "0 or more" if count is None else f"from 0 to {count - 1}"
        raise InvalidConfiguration("--map-index", index, f"must be {expected}")
    return index


def _mapped_count(mapping: object) -> int | None:
    """How many tasks a mapping makes; None if only a run can tell."""
    if not isinstance(mapping, Mapping):
        return len(mapping) if isinstance(mapping, Sequence) else None
    if not all(isinstance(values, Mapping | Sequence) for values in mapping.values()):
        return None
    return math.prod(len(values) for values in mapping.values())


def _rendered(task: Any, context: dict[str, Any]) -> Any:
    """The task with its fields rendered, one of a mapped task's."""
    try:
        task.render_template_fields(context)
    except Exception as error:
        name, value = _unrenderable(task, context)
        raise InvalidConfiguration(name, value, f"cannot be rendered without a run: {error}") from error
    return context["task"]


def _unrenderable(task: Any, context: dict[str, Any]) -> tuple[str, object]:
    """The first field, and its value, that is the reason; of a mapped task perhaps its mapping."""
    if context["ti"].map_index >= 0 and context["task"] is task:
        return "--map-index", context["ti"].map_index
    task = context["task"]
    environment = task.get_template_env()
    for name in task.template_fields:
        try:
            task.render_template(getattr(task, name), context, environment)
        except Exception:
            return name, getattr(task, name)
    return "task_id", task.task_id


def _settings(conn_id: str) -> tuple[ConnectionSettings, tuple[str, ...]]:
    from airflow.sdk.exceptions import AirflowNotFoundException

    from airflow_spark_k8s.hooks.spark_kubernetes import ConnectionSettings, SparkKubernetesHook
    from airflow_spark_k8s.kube.config import ClusterSettings

    try:
        return SparkKubernetesHook(conn_id).settings, ()
    except InvalidConfiguration as error:
        if not isinstance(error.__cause__, AirflowNotFoundException):
            raise
    settings = ConnectionSettings(ClusterSettings(), "default", image=_FALLBACK_IMAGE)
    return settings, (
        f"Connection {conn_id} was not found: its defaults are not in here, and if the task names no image, "
        f"it is taken to be {_FALLBACK_IMAGE}.",
    )


def _plan(task: Any, settings: ConnectionSettings, context: Mapping[str, Any]) -> Plan:
    from airflow_spark_k8s.operators.plan import arguments_of, make_plan

    ti = context["ti"]
    arguments = arguments_of(task, task._full_conf(), default_name=f"{ti.dag_id}.{ti.task_id}")
    return make_plan(arguments, settings, context)


def _memory(plan: Plan, notes: tuple[str, ...]) -> TaskMemory:
    from airflow_spark_k8s.templates.quality import rendered_pods

    application, burst = plan.application, plan.application.burst
    by_conf = [report_of(application.driver, None), report_of(application.executor, burst)]
    if application.plain_executor is not None:
        by_conf.append(report_of(application.plain_executor, None))
    found, changes = [], []
    for report, pod in zip(by_conf, rendered_pods(application, plan.manifests), strict=True):
        rendered = _as_rendered(report, pod)
        found.append(rendered)
        if rendered != replace(report, qos=rendered.qos):
            changes.append(
                f"{pod.name}: the {pod.role} template sets another request or limit than the properties."
            )
        if pod.limit_bytes is None:
            changes.append(f"{pod.name}: the {pod.role} template sets no limit of memory.")
    floor = floor_note(application.executor, burst)
    return TaskMemory(
        driver=found[0],
        executor=found[1],
        plain_executor=found[2] if len(found) > 2 else None,
        fraction=None if burst is None or burst.fraction == 1 else burst.fraction,
        notes=(*notes, *changes, *([floor] if floor else [])),
    )


def _as_rendered(report: Report, pod: RenderedPod) -> Report:
    """The report with what the template made of it; a pod without a limit keeps the one of the properties."""
    limit_mib = report.limit_mib if pod.limit_bytes is None else pod.limit_bytes // _MIB
    return replace(report, request_mib=pod.request_bytes // _MIB, limit_mib=limit_mib, qos=pod.qos_class)
