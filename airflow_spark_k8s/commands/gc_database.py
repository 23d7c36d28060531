"""What Airflow's database says about task instances; nothing is written to it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_spark_k8s.commands.gc_judgement import Known, TaskState
from airflow_spark_k8s.kube.leftovers import TaskKey

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_KEYS_OF_A_QUERY = 200
_PROCESS_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"


@contextlib.contextmanager
def airflow_server() -> Iterator[None]:
    """
    Airflow is imported and used within the block as its own commands do, and says nothing.

    Connections are then looked up in the database, too, which Airflow does not allow elsewhere.

    Source: airflow.sdk.execution_time.supervisor.ensure_secrets_backend_loaded
    """
    before, disabled = os.environ.get(_PROCESS_CONTEXT), logging.root.manager.disable
    os.environ[_PROCESS_CONTEXT] = "server"
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(disabled)
        if before is None:
            del os.environ[_PROCESS_CONTEXT]
        else:
            os.environ[_PROCESS_CONTEXT] = before


def check_database() -> None:
    """
    Return if Airflow's database answers and has its tables.

    :raises ConnectionError: with what to do about it.
    """
    from sqlalchemy import select

    with _session() as session:
        from airflow.models.taskinstance import TaskInstance

        session.execute(select(TaskInstance.id).limit(1)).first()


def known_tasks(keys: Iterable[TaskKey]) -> Known:
    """
    The latest try of each task instance that the database has, and the DAGs it has heard of.

    :raises ConnectionError: the database does not answer.
    """
    wanted = sorted(set(keys), key=lambda key: (key.dag_id, key.run_id, key.task_id, key.map_index))
    tasks: dict[TaskKey, TaskState] = {}
    dag_ids: set[str] = set()
    with _session() as session:
        for start in range(0, len(wanted), _KEYS_OF_A_QUERY):
            some = wanted[start : start + _KEYS_OF_A_QUERY]
            tasks |= _tasks(session, some)
            dag_ids |= _dag_ids(session, {key.dag_id for key in some})
    return Known(tasks, frozenset(dag_ids))


def _tasks(session: Session, keys: list[TaskKey]) -> dict[TaskKey, TaskState]:
    from airflow.models.taskinstance import TaskInstance as Row
    from sqlalchemy import select, tuple_

    columns = (Row.dag_id, Row.task_id, Row.run_id, Row.map_index)
    values = [(key.dag_id, key.task_id, key.run_id, key.map_index) for key in keys]
    found = session.execute(
        select(*columns, Row.id, Row.state, Row.start_date).where(tuple_(*columns).in_(values))
    )
    return {
        TaskKey(row.dag_id, row.task_id, row.run_id, row.map_index): TaskState(
            ti_id=str(row.id),
            state=None if row.state is None else str(row.state),
            started_epoch_seconds=None if row.start_date is None else row.start_date.timestamp(),
        )
        for row in found
    }


def _dag_ids(session: Session, dag_ids: set[str]) -> set[str]:
    """Those that are a DAG of this Airflow, or have been one: a deleted DAG may still have runs."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select, union

    found = session.execute(
        union(
            select(DagModel.dag_id).where(DagModel.dag_id.in_(dag_ids)),
            select(DagRun.dag_id).where(DagRun.dag_id.in_(dag_ids)),
        )
    )
    return {str(row.dag_id) for row in found}


@contextlib.contextmanager
def _session() -> Iterator[Session]:
    from airflow.utils.session import create_session
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            yield session
    except SQLAlchemyError as error:
        said = getattr(error, "orig", None) or error
        raise ConnectionError(
            f"Airflow's database cannot be read: {said}; run this where `airflow db check-migrations` "
            "succeeds, with the same configuration"
        ) from error
