"""Every error of this package.

SparkKubernetesError
├── InvalidConfiguration (ValueError)     a value that cannot work; nothing was created
│   ├── UnknownConnection                 Airflow knows no such connection, or could not look it up
│   ├── UnsupportedProperty               a Spark property that would shape a pod and is not honoured
│   └── InvalidTemplate                   a pod or Job template that does not render or is no pod or Job
├── ClusterError                          the API server did not do what was asked
│   ├── ClusterUnreachable                no answer: refused, timed out, broken connection
│   ├── Unauthorized                      401, also after the credentials were refreshed
│   ├── Forbidden                         403: names verb, resource and namespace
│   │   └── QuotaExceeded                 403 because a ResourceQuota is used up
│   ├── NotFound                          404
│   ├── Conflict                          409: somebody else changed the object, or a precondition failed
│   │   └── AlreadyExists                 409: the name is taken
│   ├── Gone                              410: the resourceVersion is too old, list again
│   ├── Invalid                           400/422: the object was refused; names the fields
│   ├── TooManyRequests                   429, with the seconds to wait if the server said so
│   └── ServerError                       5xx
├── WrongCluster                          the connection leads to another cluster than before
└── ApplicationFailed                     a verdict on a Spark application, with its summary
    ├── DriverFailed                      the driver ended with an exit code other than 0
    ├── DriverOutOfMemory                 the driver was killed for memory
    ├── DriverLost                        the driver is gone and left no evidence of success
    ├── DriverTookOver                    the user's code overrides the master or the number of executors
    ├── DriverStartFailed                 the driver's container can never start
    │   ├── ImagePullFailed               its image cannot be had
    │   ├── DriverMisconfigured           a Secret or ConfigMap that it needs is missing
    │   └── DriverRefused                 the cluster refuses its pod: rights, admission, not valid
    ├── ExecutorStartFailed               no executor can ever start, for the same causes
    ├── SparkVersionMismatch              the driver runs another Spark than the task says
    ├── ExecutorMemorySpent               no executor is left: all ran out of memory, as often as is allowed
    ├── ApplicationTimedOut               the task's execution_timeout passed
    │   ├── Unschedulable                 … while the driver, or every executor, waited for a node
    │   └── QuotaUsedUp (QuotaExceeded)   … while the driver, or every executor, waited for room in a quota
    └── SightLost (ClusterUnreachable)    no answer for longer than is waited; the application was left alone
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SparkKubernetesError(Exception):
    """Base of all errors of this package."""


class InvalidConfiguration(SparkKubernetesError, ValueError):
    """A value that cannot work: names the field, the value and what to do."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field}={value!r}: {remedy}")
        self.field = field
        self.value = value
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.field, self.value, self.remedy))


class UnknownConnection(InvalidConfiguration):
    """
    Airflow knows no such connection, or could not look it up; waiting may help.

    It says the same when its database or a secrets backend does not answer.
    """


class UnsupportedProperty(InvalidConfiguration):
    """A Spark property that would shape a pod and is not honoured; says what to use instead."""


class InvalidTemplate(InvalidConfiguration):
    """A template that does not render or gives no valid pod or Job; `field` is the path of what is wrong."""


class ClusterError(SparkKubernetesError):
    """
    The API server did not do what was asked.

    `retry_after_seconds` is how long it asked to be left alone; None if it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class ClusterUnreachable(ClusterError):
    """No answer: connection refused, timed out or broken."""


class Unauthorized(ClusterError):
    """401, also after the credentials were refreshed."""


class Forbidden(ClusterError):
    """403: the message names verb, resource and namespace."""


class QuotaExceeded(Forbidden):
    """403 because a ResourceQuota is used up; waiting may help."""


class NotFound(ClusterError):
    """404."""


class Conflict(ClusterError):
    """409: somebody else changed the object, or a precondition failed."""


class AlreadyExists(Conflict):
    """409: an object of that name exists."""


class Gone(ClusterError):
    """410: the resourceVersion is too old; list again."""


class Invalid(ClusterError):
    """400 or 422: the object was refused; the message names the fields."""


class TooManyRequests(ClusterError):
    """429: the server, or its flow control, has too much to do."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(
            message, status=429, reason="TooManyRequests", retry_after_seconds=retry_after_seconds
        )


class ServerError(ClusterError):
    """5xx."""


class WrongCluster(SparkKubernetesError):
    """The connection leads to another cluster than the application was submitted to; nothing was touched."""


class ApplicationFailed(SparkKubernetesError):
    """A verdict on a Spark application; `summary` is what was pushed as XCom."""

    def __init__(self, message: str, summary: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.summary: Mapping[str, Any] = summary or {}


class DriverFailed(ApplicationFailed):
    """The driver ended with an exit code other than 0."""


class DriverOutOfMemory(ApplicationFailed):
    """The driver was killed for memory."""


class DriverLost(ApplicationFailed):
    """The driver is gone and left no evidence of success."""


class DriverTookOver(ApplicationFailed):
    """The user's code overrides the master or the number of executors: no executor of ours can join."""


class DriverStartFailed(ApplicationFailed):
    """The driver's container can never start: image, configuration, command."""


class ImagePullFailed(DriverStartFailed):
    """The driver's image cannot be pulled, or is not on its node and must not be pulled."""


class DriverMisconfigured(DriverStartFailed):
    """A Secret or ConfigMap that the driver's pod needs is missing."""


class DriverRefused(DriverStartFailed):
    """The cluster refuses to create the driver's pod: rights, an admission webhook or policy, not valid."""


class ExecutorStartFailed(ApplicationFailed):
    """No executor has started, and none ever will: image, configuration, or refused by the cluster."""


class SparkVersionMismatch(ApplicationFailed):
    """The driver runs another Spark version than the task, connection or image says."""


class ExecutorMemorySpent(ApplicationFailed):
    """No executor is left: they ran out of memory, again and again, up to the limits of recovery."""


class ApplicationTimedOut(ApplicationFailed):
    """The task's execution_timeout passed."""


class Unschedulable(ApplicationTimedOut):
    """The task's execution_timeout passed while the driver, or every executor, waited for a node."""


class QuotaUsedUp(ApplicationTimedOut, QuotaExceeded):
    """The task's execution_timeout passed while the driver, or every executor, waited for a quota."""


class SightLost(ApplicationFailed, ClusterUnreachable):
    """The API server has not answered for longer than is waited; the application may still run."""
