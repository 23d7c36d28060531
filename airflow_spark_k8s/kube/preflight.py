"""What would go wrong, found before anything is created."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from airflow_spark_k8s.core.executor_pod import executor_pod
from airflow_spark_k8s.core.labels import LABEL_TASK_INSTANCE
from airflow_spark_k8s.core.spec import Manifest, Manifests
from airflow_spark_k8s.exceptions import (
    AlreadyExists,
    ClusterError,
    ClusterUnreachable,
    Forbidden,
    Invalid,
    InvalidConfiguration,
    InvalidTemplate,
    NotFound,
    QuotaExceeded,
    Unauthorized,
)
from airflow_spark_k8s.kube.access import Right, missing_rights
from airflow_spark_k8s.kube.cluster import Cluster
from airflow_spark_k8s.kube.paths import collection_of

DRY_RUN = {"dryRun": "All", "fieldValidation": "Strict"}

NO_FIELDS: Mapping[str, str] = MappingProxyType({})

# Names of the length that the Job controller gives, so that too long a name is found here.
_POD_SUFFIX = "-xxxxx"
_NO_UID = "00000000-0000-0000-0000-000000000000"
_PRIORITY_CLASS = "priorityClassName"
_NO_PRIORITY_CLASS = "no such priority class in the cluster: create it or name another one"
_NO_ADDRESS = "192.0.2.1"
_ANY_EXECUTOR_ID = 99999


async def preflight(
    cluster: Cluster, manifests: Manifests, priority_fields: Mapping[str, str] = NO_FIELDS
) -> tuple[str, ...]:
    """
    What will work less well than it could, one sentence each; nothing is created.

    The server checks the Job, its driver pod, what it owns and one executor pod as if it created them:
    schema, limits, admission, rights. A quota without room for a pod is no error: pods wait for it. Nor is
    one that is used up while the task instance has a Job already.

    :param priority_fields: which argument, extra or template names the priority class of `driver` and
        `executor`; for errors.
    :raises ClusterUnreachable: no answer.
    :raises Forbidden: a right is missing; the message names verb, resource and namespace.
    :raises InvalidConfiguration: the server refuses an object; a namespace, service account or priority class
        is missing.

    Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run
    """
    namespace = manifests.job["metadata"]["namespace"]
    warnings = await _check_rights(cluster, namespace)
    await _check_priority_classes(cluster, manifests, priority_fields)
    for manifest in _objects(manifests):
        try:
            warning = await try_out(cluster, manifest, priority_fields)
        except QuotaExceeded:
            # The quota may be full because of an earlier call or try, whose Job the submission will adopt
            # or remove.
            if not await _is_there(cluster, manifests.job):
                raise
            continue
        if warning is not None:
            warnings.append(warning)
    return tuple(warnings)


async def _is_there(cluster: Cluster, job: Manifest) -> bool:
    """Whether any try of the task instance has a Job."""
    key = job["metadata"]["labels"][LABEL_TASK_INSTANCE]
    params = {"labelSelector": f"{LABEL_TASK_INSTANCE}={key}"}
    return bool((await cluster.request("GET", collection_of(job), params=params)).get("items"))


async def _check_rights(cluster: Cluster, namespace: str) -> list[str]:
    try:
        missing = await missing_rights(cluster, namespace)
    except (ClusterUnreachable, Unauthorized):
        raise
    except ClusterError:
        return []  # a cluster that does not answer such questions; the dry runs will tell
    required = [right for right in missing if right.required]
    if required:
        raise Forbidden(_denied(required, namespace), status=403, reason="Forbidden")
    return [f"not allowed in namespace {namespace}: {right}" for right in missing]


def _denied(rights: list[Right], namespace: str) -> str:
    listed = "; ".join(str(right) for right in rights)
    return f"in namespace {namespace} the connection's user may not: {listed}; bind a Role with these rights"


def _objects(manifests: Manifests) -> Iterator[Manifest]:
    yield manifests.job
    yield from manifests.config_maps
    yield manifests.secret
    yield _driver_pod(manifests.job)
    yield any_executor(manifests, manifests.executor)


def any_executor(manifests: Manifests, executor: Manifest) -> Manifest:
    """An executor pod made from `executor`, as if the driver were there already."""
    return executor_pod(
        executor,
        driver_name=manifests.job["metadata"]["name"] + _POD_SUFFIX,
        driver_uid=_NO_UID,
        driver_ip=_NO_ADDRESS,
        executor_id=_ANY_EXECUTOR_ID,
    )


def _driver_pod(job: Manifest) -> Manifest:
    """The pod that the Job controller would make: it checks its template only when it does."""
    template = job["spec"]["template"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **(template.get("metadata") or {}),
            "name": job["metadata"]["name"] + _POD_SUFFIX,
            "namespace": job["metadata"]["namespace"],
        },
        "spec": template["spec"],
    }


async def _check_priority_classes(
    cluster: Cluster, manifests: Manifests, priority_fields: Mapping[str, str]
) -> None:
    specs = {"driver": manifests.job["spec"]["template"]["spec"], "executor": manifests.executor["spec"]}
    for role, spec in specs.items():
        name = spec.get(_PRIORITY_CLASS)
        if name is not None:
            await check_priority_class(cluster, name, field=priority_fields.get(role, _PRIORITY_CLASS))


async def check_priority_class(cluster: Cluster, name: str, *, field: str) -> None:
    """
    Nothing, if the cluster has this priority class, or if that may not be asked.

    :param field: what names it, for the error.
    :raises InvalidConfiguration: there is none.
    """
    try:
        await cluster.request("GET", f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}")
    except Forbidden:
        return  # classes belong to no namespace, so few may read them; the dry runs will tell
    except NotFound as error:
        raise InvalidConfiguration(field, name, _NO_PRIORITY_CLASS) from error


async def try_out(
    cluster: Cluster, manifest: Manifest, priority_fields: Mapping[str, str] = NO_FIELDS
) -> str | None:
    """
    A sentence if the object would have to wait for room in the quota; nothing is created.

    :param priority_fields: see `preflight`.
    :raises QuotaExceeded: the quota has no room for an object that is no pod.
    :raises InvalidConfiguration: the server refuses it, or lacks what it refers to.
    :raises ClusterError: anything else.
    """
    what = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        await cluster.request("POST", collection_of(manifest), params=DRY_RUN, body=manifest)
    except AlreadyExists:
        return None  # an earlier call was here: submission sorts it out
    except QuotaExceeded as error:
        if manifest["kind"] != "Pod":
            raise
        return f"{what} has no room in the quota just now: {error}"
    except Invalid as error:
        if "does not support dry run" in str(error):
            return None  # an admission webhook that cannot be asked beforehand
        raise InvalidTemplate(
            what, manifest["metadata"]["name"], f"refused by the cluster: {error}"
        ) from error
    except (NotFound, Forbidden) as error:
        missing = _missing_object(manifest, error, priority_fields)
        if missing is None:
            raise
        raise missing from error
    return None


_MISSING = (
    (
        re.compile(r'namespaces "([^"]+)" not found'),
        "namespace",
        "no such namespace in the cluster: create it or name another one",
    ),
    (
        re.compile(r'serviceaccount "([^"]+)" not found'),
        "serviceAccountName",
        "no such service account in namespace {namespace}: create it, or name another one in the connection "
        "or with spark.kubernetes.authenticate.{role}.serviceAccountName",
    ),
    (re.compile(r"no PriorityClass with name (\S+) was found"), _PRIORITY_CLASS, _NO_PRIORITY_CLASS),
    (
        re.compile(r'RuntimeClass "?([^" ]+)"? not found'),
        "runtimeClassName",
        "no such runtime class in the cluster: create it or change the {role} template",
    ),
)


def _missing_object(
    manifest: Manifest, error: ClusterError, priority_fields: Mapping[str, str]
) -> InvalidConfiguration | None:
    role = (manifest["metadata"].get("labels") or {}).get("spark-role", "driver")
    for pattern, field, remedy in _MISSING:
        found = pattern.search(str(error))
        if found is not None:
            remedy = remedy.format(namespace=manifest["metadata"]["namespace"], role=role)
            if field == _PRIORITY_CLASS:
                field = priority_fields.get(role, field)
            return InvalidConfiguration(field, found.group(1), remedy)
    return None
