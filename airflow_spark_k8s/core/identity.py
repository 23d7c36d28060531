"""Who an application is: names that follow from its try, so that a repeated submission finds itself."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata

from airflow_spark_k8s.core.labels import check_label_value
from airflow_spark_k8s.core.spec import ApplicationName, Identity
from airflow_spark_k8s.exceptions import InvalidConfiguration

MAX_APPLICATION_NAME_LENGTH = 42
"""Leaves room for `-r99` on the Job, 6 characters of the driver pod and 11 of `-exec-99999` within 63."""

_HASH_LENGTH = 10
_SLUG_LENGTH = MAX_APPLICATION_NAME_LENGTH - _HASH_LENGTH - 1
_TASK_SHARE = 15
_FALLBACK_SLUG = "spark"


def identify(
    deployment: str, dag_id: str, task_id: str, run_id: str, map_index: int, try_number: int, ti_id: str
) -> Identity:
    """
    Identity of one try of a task instance; the same arguments always give the same names.

    :param deployment: id of the Airflow deployment; tells two Airflows apart that share a namespace.
    :param map_index: -1 for a task that is not mapped.
    :param ti_id: Airflow's id of this try; no part of the name, so that another holder of it is noticed.
    :raises InvalidConfiguration: if `deployment` or `ti_id` cannot be the value of a label.
    """
    for field, value in (("deployment_id", deployment), ("ti_id", ti_id)):
        if not value:
            raise InvalidConfiguration(field, value, "must not be empty")
        check_label_value(value, field=field)
    task_instance = (deployment, dag_id, task_id, run_id, map_index)
    return Identity(
        deployment=deployment,
        dag_id=dag_id,
        task_id=task_id,
        run_id=run_id,
        map_index=map_index,
        try_number=try_number,
        ti_id=ti_id,
        application=_application_name(dag_id, task_id, _digest(*task_instance, try_number)),
        task_instance_key=_digest(*task_instance)[:32],
    )


def _application_name(dag_id: str, task_id: str, digest: str) -> ApplicationName:
    return ApplicationName(f"{_slug(dag_id, task_id)}-{digest[:_HASH_LENGTH]}")


def _digest(*parts: str | int) -> str:
    # JSON keeps ("a", "bc") and ("ab", "c") apart; ASCII escapes keep lone surrogates encodable
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def _slug(dag_id: str, task_id: str) -> str:
    dag, task = _dns_text(dag_id), _dns_text(task_id)
    task = task[: max(_TASK_SHARE, _SLUG_LENGTH - 1 - len(dag))].strip("-")
    dag = dag[: _SLUG_LENGTH - 1 - len(task)].strip("-")
    slug = "-".join(part for part in (dag, task) if part)
    if not slug[:1].isalpha():
        # some consumers of a name (Services, host names of older tools) want a letter first
        slug = f"{_FALLBACK_SLUG}-{slug}"[:_SLUG_LENGTH].strip("-")
    return slug


def _dns_text(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
