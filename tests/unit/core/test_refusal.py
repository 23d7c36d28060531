"""The words of Kubernetes 1.36, as recorded or as its sources have them."""

from __future__ import annotations

import pytest

from airflow_spark_k8s.core.cause import Cause
from airflow_spark_k8s.core.refusal import refusal

QUOTA = "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"
RIGHT = (
    'pods is forbidden: User "system:serviceaccount:airflow:worker" cannot create resource "pods" in API '
    'group "" in the namespace "spark"'
)
SECURITY = 'violates PodSecurity "restricted:latest": runAsNonRoot != true'
ACCOUNT = 'error looking up service account golden/nope: serviceaccount "nope" not found'
TIMEOUT = (
    'Internal error occurred: failed calling webhook "pods.example.com": failed to call webhook: Post '
    '"https://policy.example.svc:443/pods?timeout=10s": context deadline exceeded'
)

ANSWERS: dict[str, tuple[str, Cause | None, str]] = {
    "a quota that is used up": (
        f'pods "oq" is forbidden: {QUOTA}',
        Cause.QUOTA,
        f"no room in the quota: {QUOTA}",
    ),
    "the same, told by the Job controller": (
        f'Error creating: pods "app-r0-x7k2p" is forbidden: {QUOTA}',
        Cause.QUOTA,
        f"no room in the quota: {QUOTA}",
    ),
    "the same, told for the eleventh time": (
        f'(combined from similar events): Error creating: pods "app-r0-9dkq2" is forbidden: {QUOTA}',
        Cause.QUOTA,
        f"no room in the quota: {QUOTA}",
    ),
    "a quota that is new": (
        'pods "a" is forbidden: status unknown for quota: q, resources: memory',
        Cause.QUOTA,
        "the quota is not counted yet: status unknown for quota: q, resources: memory",
    ),
    "a quota that wants to know more": (
        'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: main',
        Cause.REFUSED,
        "the pod lacks a request or limit for the quota: failed quota: q: must specify limits.cpu for: main",
    ),
    "a webhook that refuses": (
        'admission webhook "pods.example.com" denied the request: image is not signed',
        Cause.REFUSED,
        'an admission webhook refuses it: admission webhook "pods.example.com" denied the request: image '
        "is not signed",
    ),
    "a policy that refuses": (
        "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        Cause.REFUSED,
        "an admission policy refuses it: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
    ),
    "a webhook that is away": (TIMEOUT, None, f"an admission webhook does not answer: {TIMEOUT}"),
    "pod security": (
        f'pods "a" is forbidden: {SECURITY}',
        Cause.REFUSED,
        f"the namespace's pod security refuses it: {SECURITY}",
    ),
    "a right that is missing": (RIGHT, Cause.REFUSED, f"a right is missing: {RIGHT}"),
    "a service account that is missing": (
        f'pods "sa" is forbidden: {ACCOUNT}',
        Cause.REFUSED,
        f"the cluster refuses it: {ACCOUNT}",
    ),
    "a pod that is not valid": (
        'Pod "a" is invalid: spec.containers[0].image: Required value',
        Cause.REFUSED,
        "it is not valid: spec.containers[0].image: Required value",
    ),
    "a pod that cannot be read": (
        'Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression',
        Cause.REFUSED,
        'it is not valid: Pod in version "v1" cannot be handled as a Pod: quantities must match the regular '
        "expression",
    ),
    "a conflict on the quota's counts": (
        'Operation cannot be fulfilled on resourcequotas "q": the object has been modified',
        None,
        'Operation cannot be fulfilled on resourcequotas "q": the object has been modified',
    ),
}


@pytest.mark.parametrize(("message", "cause", "text"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_a_refusal_means(message: str, cause: Cause | None, text: str) -> None:
    found = refusal(message)
    assert (found.cause, found.text) == (cause, text)
