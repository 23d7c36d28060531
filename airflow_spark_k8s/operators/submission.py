"""The first step on a worker: everything up to the deferral."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_spark_k8s.core.job_state import job_state
from airflow_spark_k8s.exceptions import ClusterError, WrongCluster
from airflow_spark_k8s.kube.paths import object_path
from airflow_spark_k8s.triggers.removal import remove_applications

if TYPE_CHECKING:
    from airflow_spark_k8s.core.outcome import Outcome
    from airflow_spark_k8s.core.spec import ApplicationReference
    from airflow_spark_k8s.hooks.spark_kubernetes import SparkKubernetesHook
    from airflow_spark_k8s.kube.client import ApiServer
    from airflow_spark_k8s.kube.cluster import Cluster
    from airflow_spark_k8s.operators.conclusion import Log
    from airflow_spark_k8s.operators.plan import Plan


OUTAGE_SECONDS = 90.0
"""An API server that is updated or moved is away for 20 to 60 s."""


@dataclass(frozen=True, slots=True)
class Watching:
    """Whether, and for how long, a submitted application is watched here."""

    to_the_end: bool  # False: only one that has ended by now gets an outcome
    deadline_epoch_seconds: float | None = None  # when it is stopped; None: never
    patience_seconds: float | None = None  # how long the cluster may be out of sight; None: for ever


@dataclass(frozen=True, slots=True)
class Submission:
    """What was submitted, and its end if that is known already."""

    reference: ApplicationReference
    outcome: Outcome | None  # None: somebody has to watch it
    node_limit_mib: int | None = None  # what the largest node leaves room for; None: not known


async def submit_application(
    hook: SparkKubernetesHook,
    plan: Plan,
    *,
    log: Log,
    watching: Watching,
) -> Submission:
    """
    Submit the application, or find it submitted.

    :raises ClusterError: if the API server refuses, or cannot be reached for longer than a short outage.
    """
    from airflow_spark_k8s.controller.clock import SystemClock
    from airflow_spark_k8s.controller.patience import Patience
    from airflow_spark_k8s.templates.quality import heap_warnings, quality_lines

    for line in quality_lines(plan.application, plan.manifests):
        log.info("%s", line)
    for warning in heap_warnings(plan.application, plan.manifests):
        log.warning("%s", warning)
    cluster = await hook.cluster()
    try:
        patience = Patience(SystemClock(), OUTAGE_SECONDS, log.warning)
        checked = await patience.of("checking the application", lambda: _checked(cluster, plan))
        for warning in checked.warnings:
            log.warning("%s", warning)
        try:
            submission = await _submit(cluster, checked, log, watching)
        except WrongCluster:
            raise
        except Exception:
            # Half submitted, or not watched any more: nobody would ever look after it.
            with suppress(ClusterError):
                await remove_applications(cluster, plan.application.namespace, plan.identity.ti_id)
            raise
        return replace(submission, node_limit_mib=checked.node_limit_mib)
    finally:
        await cluster.close()


@dataclass(frozen=True, slots=True)
class _Checked:
    """A plan that the cluster has nothing against."""

    plan: Plan
    namespace_uid: str  # empty: it may not be read
    node_limit_mib: int | None  # what the largest node leaves room for; None: not known
    warnings: tuple[str, ...]


async def _checked(cluster: Cluster, plan: Plan) -> _Checked:
    from airflow_spark_k8s.kube.guard import namespace_uid
    from airflow_spark_k8s.kube.node_sizes import size_warnings
    from airflow_spark_k8s.kube.preflight import preflight
    from airflow_spark_k8s.kube.recovery_preflight import node_limit, recovery_warnings
    from airflow_spark_k8s.templates.quality import rendered_pods

    warnings = [*await preflight(cluster, plan.manifests, plan.priority_fields)]
    node_limit_mib = await node_limit(cluster, plan.application, plan.manifests)
    plan = _limited(plan, node_limit_mib)
    warnings += await recovery_warnings(cluster, plan.application, plan.manifests, plan.priority_fields)
    warnings += await size_warnings(cluster, rendered_pods(plan.application, plan.manifests))
    uid = await namespace_uid(cluster, plan.application.namespace)
    return _Checked(plan, uid, node_limit_mib, tuple(warnings))


def _limited(plan: Plan, node_limit_mib: int | None) -> Plan:
    """The plan with executors that grow to what the largest node of today leaves room for."""
    from airflow_spark_k8s.core.recovery_settings import limited_to_node
    from airflow_spark_k8s.templates.objects import with_settings

    settings = plan.application.recovery
    if settings is None or node_limit_mib is None:
        return plan
    application = replace(plan.application, recovery=limited_to_node(settings, node_limit_mib))
    return replace(plan, application=application, manifests=with_settings(plan.manifests, application))


async def _submit(cluster: ApiServer, checked: _Checked, log: Log, watching: Watching) -> Submission:
    from airflow_spark_k8s.controller.clock import SystemClock
    from airflow_spark_k8s.controller.loop import run
    from airflow_spark_k8s.controller.submission import submit_patiently
    from airflow_spark_k8s.kube.guard import guarded
    from airflow_spark_k8s.kube.submit import CREATED

    clock, plan = SystemClock(), checked.plan
    submitted = await submit_patiently(
        cluster,
        plan.manifests,
        plan.identity,
        retry=plan.retry,
        clock=clock,
        report=lambda line: log.info("%s", line),
    )
    reference = replace(submitted.reference, namespace_uid=checked.namespace_uid)
    log.info(
        "Application %s is %s: Job %s in namespace %s, uid %s",
        reference.application,
        submitted.how,
        reference.job_name,
        reference.namespace,
        reference.job_uid,
    )
    if not watching.to_the_end and (submitted.how == CREATED or not await _has_ended(cluster, reference)):
        return Submission(reference, None)
    outcome = await run(
        guarded(cluster, reference, generation=lambda: cluster.generation),
        reference,
        clock=clock,
        report=lambda line: log.info("%s", line),
        deadline_epoch_seconds=watching.deadline_epoch_seconds,
        patience_seconds=watching.patience_seconds,
    )
    return Submission(reference, outcome)


async def _has_ended(cluster: Cluster, reference: ApplicationReference) -> bool:
    """Whether its end is known: a failed Job may be continued by another one, which can take long."""
    path = object_path("Job", reference.namespace, reference.job_name)
    try:
        return job_state(await cluster.request("GET", path)).settled
    except ClusterError:
        return False  # whoever watches it finds out
