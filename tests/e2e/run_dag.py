"""
Run a DAG with `dag.test()` in this process and write what became of it.

`python run_dag.py DAG_FILE DAG_ID TIMES RESULT_FILE`; the result is a list with one entry per run: its state,
and for every task its state, its XCom, its rendered fields and the exception it failed with.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main(dag_file: str, dag_id: str, times: str, result_file: str) -> None:
    """Run and write."""
    from airflow.sdk import DAG

    found = runpy.run_path(dag_file)
    dags = {value.dag_id: value for value in found.values() if isinstance(value, DAG)}
    dag = dags.get(dag_id) or _by_id(dag_id)
    Path(result_file).write_text(json.dumps([_run(dag) for _ in range(int(times))], default=str))


def _by_id(dag_id: str) -> Any:
    """A DAG that its file keeps in no variable."""
    import gc

    from airflow.sdk import DAG

    return next(thing for thing in gc.get_objects() if isinstance(thing, DAG) and thing.dag_id == dag_id)


def _run(dag: Any) -> dict[str, Any]:
    errors: dict[str, dict[str, str]] = {}

    def record(context: Any) -> None:
        error = context["exception"]
        cause = error.__cause__
        errors[context["ti"].task_id] = {
            "type": type(error).__name__,
            "message": str(error),
            "cause": type(cause).__name__ if cause is not None else "",
        }

    for task in dag.tasks:
        task.on_failure_callback = [record]
    run = dag.test()
    return {
        "state": str(run.state),
        "run_id": run.run_id,
        "tasks": {ti.task_id: {"state": str(ti.state), **_stored(ti)} for ti in run.get_task_instances()},
        "errors": errors,
    }


def _stored(ti: Any) -> dict[str, Any]:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        fields = RenderedTaskInstanceFields.get_templated_fields(ti, session=session)
        value = session.execute(
            XComModel.get_many(
                run_id=ti.run_id, key="return_value", task_ids=ti.task_id, dag_ids=ti.dag_id
            ).with_only_columns(XComModel.value)
        ).first()
    return {"rendered": fields, "xcom": value[0] if value else None}


if __name__ == "__main__":
    main(*sys.argv[1:])
