"""What a controller must know of its application, as kept in the cluster beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from airflow_spark_k8s.core.burst import Rollout
from airflow_spark_k8s.core.burst_values import decimal_text
from airflow_spark_k8s.core.spec import AllocationSettings, Application, RecoverySettings
from airflow_spark_k8s.exceptions import InvalidConfiguration

SETTINGS_KEY = "settings.json"
"""Key of the settings in the application's ConfigMap."""

EXECUTOR_KEY = "executor.json"
"""Key of the executor pod's manifest in the application's ConfigMap."""

PLAIN_EXECUTOR_KEY = "executor-plain.json"
"""Key of the manifest of executors that do not burst, if only some do."""


WAIT, FORCE = "wait", "force"
"""Values of `on_lost_node`."""


def config_map_name(application: str) -> str:
    """Name of the ConfigMap that holds the settings and the executor manifest of `application`."""
    return f"{application}-app"


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """How one application is controlled; written once at submission, read by every controller after it."""

    allocation: AllocationSettings
    spark_version: tuple[int, int, int]  # what the task says; compared with the running driver's
    max_driver_restarts: int = 3  # driver pods beyond the first before the application counts as lost
    executor_cores: int = 1  # shown in the executor table
    ui_port: int = 4040  # port of the driver's REST API
    rollout: Rollout | None = None  # None: no executor bursts
    recovery: RecoverySettings | None = None  # None: executors that ran out of memory are replaced as others
    on_lost_node: str = WAIT  # or FORCE: what is done about a driver whose node does not answer

    @classmethod
    def from_application(cls, application: Application) -> ControllerSettings:
        """The settings of an application that is about to be submitted."""
        return cls(
            allocation=application.allocation,
            spark_version=application.spark_version,
            max_driver_restarts=application.max_driver_restarts,
            executor_cores=application.executor.cores,
            rollout=_rollout(application),
            recovery=application.recovery,
            on_lost_node=application.on_lost_node,
        )

    def to_json(self) -> str:
        """JSON text, the same for the same settings."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ControllerSettings:
        """
        The settings that `to_json` wrote, also by a newer version of this package.

        Unknown keys are left out and absent optional ones get their defaults.

        Raises:
            InvalidConfiguration: `text` is no JSON object or lacks what has no default.

        """
        try:
            values = _known(cls, json.loads(text))
            major, minor, patch = values["spark_version"]
            values["spark_version"] = (int(major), int(minor), int(patch))
            values["allocation"] = AllocationSettings(**_known(AllocationSettings, values["allocation"]))
            if values.get("rollout") is not None:
                values["rollout"] = Rollout(**_known(Rollout, values["rollout"]))
            if values.get("recovery") is not None:
                recovery = _known(RecoverySettings, values["recovery"])
                tolerations = tuple(recovery.get("tolerations", ()))
                values["recovery"] = RecoverySettings(**{**recovery, "tolerations": tolerations})
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidConfiguration(
                SETTINGS_KEY, text[:200], "not readable; submit the application again"
            ) from error


def _rollout(application: Application) -> Rollout | None:
    burst, executor = application.burst, application.executor
    if burst is None:
        return None
    return Rollout(
        factor=decimal_text(burst.factor),
        fraction=str(burst.fraction),
        request_mib=executor.request_mib,
        limit_mib=executor.memory.total_mib,
    )


def _known(
    of: type[ControllerSettings] | type[AllocationSettings] | type[Rollout] | type[RecoverySettings],
    given: Mapping[str, Any],
) -> dict[str, Any]:
    names = {field.name for field in fields(of)}
    return {name: value for name, value in given.items() if name in names}
