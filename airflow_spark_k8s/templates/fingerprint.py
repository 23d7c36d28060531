"""One hash over all that makes an application what it is, whichever try it runs in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_spark_k8s.core.spec import Application, ApplicationName, Identity
from airflow_spark_k8s.templates.objects import secret_env_values

_ROUNDS = 100_000


def any_try(identity: Identity) -> Identity:
    """`identity` without what differs from one try of a task instance to the next."""
    return replace(identity, application=ApplicationName("application"), try_number=0, ti_id="any")


def spec_hash(manifests: Mapping[str, Any], application: Application, identity: Identity) -> str:
    """
    Hash of manifests that were rendered for `any_try(identity)`, and of the secret values beside them.

    The hash is public. Secret values go through a slow, salted hash first, or a weak password could be
    found by trying.

    :param manifests: JSON values without secrets.
    """
    content = {**manifests, "secret": _secret_digest(application, identity)}
    return hashlib.sha256(_canonical(content)).hexdigest()


def _secret_digest(application: Application, identity: Identity) -> str:
    env = {key: value.decode() for key, value in secret_env_values(application).items()}
    content = _canonical({"properties": dict(application.properties), "env": env})
    salt = identity.task_instance_key.encode()
    return hashlib.pbkdf2_hmac("sha256", content, salt, _ROUNDS).hex()


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
