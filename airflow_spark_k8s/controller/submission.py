"""The submission of an application, tried again as long as what is in its way may pass."""

from __future__ import annotations

from collections.abc import Callable

from airflow_spark_k8s.controller.clock import Clock
from airflow_spark_k8s.controller.patience import Patience
from airflow_spark_k8s.core.spec import Identity, Manifests
from airflow_spark_k8s.exceptions import Conflict
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.submit import Submitted, submit

SUBMIT_SECONDS = 120.0
"""How long to try: long enough for an outage, and for pods of an earlier try to end."""


async def submit_patiently(
    cluster: Cluster,
    manifests: Manifests,
    identity: Identity,
    *,
    retry: bool = False,
    clock: Clock,
    report: Callable[[str], None],
) -> Submitted:
    """
    What `submit` returns, as soon as nothing is in its way any more.

    :param retry: as `submit` takes it.
    :param report: is given a line about what is waited for, once a minute.
    :raises InvalidConfiguration: the name is taken by somebody else's Job, or a later try is at work.
    :raises ClusterError: the server refuses; what was in the way still is after `SUBMIT_SECONDS`.
    """
    patience = Patience(clock, SUBMIT_SECONDS, report)
    return await patience.of(
        "submitting the application",
        lambda: submit(cluster, manifests, identity, retry=retry),
        also=(Conflict,),
    )
