"""Validating admission webhooks: who refuses a new object by rules of its own, or does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from airflow_spark_k8s.core.spec import Manifest
from airflow_spark_k8s.local.errors import ApiError
from airflow_spark_k8s.local.resources import Resource


@dataclass(frozen=True, slots=True)
class Webhook:
    """
    One webhook, as a function of this process instead of a service behind HTTPS.

    `refuses` is given every new object that no built-in rule has refused, and says why it must not be; None:
    it may. A webhook that does not answer lets nothing pass (`failurePolicy: Fail`).

    Source: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
    """

    name: str
    refuses: Callable[[Resource, Manifest], str | None]
    answers: bool = True
    code: int = 400  # of a refusal, unless the webhook's own answer has one


def check_webhooks(webhooks: Iterable[Webhook], resource: Resource, obj: Manifest) -> None:
    """Return if every webhook lets the object pass; raises ApiError otherwise."""
    for webhook in webhooks:
        why = webhook.refuses(resource, obj)
        if why is None:
            continue
        if not webhook.answers:
            call = f'failed calling webhook "{webhook.name}": failed to call webhook: {why}'
            raise ApiError(
                500, "InternalError", f"Internal error occurred: {call}", {"causes": [{"message": call}]}
            )
        denied = f'admission webhook "{webhook.name}" denied the request: {why}'
        raise ApiError(webhook.code, "Forbidden" if webhook.code == 403 else "", denied, {})
