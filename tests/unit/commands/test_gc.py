"""`airflow-spark-k8s gc` with a database of Airflow's own making and the local cluster's API server."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from airflow_spark_k8s.cli import main
from airflow_spark_k8s.core.identity import identify
from airflow_spark_k8s.core.labels import annotations_of, labels_of
from airflow_spark_k8s.core.spec import Identity, Manifest
from airflow_spark_k8s.kube.client import ApiServer
from airflow_spark_k8s.kube.config import ClusterSettings
from airflow_spark_k8s.kube.paths import collection_path, object_path
from airflow_spark_k8s.local.cluster import LocalCluster

pytestmark = pytest.mark.timeout(180)

T = TypeVar("T")

CLI = "import sys; from airflow_spark_k8s.cli import main; sys.exit(main())"
NAMESPACE = "default"
CONNECTION = "gc_test"
KINDS = ("Job", "Pod", "ConfigMap", "Secret")
SECRET_RESOURCE = {"apiVersion": "v1", "kind": "Secret", "data": {"password": "c2VjcmV0"}}
POD_SPEC = {
    "restartPolicy": "Never",
    "containers": [{"name": "main", "image": "busybox", "command": ["sleep", "600"]}],
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(rbac=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def tables() -> None:
    from airflow.utils.db import initdb

    initdb()


class Database:
    """Rows of Airflow's own models."""

    dag_id = "gc_dag"

    def __init__(self) -> None:
        from airflow.models.dag import DagModel
        from airflow.models.dagbundle import DagBundleModel
        from airflow.utils.session import create_session

        self.session = create_session
        dag = {"max_active_tasks": 16, "max_consecutive_failed_dag_runs": 0}
        with create_session() as session:
            session.add(DagBundleModel(name="gc"))
            session.flush()
            session.add(
                DagModel(dag_id=self.dag_id, bundle_name="gc", has_task_concurrency_limits=False, **dag)
            )

    def task_instance(self, run_id: str, state: str | None) -> str:
        """Id of a new task instance's first try."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.providers.standard.operators.empty import EmptyOperator
        from airflow.sdk import DAG
        from airflow.utils.types import DagRunType

        with self.session() as session:
            run_type, task = DagRunType.MANUAL, EmptyOperator(task_id="t", dag=DAG(self.dag_id))
            session.add(DagRun(dag_id=self.dag_id, run_id=run_id, run_type=run_type, state="running"))
            session.flush()
            row = TaskInstance(task, dag_version_id=None, run_id=run_id, state=state)
            session.add(row)
            session.flush()
            return str(row.id)

    def next_try(self, run_id: str, state: str | None) -> None:
        """What Airflow does when a task instance is cleared or retried."""
        with self.session() as session:
            row = self._row(session, run_id)
            row.prepare_db_for_next_try(session)
            row.state = state

    def delete(self, run_id: str) -> None:
        with self.session() as session:
            session.delete(self._row(session, run_id).dag_run)

    def clear(self) -> None:
        from airflow.models.connection import Connection
        from airflow.models.dag import DagModel
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.dagrun import DagRun
        from sqlalchemy import delete

        with self.session() as session:
            for model in (DagRun, DagModel, DagBundleModel, Connection):
                session.execute(delete(model))

    def _row(self, session: Any, run_id: str) -> Any:
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        return session.scalars(select(TaskInstance).where(TaskInstance.run_id == run_id)).one()


@pytest.fixture
def database(tables: None) -> Iterator[Database]:
    database = Database()
    yield database
    database.clear()


@dataclass
class Place:
    """An Airflow deployment in a cluster."""

    settings: ClusterSettings
    database: Database
    deployment: str
    capsys: pytest.CaptureFixture[str]
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def on_cluster(self, work: Callable[[ApiServer], Awaitable[T]]) -> T:
        async def connected() -> T:
            async with await ApiServer.open(self.settings) as server:
                return await work(server)

        return asyncio.run(connected())

    def application(self, state: str | None = "success", *, ti_id: str | None = None, **job: Any) -> Identity:
        """A task instance in that state, with its Job and what belongs to it."""
        run_id = f"run-{next(self.numbers)}"
        identity = self.identity(run_id, ti_id or self.database.task_instance(run_id, state))
        self.on_cluster(lambda server: make(server, identity, **job))
        return identity

    def identity(self, run_id: str, ti_id: str, *, dag_id: str = Database.dag_id) -> Identity:
        return identify(self.deployment, dag_id, "t", run_id, -1, 1, ti_id)

    def left(self) -> list[str]:
        """Objects of this deployment that are there and not on their way out."""

        async def look(server: ApiServer) -> list[str]:
            found = []
            params = {"labelSelector": f"airflow-spark-k8s/deployment={self.deployment}"}
            for kind in KINDS:
                answer = await server.request("GET", collection_path(kind, NAMESPACE), params=params)
                found += [
                    f"{kind} {item['metadata']['name']}"
                    for item in answer["items"]
                    if "deletionTimestamp" not in item["metadata"]
                ]
            return found

        return self.on_cluster(look)

    def jobs(self) -> set[str]:
        return {name.removeprefix("Job ") for name in self.left() if name.startswith("Job ")}

    def gc(self, *options: str, code: int = 0, conn_id: str = CONNECTION) -> tuple[str, str]:
        """What the command prints on standard output and on standard error."""
        assert main(["gc", "--conn-id", conn_id, "--grace", "0", *options]) == code, self.capsys.readouterr()
        out, err = self.capsys.readouterr()
        return out, err

    def gc_json(self, *options: str, code: int = 0) -> dict[str, Any]:
        return dict(json.loads(self.gc("--json", *options, code=code)[0]))


async def make(server: ApiServer, identity: Identity, **spec: Any) -> None:
    """A suspended Job, which runs nothing, and a ConfigMap and a Secret that it owns."""
    metadata = {"labels": labels_of(identity), "annotations": annotations_of(identity)}
    job = await server.request(
        "POST",
        collection_path("Job", NAMESPACE),
        body={
            "metadata": {**metadata, "name": identity.job_name()},
            "spec": {"suspend": True, "template": {"metadata": metadata, "spec": POD_SPEC}, **spec},
        },
    )
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": identity.job_name(),
        "uid": job["metadata"]["uid"],
    }
    for kind, suffix in (("ConfigMap", "app"), ("Secret", "conf")):
        named = {**metadata, "name": f"{identity.application}-{suffix}", "ownerReferences": [owner]}
        await server.request("POST", collection_path(kind, NAMESPACE), body={"metadata": named})


def job_path(identity: Identity) -> str:
    return object_path("Job", NAMESPACE, identity.job_name())


async def finish(server: ApiServer, identity: Identity) -> None:
    """End the Job as its controller does."""
    job = await server.request("GET", job_path(identity))
    job["status"]["conditions"] = [
        {"type": kind, "status": "True", "lastTransitionTime": job["metadata"]["creationTimestamp"]}
        for kind in ("FailureTarget", "Failed")
    ]
    await server.request("PUT", f"{job_path(identity)}/status", body=job)


def judged(report: dict[str, Any]) -> dict[str, bool]:
    return {row["run_id"]: row["orphan"] for row in report["applications"]}


def connect(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]) -> None:
    connection = json.dumps({"conn_type": "spark_kubernetes", "extra": extra})
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", connection)


@pytest.fixture
def place(
    cluster: LocalCluster,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    deployment = f"gc-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("AIRFLOW__SPARK_KUBERNETES__DEPLOYMENT_ID", deployment)
    connect(monkeypatch, cluster.connection_extra())
    settings = ClusterSettings(kube_config_path=str(cluster.kubeconfig_path), cluster_context=cluster.context)
    return Place(settings, database, deployment, capsys)


def test_what_is_over_is_removed_with_all_it_owns_and_nothing_else(place: Place) -> None:
    from airflow.utils.state import State, TaskInstanceState

    by_state = {state: place.application(state) for state in (*map(str, TaskInstanceState), None)}
    over = {str(state) for state in State.finished}
    report = place.gc_json("--yes")
    assert {row["run_id"]: row["task_state"] for row in report["applications"]} == {
        identity.run_id: state for state, identity in by_state.items()
    }
    assert judged(report) == {identity.run_id: state in over for state, identity in by_state.items()}
    kept = {identity.job_name() for state, identity in by_state.items() if state not in over}
    assert place.jobs() == kept

    while len(place.left()) > 3 * len(kept):  # what it owned goes a moment later
        pass
    assert {name.partition(" ")[0] for name in place.left()} == {"Job", "ConfigMap", "Secret"}
    assert judged(place.gc_json("--yes")) == {
        identity.run_id: False for state, identity in by_state.items() if state not in over
    }


def test_a_later_try_decides_about_what_an_earlier_one_left(place: Place) -> None:
    cleared, deferred, failed = (place.application("deferred") for _ in range(3))
    place.database.next_try(cleared.run_id, None)
    place.database.next_try(deferred.run_id, "deferred")
    place.database.next_try(failed.run_id, "failed")
    assert judged(place.gc_json("--dry-run")) == {
        cleared.run_id: False,
        deferred.run_id: True,
        failed.run_id: True,
    }


def test_a_dag_run_that_was_deleted_leaves_orphans(place: Place) -> None:
    identity = place.application("deferred")
    place.database.delete(identity.run_id)
    (row,) = place.gc_json("--yes")["applications"]
    assert row["why"] == "its task instance does not exist any more"
    assert place.jobs() == set()


def test_a_dag_that_this_airflow_does_not_know_is_left_unless_asked_for(place: Place) -> None:
    identity = place.identity("run", "ti", dag_id="dag_of_another_airflow")
    place.on_cluster(lambda server: make(server, identity))
    (row,) = place.gc_json("--yes")["applications"]
    assert (row["orphan"], row["task_state"]) == (False, None)
    assert "--unknown" in row["why"]
    assert place.jobs() == {identity.job_name()}
    place.gc("--yes", "--unknown")
    assert place.jobs() == set()


def test_an_airflow_without_a_name_of_its_own_removes_no_unknown_task_instance(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__SPARK_KUBERNETES__DEPLOYMENT_ID")
    place.deployment = "airflow"
    identity = place.identity("deleted", "ti")
    place.on_cluster(lambda server: make(server, identity))
    (row,) = place.gc_json("--yes")["applications"]
    assert not row["orphan"]
    assert "deployment_id" in row["why"]
    place.gc("--yes", "--unknown")
    assert place.jobs() == set()


def test_another_deployment_is_not_even_looked_at(place: Place) -> None:
    own, deployment = place.application("failed"), place.deployment
    place.deployment = f"{deployment}-other"
    other = place.identity(own.run_id, own.ti_id)
    place.on_cluster(lambda server: make(server, other))
    assert [row["application"] for row in place.gc_json("--yes")["applications"]] == [own.application]
    assert place.jobs() == {other.job_name()}


def test_a_job_that_has_ended_is_left_to_its_time_to_live(place: Place) -> None:
    with_ttl, without = place.application(ttlSecondsAfterFinished=600), place.application()
    place.on_cluster(lambda server: finish(server, with_ttl))
    place.on_cluster(lambda server: finish(server, without))
    report = place.gc_json("--yes")
    assert judged(report) == {with_ttl.run_id: False, without.run_id: True}
    assert [row["why"] for row in report["applications"] if not row["orphan"]] == [
        "has ended, and is kept for another 9m"
    ]
    assert place.jobs() == {with_ttl.job_name()}


def test_objects_whose_job_was_removed_without_them(place: Place) -> None:
    over, alive = place.application("success"), place.application("running")

    async def orphan(server: ApiServer) -> None:
        for identity in (over, alive):
            # An executor, and one more that it owns.
            metadata = {"labels": labels_of(identity), "annotations": annotations_of(identity)}
            pod = {"metadata": {**metadata, "name": f"{identity.application}-exec-1"}, "spec": POD_SPEC}
            await server.request("POST", collection_path("Pod", NAMESPACE), body=pod)
            await server.request("DELETE", job_path(identity), body={"propagationPolicy": "Orphan"})

    place.on_cluster(orphan)
    while place.jobs():
        pass
    report = place.gc_json("--yes")
    assert judged(report) == {over.run_id: True, alive.run_id: False}
    (row,) = (row for row in report["applications"] if row["orphan"])
    assert not row["has_job"]
    assert {each["kind"] for each in row["objects"] if each["removed"]} == {"ConfigMap", "Secret", "Pod"}
    assert [name for name in place.left() if over.application in name] == []
    assert len([name for name in place.left() if alive.application in name]) == 3


def test_a_dry_run_lists_and_removes_nothing(place: Place) -> None:
    place.application("failed")
    place.application("deferred")
    before = place.left()
    out, err = place.gc("--dry-run")
    heading, *rows, _, total = out.splitlines()
    first, second = sorted(rows, key=lambda row: row.split()[3])
    assert heading.split() == ["JOB", "DAG", "TASK", "RUN", "MAP", "TRY", "AGE", "ORPHAN", "WHY"]
    assert first.split()[1:6] == ["gc_dag", "t", "run-0", "-", "1"]
    assert first.endswith("yes     its task is over: failed")
    assert second.endswith("no      its task is deferred")
    assert total == f"2 applications in namespace default of deployment {place.deployment}, 1 orphan."
    assert err == ""
    assert place.left() == before


def test_what_is_young_is_left(place: Place) -> None:
    identity = place.application("failed")
    out, _ = place.gc("--yes", "--grace", "300")
    assert "its task is over: failed, but it is younger than 5m" in out
    assert place.jobs() == {identity.job_name()}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param("y\n", 0, id="yes"),
        pytest.param("\n", 1, id="just Enter"),
        pytest.param("", 1, id="Ctrl-D"),
    ],
)
def test_somebody_is_asked_first(
    answer: str, code: int, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.application("failed")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    out, _ = place.gc(code=code)
    assert "Remove 1 orphan (1 object)? [y/N]" in out
    assert len(place.jobs()) == code


def test_nobody_is_asked_if_there_is_nothing_to_remove(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert place.gc() == (f"No application in namespace default of deployment {place.deployment}.\n", "")


def test_the_connection_may_be_in_the_database(place: Place, cluster: LocalCluster) -> None:
    from airflow.models.connection import Connection

    extra = json.dumps(cluster.connection_extra())
    with place.database.session() as session:
        session.add(Connection(conn_id="stored", conn_type="spark_kubernetes", extra=extra))
    place.application("failed")
    out, _ = place.gc("--dry-run", conn_id="stored")
    assert "1 orphan." in out
    assert "_AIRFLOW_PROCESS_CONTEXT" not in os.environ


def test_what_cannot_be_listed_or_removed_is_told(
    place: Place, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credentials of this connection may look at Jobs and pods, and at nothing else."""
    place.application("failed")
    extra, config = cluster.connection_extra(), place.on_cluster(_only_looks)
    connect(monkeypatch, {"namespace": extra["namespace"], "kube_config": config})
    report = place.gc_json("--yes", code=1)
    assert [note.split()[0] for note in report["notes"]] == ["Secrets", "ConfigMaps"]
    ((job,),) = (row["objects"] for row in report["applications"])
    assert not job["removed"]
    assert "cannot delete" in job["error"]
    assert len(place.jobs()) == 1


async def _only_looks(server: ApiServer) -> Manifest:
    """A kubeconfig for a new service account."""
    name = f"looks-{uuid.uuid4().hex[:8]}"
    metadata, rbac = {"name": name, "namespace": NAMESPACE}, "rbac.authorization.k8s.io"
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    await server.request("POST", accounts, body={"metadata": metadata})
    rule = {"apiGroups": ["batch", ""], "resources": ["jobs", "pods"], "verbs": ["list"]}
    roles = f"/apis/{rbac}/v1/namespaces/{NAMESPACE}"
    await server.request("POST", f"{roles}/roles", body={"metadata": metadata, "rules": [rule]})
    binding = {
        "metadata": metadata,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", **metadata}],
    }
    await server.request("POST", f"{roles}/rolebindings", body=binding)
    answer = await server.request("POST", f"{accounts}/{name}/token", body={})
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": server.host, "insecure-skip-tls-verify": True}}],
        "users": [{"name": name, "user": {"token": answer["status"]["token"]}}],
    }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param((), "--yes=False: nobody can be asked", id="nobody to ask"),
        pytest.param(("--json",), "--json=True: leaves nobody to ask", id="JSON and a question"),
        pytest.param(("--dry-run", "--yes"), "--yes=True: has no effect with --dry-run", id="yes to nothing"),
        pytest.param(("--dry-run", "--grace", "-1"), "--grace=-1.0: must be", id="a negative grace"),
        pytest.param(("--dry-run", "--grace", "nan"), "--grace=nan: must be", id="no number at all"),
        pytest.param(("--dry-run", "--namespace", "A"), "--namespace='A': is no", id="no namespace"),
        pytest.param(("--dry-run", "--conn-id", "none"), "conn_id='none': no such", id="no such connection"),
    ],
)
def test_what_cannot_work_is_one_line(options: tuple[str, ...], told: str, place: Place) -> None:
    place.application("failed")
    out, err = place.gc(*options, code=2)
    assert out == ""
    assert err.count("\n") == 1
    assert f"airflow-spark-k8s gc: {told}" in err
    assert len(place.jobs()) == 1


def test_nothing_is_removed_without_airflows_database(place: Place, tmp_path: Path) -> None:
    place.application("failed")
    done = subprocess.run(
        [sys.executable, "-c", CLI, "gc", "--conn-id", CONNECTION, "--yes", "--unknown", "--grace", "0"],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/nothing/airflow.db",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(
        "airflow-spark-k8s gc: Airflow's database cannot be read: "
    )
    assert len(place.jobs()) == 1
