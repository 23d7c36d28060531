"""What the API server means when it does not create a pod: the quota is full, or the pod is not allowed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_spark_k8s.core.cause import Cause

_CREATING = re.compile(r"^(?:\(combined from similar events\): )?(?:Error creating: )?")
_POD = re.compile(r'^pods? "[^"]*" is (?:forbidden|invalid): ', re.IGNORECASE)

_MEANINGS: tuple[tuple[str, Cause | None, str], ...] = (
    ("failed calling webhook", None, "an admission webhook does not answer"),
    ("exceeded quota", Cause.QUOTA, "no room in the quota"),
    ("status unknown for quota", Cause.QUOTA, "the quota is not counted yet"),
    ("failed quota", Cause.REFUSED, "the pod lacks a request or limit for the quota"),
    ("denied the request", Cause.REFUSED, "an admission webhook refuses it"),
    ("denied request", Cause.REFUSED, "an admission policy refuses it"),
    ("violates PodSecurity", Cause.REFUSED, "the namespace's pod security refuses it"),
    ("cannot create resource", Cause.REFUSED, "a right is missing"),
    (" is forbidden: ", Cause.REFUSED, "the cluster refuses it"),
    (" is invalid: ", Cause.REFUSED, "it is not valid"),
    (" cannot be handled as ", Cause.REFUSED, "it is not valid"),
)
"""Part of the server's message, its cause, and how to put it; the first that matches counts."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a pod is not created."""

    cause: Cause | None  # None: trouble that may pass
    text: str  # one line: what it means, and the server's words


def refusal(message: str) -> Refusal:
    """
    What the answer to a creation, or an event FailedCreate, means.

    The pod's name is left out: the Job controller makes up a new one for each attempt.

    Source: k8s.io/apiserver/pkg/admission/plugin/resourcequota, …/webhook/errors.ToStatusErr
    """
    words = _CREATING.sub("", " ".join(message.split()))
    for part, cause, meaning in _MEANINGS:
        if part in words:
            return Refusal(cause, f"{meaning}: {_POD.sub('', words)}")
    return Refusal(None, words)
