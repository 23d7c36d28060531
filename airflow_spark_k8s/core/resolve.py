"""From what was asked for to what will run: properties honoured, passed on or refused, defaults filled in."""

from __future__ import annotations

import math
from dataclasses import replace

from airflow_spark_k8s.core.burst import split
from airflow_spark_k8s.core.burst_settings import burst_of
from airflow_spark_k8s.core.conf import CONNECTION_SUFFIX, Conf
from airflow_spark_k8s.core.labels import is_dns_label
from airflow_spark_k8s.core.properties import check_properties
from airflow_spark_k8s.core.properties_driver import driver_properties
from airflow_spark_k8s.core.properties_pods import driver_shape, executor_shape
from airflow_spark_k8s.core.properties_resource import Resource, resource_of
from airflow_spark_k8s.core.properties_security import authenticates, encrypts
from airflow_spark_k8s.core.properties_version import images_of
from airflow_spark_k8s.core.recovery_settings import check_recovery, recovery_of
from airflow_spark_k8s.core.request import ApplicationRequest
from airflow_spark_k8s.core.shaping import check_shaping, executor_qos_class, on_lost_node
from airflow_spark_k8s.core.spec import AllocationSettings, Application
from airflow_spark_k8s.exceptions import InvalidConfiguration

DEFAULT_INSTANCES = 2

DEADLINE_MARGIN_SECONDS = 900
"""How much later than the task's own deadline Kubernetes ends the Job: the last resort if nobody else did."""

_APP_NAME = "spark.app.name"
_NAMESPACE = "spark.kubernetes.namespace"
_ALLOCATION = "spark.kubernetes.allocation."
_UNLIMITED = 2**31 - 1


def resolve(request: ApplicationRequest) -> Application:
    """
    The application that `request` asks for; the same request always gives the same application.

    :raises UnsupportedProperty: for a Spark property that would shape a pod and is not honoured.
    :raises InvalidConfiguration: for anything else that cannot work: names field, value and what to do.
    """
    conf = _checked_conf(request)
    namespace = _namespace(request, conf)
    resource = resource_of(request)
    if resource.is_non_jvm and request.main_class:
        raise InvalidConfiguration("main_class", request.main_class, "is for jars; Python and R have none")
    images = images_of(request, conf)
    driver = driver_shape(request, conf, images, resource)
    plain_executor = executor_shape(request, conf, images, resource)
    burst = burst_of(request, plain_executor.memory)
    executor = replace(plain_executor, shared_mib=split(plain_executor.memory, burst).shared_mib)
    app_name = _app_name(request, conf, resource)
    properties = driver_properties(request, conf, images.spark_version, driver, executor)
    return Application(
        spark_version=images.spark_version,
        namespace=namespace,
        app_name=app_name,
        primary_resource=resource.primary,
        main_class=request.main_class or None,
        arguments=tuple(request.application_args),
        is_python=resource.is_python,
        driver=driver,
        executor=executor,
        allocation=_allocation(conf, images.spark_version),
        properties={**properties, _APP_NAME: app_name, _NAMESPACE: namespace},
        user_file=resource.user_file,
        max_driver_restarts=_max_driver_restarts(request),
        active_deadline_seconds=_active_deadline_seconds(request),
        rpc_encryption=encrypts(conf),
        authenticate=authenticates(conf),
        burst=burst,
        plain_executor=plain_executor if burst and burst.fraction < 1 else None,
        executor_qos_class=executor_qos_class(request, conf, executor, burst),
        recovery=recovery_of(request, conf, executor),
        on_lost_node=on_lost_node(request),
    )


def _checked_conf(request: ApplicationRequest) -> Conf:
    """All properties; whatever can be told without the rest of the application is checked."""
    check_shaping(request.shaping)
    check_shaping(request.default_shaping, origin=CONNECTION_SUFFIX)
    check_recovery(request.recovery)
    check_recovery(request.default_recovery, origin=CONNECTION_SUFFIX)
    conf = Conf.merged(request.conf, request.default_conf)
    check_properties(conf)
    return conf


def _namespace(request: ApplicationRequest, conf: Conf) -> str:
    namespace = _preferred(conf, _NAMESPACE, "namespace", request.namespace) or request.default_namespace
    if not is_dns_label(namespace):
        raise InvalidConfiguration(
            "namespace",
            namespace,
            "no valid namespace; use at most 63 of a-z, 0-9 and '-', no '-' at either end",
        )
    return namespace


def _app_name(request: ApplicationRequest, conf: Conf, resource: Resource) -> str:
    given = _preferred(conf, _APP_NAME, "name", request.name)
    return given or request.default_name or request.main_class or resource.name


def _preferred(conf: Conf, name: str, argument: str, given: str | None) -> str | None:
    value = conf.get(name)
    if given and value not in (None, given) and name not in conf.from_connection:
        raise conf.error(name, f"contradicts the operator's {argument}={given!r}; say one of them")
    return given or value


def _allocation(conf: Conf, spark_version: tuple[int, int, int]) -> AllocationSettings:
    delay = conf.seconds(_ALLOCATION + "batch.delay", 1.0)
    if delay <= 0.1:
        raise conf.error(_ALLOCATION + "batch.delay", "must be longer than 100ms, as Spark demands")
    timeout = conf.seconds(_ALLOCATION + "executor.timeout", 600.0)
    if timeout <= 0:
        raise conf.error(_ALLOCATION + "executor.timeout", "must be longer than 0s")
    return AllocationSettings(
        target=conf.integer("spark.executor.instances", DEFAULT_INSTANCES, minimum=1),
        batch_size=conf.integer(_ALLOCATION + "batch.size", _batch_size(spark_version), minimum=1),
        batch_delay_seconds=delay,
        max_pending_pods=_max_pending_pods(conf),
        request_timeout_seconds=max(5 * delay, timeout),
    )


def _batch_size(spark_version: tuple[int, int, int]) -> int:
    """Source: org.apache.spark.deploy.k8s.Config.KUBERNETES_ALLOCATION_BATCH_SIZE of each version."""
    if spark_version < (4, 0, 0):
        return 5
    return 10 if spark_version < (4, 2, 0) else 20


def _max_pending_pods(conf: Conf) -> int:
    of_all = conf.integer(_ALLOCATION + "maxPendingPods", _UNLIMITED, minimum=1)
    # there is one resource profile only
    of_profile = conf.integer(_ALLOCATION + "maxPendingPodsPerRp", of_all, minimum=1)
    if of_profile > of_all:
        raise conf.error(
            _ALLOCATION + "maxPendingPodsPerRp", f"must be at most {_ALLOCATION}maxPendingPods ({of_all})"
        )
    return of_profile


def _max_driver_restarts(request: ApplicationRequest) -> int:
    restarts = request.max_driver_restarts
    if isinstance(restarts, bool) or not isinstance(restarts, int) or restarts < 0:
        raise InvalidConfiguration("max_driver_restarts", restarts, "must be a whole number of at least 0")
    return restarts


def _active_deadline_seconds(request: ApplicationRequest) -> int | None:
    timeout = request.execution_timeout_seconds
    if timeout is None:
        return None
    if not math.isfinite(timeout) or timeout <= 0:
        raise InvalidConfiguration("execution_timeout", timeout, "must be longer than zero")
    return math.ceil(timeout) + DEADLINE_MARGIN_SECONDS
