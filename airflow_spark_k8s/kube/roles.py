"""Roles for Airflow and for drivers, made from exactly the rights that the code uses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import yaml

from airflow_spark_k8s.core.labels import is_dns_label, is_dns_subdomain
from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.exceptions import InvalidConfiguration
from airflow_spark_k8s.kube.access import RIGHTS, Right
from airflow_spark_k8s.kube.leftovers import LISTING_RIGHTS

RBAC_GROUP = "rbac.authorization.k8s.io"
AIRFLOW_ROLE = "airflow-spark-k8s"
DRIVER_ROLE = "airflow-spark-k8s-driver"

DRIVER_RIGHTS = (
    Right("get", "pods", "reads its own pod"),
    Right("list", "pods", "looks at its executors"),
    Right("watch", "pods", "learns that an executor has ended"),
    Right("patch", "pods", "labels executors that ended or are to stop"),
)
"""What a driver asks of its namespace: it creates and deletes nothing."""

CLUSTER_RIGHTS = (
    Right("list", "nodes", "warns of pods that no node is large enough for", required=False),
    Right(
        "get",
        "priorityclasses",
        "names a priority class that is missing before anything is created",
        "scheduling.k8s.io",
        required=False,
    ),
)
"""What is asked of the cluster as a whole; everything works without it."""

_REASONS: Mapping[tuple[str, str], str] = {
    ("create", "jobs"): "submits an application: its driver is a Job",
    ("get", "jobs"): "finds out whose Job has the name already, and whether it has ended",
    ("list", "jobs"): "finds the Jobs of earlier tries, and those of a task that is killed",
    ("watch", "jobs"): "follows the Job to its end",
    ("patch", "jobs"): "resumes, adopts and ends it, notes its outcome, sets how long it stays",
    ("delete", "jobs"): "removes it: killed, timed out or replaced by another try",
    ("create", "pods"): "creates executors",
    ("get", "pods"): "finds out whether an executor was created if the answer was lost",
    ("list", "pods"): "finds driver, executors and what earlier tries still have running",
    ("watch", "pods"): "follows driver and executors",
    ("patch", "pods"): "notes on the driver pod which executors there were, and how they ended",
    ("delete", "pods"): "removes executors that have ended or are to be replaced",
    ("create", "configmaps"): "creates the application's settings and its file",
    ("get", "configmaps"): "reads the settings in the triggerer",
    ("patch", "configmaps"): "hands them over to the Job that replaces one whose driver pod was deleted",
    ("delete", "configmaps"): "removes what another Job of the same name has left",
    ("create", "secrets"): "creates the driver's properties",
    ("get", "secrets"): "finds out whose Secret has the name already",
    ("patch", "secrets"): "hands it over to the Job that replaces one whose driver pod was deleted",
    ("delete", "secrets"): "removes what another Job of the same name has left",
}
"""Why each required right is needed; for all others the right's purpose says it."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./-]*")


@dataclass(frozen=True, slots=True)
class Subject:
    """Who gets rights."""

    kind: str  # ServiceAccount or User
    name: str
    namespace: str | None = None  # None: users have none


@dataclass(frozen=True, slots=True)
class Grant:
    """What is to be granted, to whom, and where."""

    namespace: str
    airflow: Subject
    driver_service_account: str
    optional: bool = True  # also what is not required
    cluster_wide: bool = False  # also what belongs to no namespace


def airflow_service_account(text: str, *, field: str) -> Subject:
    """
    The service account that `NAMESPACE/NAME` means.

    :raises InvalidConfiguration: if it can be none.
    """
    namespace, slash, name = text.partition("/")
    if not slash or not is_dns_label(namespace) or not is_dns_subdomain(name):
        raise InvalidConfiguration(field, text, "must be NAMESPACE/NAME of a service account")
    return Subject("ServiceAccount", name, namespace)


def airflow_user(text: str, *, field: str) -> Subject:
    """
    The user of that name.

    :raises InvalidConfiguration: if it is empty or has characters that cannot be printed.
    """
    if not text.strip() or not text.isprintable():
        raise InvalidConfiguration(field, text, "must be the name of a user as the cluster knows it")
    return Subject("User", text)


def driver_service_account(text: str, *, field: str) -> str:
    """
    `text` itself, if a service account may have that name.

    :raises InvalidConfiguration: if not.
    """
    if not is_dns_subdomain(text):
        raise InvalidConfiguration(
            field, text, "must be the name of a service account: a-z, 0-9, '-' and '.' only"
        )
    return text


def airflow_rights(grant: Grant) -> tuple[Right, ...]:
    """The rights of Airflow in the namespace; the purpose of each is the reason that is printed."""
    wanted = [right for right in (*RIGHTS, *LISTING_RIGHTS) if right.required or grant.optional]
    return tuple(replace(right, purpose=_reason(right)) for right in wanted)


def rules(rights: Iterable[Right]) -> list[Manifest]:
    """The rules of a Role that grants `rights`."""
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [right.verb for right in of_rule]}
        for (_, group, resource), of_rule in _by_rule(rights)
    ]


def roles_yaml(grant: Grant) -> str:
    """YAML for `kubectl apply -f -`: the drivers' service account, Roles and their bindings."""
    return "---\n".join(_documents(grant))


def _documents(grant: Grant) -> Iterator[str]:
    namespace = grant.namespace
    driver = Subject("ServiceAccount", grant.driver_service_account, namespace)
    yield "# The drivers' service account; executors need no rights.\n" + _object(
        "v1", "ServiceAccount", driver.name, namespace
    )
    yield f"# What a driver asks of namespace {namespace}.\n" + _role(DRIVER_ROLE, namespace, DRIVER_RIGHTS)
    yield _binding(DRIVER_ROLE, namespace, driver)
    yield f"# What Airflow asks of namespace {namespace}.\n" + _role(
        AIRFLOW_ROLE, namespace, airflow_rights(grant)
    )
    yield _binding(AIRFLOW_ROLE, namespace, grant.airflow)
    if grant.cluster_wide:
        yield "# What Airflow asks of the cluster.\n" + _role(AIRFLOW_ROLE, None, CLUSTER_RIGHTS)
        yield _binding(AIRFLOW_ROLE, None, grant.airflow)


def _role(name: str, namespace: str | None, rights: Iterable[Right]) -> str:
    kind = "ClusterRole" if namespace is None else "Role"
    lines = []
    for (required, group, resource), of_rule in _by_rule(rights):
        if not required:
            lines.append("  # Optional: may be left out.")
        lines.append(f'  - apiGroups: ["{group}"]')
        lines.append(f'    resources: ["{resource}"]')
        lines.append("    verbs:")
        lines += [f"      - {right.verb}  # {right.purpose}" for right in of_rule]
    head = _object(f"{RBAC_GROUP}/v1", kind, name, namespace)
    return head + "rules:\n" + "".join(f"{line}\n" for line in lines)


def _binding(role: str, namespace: str | None, subject: Subject) -> str:
    cluster = "Cluster" if namespace is None else ""
    name = f"{role}-{_digest(subject)}"
    who = [f"  - kind: {subject.kind}", f"    name: {_scalar(subject.name)}"]
    if subject.namespace is None:
        who.insert(1, f"    apiGroup: {RBAC_GROUP}")
    else:
        who.append(f"    namespace: {_scalar(subject.namespace)}")
    lines = [
        "roleRef:",
        f"  apiGroup: {RBAC_GROUP}",
        f"  kind: {cluster}Role",
        f"  name: {role}",
        "subjects:",
    ]
    head = _object(f"{RBAC_GROUP}/v1", f"{cluster}RoleBinding", name, namespace)
    return head + "".join(f"{line}\n" for line in (*lines, *who))


def _object(api_version: str, kind: str, name: str, namespace: str | None) -> str:
    lines = [f"apiVersion: {api_version}", f"kind: {kind}", "metadata:", f"  name: {_scalar(name)}"]
    if namespace is not None:
        lines.append(f"  namespace: {_scalar(namespace)}")
    return "".join(f"{line}\n" for line in lines)


def _by_rule(rights: Iterable[Right]) -> Iterator[tuple[tuple[bool, str, str], list[Right]]]:
    """Rights that fit into one rule, under whether they are required, API group and resource."""

    def rule(right: Right) -> tuple[bool, str, str]:
        resource = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        return right.required, right.group, resource

    for key, group in groupby(sorted(rights, key=lambda right: not right.required), key=rule):
        yield key, list(group)


def _reason(right: Right) -> str:
    return _REASONS.get((right.verb, right.resource), right.purpose) if right.required else right.purpose


def _digest(subject: Subject) -> str:
    """Distinguishes bindings: applying one of the same name for another subject would replace this one."""
    text = json.dumps([subject.kind, subject.namespace, subject.name])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _scalar(text: str) -> str:
    plain = _PLAIN.fullmatch(text) is not None and yaml.safe_load(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)
